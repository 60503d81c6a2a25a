"""FaceGuard on whole photographs: what `embed` makes, what `verify` says, and the content codes."""

import json
import pathlib
import statistics
import tempfile

import numpy as np
from watermark_channels import SENT

from keras_imaging.data.images import list_images, read_image, write_image
from keras_imaging.metrics import psnr
from keras_imaging.watermark import Key, face_parts, watermark_bits
from keras_imaging.watermark.content import SAME, content_code, content_similarity
from keras_imaging.watermark.embedding import checked_box
from keras_imaging.watermark.photograph import stamp_file, upright, verify_image
from keras_imaging.watermark.region import Box, shrink

KEY = b"the benchmark's key, not a secret"


def photographs(originals, pairs, thorough, portraits, work):
    """Photographs, as the command line stamps and verifies them.

    Args:
        originals: the pictures.
        pairs: encoder and decoder, by the names of their weights.
        thorough: search as `verify` does without --quick, but for those whose parts were swapped.
        portraits: the pictures are portraits of one size, whose parts can be swapped.
        work: folder that keeps what was stamped, found and read, so that a run that was cut off
            goes on where it stopped.
    """
    work.mkdir(parents=True, exist_ok=True)
    rows = []
    for k, original in enumerate(originals):
        donor = originals[k - 1] if portraits else None
        row = photograph(original, donor, pairs, thorough, k.to_bytes(4, "big"), work / f"{k:04}")
        rows.append(row)
        print(json.dumps(row), flush=True)
    return {**summary(rows), "rows": rows}


def photograph(original, donor, pairs, thorough, nonce, stem):
    """What becomes of one; files that begin with `stem` keep it.

    Args:
        original: the picture.
        donor: a portrait as large, whose eyes and mouth are put into it; or None.
        pairs, thorough: as for `photographs`.
        nonce: of the picture.
        stem: path of the files without their ends.
    """
    decoders = {name: pair[1] for name, pair in pairs.items()}
    key, target = Key(KEY, "benchmark"), stem.with_suffix(".png")
    row = kept(f"{stem}_row.json", lambda: stamped_row(original, target, pairs, key, nonce))
    picture = read_image(target)
    seen = {name: channel(picture) for name, channel in SENT.items()}
    if donor is not None:
        # Where the mark lies.
        box = Box(*row["box"])
        seen.update({f"{part} swapped": edit(picture, donor, part, box) for part in EDITED})
    found = kept(
        f"{stem}_found.json",
        lambda: {
            # Of who was edited, it is the parts that are asked for.
            name: found_row(
                verify_image(decoders, one, key, [nonce], thorough=thorough and name in SENT)
            )
            for name, one in seen.items()
        },
    )
    parts = kept(
        f"{stem}_parts.json",
        lambda: {
            name: parts_row(decoders, seen[name], key, nonce, one)
            for name, one in found.items()
            if one["verified"]
        },
    )
    said = {
        name: {one: own[name] for one, own in found.items()} for name in ("verified", "p_value")
    }
    return {**row, **said, "parts": parts}


def kept(file, make):
    """What a file of JSON holds; if there is none, it is made."""
    file = pathlib.Path(file)
    if not file.exists():
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(make()))
        partial.replace(file)
    return json.loads(file.read_text())


def stamped_row(original, target, pairs, key, nonce):
    """What became of a picture that was stamped into a file."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "photo.png"
        write_image(source, original)
        stamped = stamp_file(pairs, source, target, key, nonce)
    picture = read_image(target)
    return {
        "weights": stamped.weights,
        "region": stamped.regions.names[0],
        "box": checked_box(picture, stamped.regions.boxes[0]),
        "strength": round(stamped.strength, 5),
        "holds": stamped.holds,
        "psnr": round(float(psnr(original, picture)), 2),
        "smooth_block": smooth_block(original, picture),
    }


def found_row(found):
    """What `verify_image` found."""
    return {
        "verified": found.result.verified,
        "p_value": found.result.p_value,
        "weights": found.weights,
        "box": found.box,
        "orientation": found.orientation,
    }


def parts_row(decoders, picture, key, nonce, row):
    """What is said of the parts of a face that was found: word, share, p-value."""
    decoder = decoders[row["weights"]]
    expected = watermark_bits(key.secret, key.identity, decoder.message_length, nonce)
    parts = face_parts(decoder, upright(picture, row["orientation"]), expected, Box(*row["box"]))
    return {
        part: (one.word, round(one.share, 4), one.result.p_value) for part, one in parts.items()
    }


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
    """How many of the verified pictures of each channel have parts that carry no mark.

    Parts of which it cannot be told are `unclear`.
    """
    counts = {}
    for row in rows:
        for name, parts in row["parts"].items():
            count = counts.setdefault(
                name, dict.fromkeys([*parts, "any", "unclear", "verified"], 0)
            )
            lost = [part for part, (word, *_) in parts.items() if word == "no mark"]
            for part in lost:
                count[part] += 1
            count["any"] += bool(lost)
            count["unclear"] += any(word == "unclear" for word, *_ in parts.values())
            count["verified"] += 1
    return counts


def scenes(portraits, folder):
    """Portraits in the photographs of a folder, at random sizes and places."""
    from PIL import Image, ImageOps

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
