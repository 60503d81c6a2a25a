"""FaceGuard on whole photographs: what `embed` makes, what `verify` says, and the content codes."""

import json
import pathlib
import statistics
import tempfile

import numpy as np
from watermark_channels import SENT

KEY = b"the benchmark's key, not a secret"


def photographs(originals, pairs, thorough, portraits):
    """Photographs, as the command line stamps and verifies them.

    Args:
        originals: the pictures.
        pairs: encoder and decoder, by the names of their weights.
        thorough: search as `verify` does without --quick.
        portraits: the pictures are portraits of one size, whose parts can be swapped.
    """
    from keras_imaging.data.images import read_image, write_image
    from keras_imaging.metrics import psnr
    from keras_imaging.watermark import Key
    from keras_imaging.watermark.parts import verified_parts
    from keras_imaging.watermark.photograph import stamp_file, verify_image

    decoders = {name: pair[1] for name, pair in pairs.items()}
    key, rows = Key(KEY, "benchmark"), []
    with tempfile.TemporaryDirectory() as folder:
        source, target = (pathlib.Path(folder) / name for name in ("photo.png", "stamped.png"))
        for k, original in enumerate(originals):
            nonce = k.to_bytes(4, "big")
            write_image(source, original)
            stamped = stamp_file(pairs, source, target, key, nonce)
            picture = read_image(target)
            seen = {name: channel(picture) for name, channel in SENT.items()}
            # A part of another portrait's face, where the mark lies.
            box = stamped.check.box
            if box is not None and portraits:
                other = originals[k - 1]
                seen.update({f"{part} swapped": edit(picture, other, part, box) for part in EDITED})
            found = {
                name: verify_image(decoders, one, key, [nonce], thorough=thorough)
                for name, one in seen.items()
            }
            parts = {
                name: {
                    part: (one.result.verified, one.result.p_value)
                    for part, one in verified_parts(decoders, seen[name], key, one).items()
                }
                for name, one in found.items()
                if one.result.verified
            }
            rows.append(
                {
                    "weights": stamped.weights,
                    "region": stamped.regions.names[0],
                    "strength": round(stamped.strength, 5),
                    "holds": stamped.holds,
                    "psnr": round(float(psnr(original, picture)), 2),
                    "smooth_block": smooth_block(original, picture),
                    "verified": {name: one.result.verified for name, one in found.items()},
                    "p_value": {name: one.result.p_value for name, one in found.items()},
                    "parts": parts,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return {**summary(rows), "rows": rows}


def summary(rows):
    """Of pictures that were stamped, sent and verified."""
    smooth = [row["smooth_block"] for row in rows if row["smooth_block"] is not None]
    return {
        "pictures": len(rows),
        "verified": {
            name: sum(row["verified"][name] for row in rows) for name in rows[0]["verified"]
        },
        "parts_without_mark": without_mark(rows),
        "holds": sum(row["holds"] for row in rows),
        "psnr": {"mean": mean_of(row["psnr"] for row in rows), "least": least(rows, "psnr")},
        "smooth_block": {"mean": mean_of(smooth), "most": max(smooth, default=None)},
    }


# What is swapped: rows and columns in half sides from the middle, half height, half width.
EDITED = {"eyes": (-0.07, 0.0, 0.15, 0.42), "mouth": (0.42, 0.0, 0.14, 0.28)}


def edit(picture, other, part, box):
    """A picture with a part of the face that another has in the same place, its colours matched."""
    from keras_imaging.watermark.region import Box, shrink

    y, x, half_height, half_width = EDITED[part]
    height, width = picture.shape[:2]
    other = 255 * shrink(other, Box(0, 0, *other.shape[1::-1]), (height, width))
    v = 2 * (np.arange(height) + 0.5 - box.top) / box.height - 1
    u = 2 * (np.arange(width) + 0.5 - box.left) / box.width - 1
    inside = np.minimum.outer(half_height - np.abs(v - y), half_width - np.abs(u - x))
    mask = np.clip(0.5 + inside / 0.06, 0, 1)[..., None]
    matched = other + ((picture - other) * mask).sum((0, 1)) / mask.sum()
    return np.floor(picture + mask * (matched - picture) + 0.5).clip(0, 255).astype("uint8")


def without_mark(rows):
    """How many of the verified pictures of each channel have parts that carry no mark."""
    counts = {}
    for row in rows:
        for name, parts in row["parts"].items():
            count = counts.setdefault(name, dict.fromkeys([*parts, "any", "verified"], 0))
            lost = [part for part, (carries, _) in parts.items() if not carries]
            for part in lost:
                count[part] += 1
            count["any"] += bool(lost)
            count["verified"] += 1
    return counts


def scenes(portraits, folder):
    """Portraits in the photographs of a folder, at random sizes and places."""
    from PIL import Image, ImageOps

    from keras_imaging.data.images import list_images, read_image

    files = list_images(folder)
    for k, portrait in enumerate(portraits):
        rng = np.random.default_rng(k)
        picture = Image.fromarray(read_image(files[k % len(files)])).convert("RGB")
        picture = ImageOps.fit(picture, (1200, 900))
        side = int(rng.integers(420, 641))
        corner = [int(rng.integers(0, length - side + 1)) for length in picture.size]
        picture.paste(Image.fromarray(portrait).resize((side, side)), corner)
        yield np.asarray(picture)


def smooth_block(original, stamped, side=16):
    """Largest mean change, in levels of 255, of a block whose grey deviates by less than 3."""
    rows, columns = (length // side for length in original.shape[:2])

    def blocks(picture):
        grey = picture[: rows * side, : columns * side].mean(axis=-1)
        return grey.reshape(rows, side, columns, side)

    smooth = blocks(original).std(axis=(1, 3)) < 3
    if not smooth.any():
        return None
    change = blocks(stamped.astype("float64") - original).mean(axis=(1, 3))
    return round(float(np.abs(change[smooth]).max()), 2)


def mean_of(figures):
    """Rounded; None of none."""
    figures = list(figures)
    return round(statistics.fmean(figures), 2) if figures else None


def least(rows, name):
    """Of a column."""
    return min(row[name] for row in rows)


def content(originals):
    """Codes of what portraits look like."""
    from keras_imaging.watermark.content import SAME, content_code, content_similarity
    from keras_imaging.watermark.region import Box

    rng = np.random.default_rng(0)

    def placed(picture, off=0.0):
        """The region of a portrait, its size and place off by so much of its side, at random."""
        height, width = picture.shape[:2]
        scale, x, y = off * rng.uniform(-1, 1, 3)
        sides = (
            (x - scale / 2) * width,
            (y - scale / 2) * height,
            (1 + x + scale / 2) * width,
            (1 + y + scale / 2) * height,
        )
        return Box(*(round(side) for side in sides))

    codes = [content_code(picture, placed(picture)) for picture in originals]
    # A crop is read where the mark lies, which is not the rest of the picture.
    channels = {name: channel for name, channel in SENT.items() if not name.startswith("crop")}
    alike = {}
    for name, channel in channels.items():
        pairs = zip(codes, map(channel, originals), strict=True)
        alike[name] = [
            content_similarity(code, content_code(x, placed(x, 0.02))) for code, x in pairs
        ]
    others = [content_similarity(codes[i], codes[j]) for i in range(len(codes)) for j in range(i)]
    own = np.concatenate(list(alike.values()))
    return {
        "portraits": len(codes),
        "same_from": SAME,
        "missed": {name: int(np.sum(np.less(one, SAME))) for name, one in alike.items()},
        "least_alike": round(float(own.min()), 4),
        "miss_rate": round(float(np.mean(own < SAME)), 5),
        "pairs": len(others),
        "taken_for_each_other": int(np.sum(np.greater_equal(others, SAME))),
        "acceptance": round(float(np.mean(np.greater_equal(others, SAME))), 5),
    }
