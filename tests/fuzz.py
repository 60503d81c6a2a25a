"""Damage files of every format that is read, and look what comes of it.

    python -m tests.fuzz --count 20000

Of a damaged file a reader may say ValueError or OSError, or find that nothing is wrong. Anything
else, more than a gigabyte, or more than five seconds of a processor, is a fault; each is printed
with the file, which is kept. `tests/test_fuzz.py` runs a few hundred for each format, always the
same ones.
"""

import argparse
import collections
import io
import json
import pathlib
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import h5py
import keras
import numpy as np
from caffe_files import caffemodel
from PIL import Image
from published_writers import Storage, Tensor, safetensors, torch_writer

from keras_imaging import models
from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.images import read_image
from keras_imaging.data.mri_files import read_mri
from keras_imaging.models.converters.caffe_idn import load_caffe_weights
from keras_imaging.models.converters.published_files import read_published
from keras_imaging.models.weights_files import load_weights_file
from keras_imaging.training import checkpoint

MOST_BYTES = 2**30
MOST_SECONDS = 5.0
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


class Format(NamedTuple):
    """Whole files of one format, and how they are read."""

    suffix: str
    contents: list[bytes]
    read: Callable[[pathlib.Path], object]


def formats(folder: pathlib.Path) -> dict[str, Format]:
    """All formats; what they need is written into a folder."""
    rng = np.random.default_rng(0)
    arrays = {
        "A": rng.standard_normal((4, 6)).astype("float32"),
        "x": rng.integers(0, 255, (2, 3, 3), "uint8"),
    }

    def written(name, write):
        path = folder / name
        write(path)
        return path.read_bytes()

    dense = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    tiny = {"filters": 8, "num_blocks": 1, "channel_step": 2, "distilled": 2, "groups": 2}
    network = models.RDIDN(2, **tiny)
    idn = models.IDN(2, filters=16, num_blocks=1, distilled=4, channel_step=4, groups=4)
    caffe = {}
    for name, layer in load_targets(idn):
        kernel, bias = layer.get_weights()
        caffe[name] = [kernel.transpose(3, 2, 0, 1), bias]
    variables = dense.variables
    state = {"recipe": {}, "step": 3, "history": [], "seconds": 1.0}

    def read_checkpoint(path):
        run = path.with_suffix("")
        run.mkdir(exist_ok=True)
        shutil.copy(path, run / "checkpoint-00000003.npz")
        found = checkpoint.read(run)
        if found is not None:
            checkpoint.check_state(found[1], run, state)
            checkpoint.restore(variables, *found, run)

    def write_checkpoint(path):
        checkpoint.write(folder, 3, variables, state)
        (folder / "checkpoint-00000003.npz").rename(path)

    def write_torch(path):
        storage = Storage("FloatStorage", "0", arrays["A"].ravel())
        entries = {"a": Tensor(storage, 0, (4, 6), (6, 1)), "b": Tensor(storage, 2, (3,), (1,))}
        with torch_writer() as write:
            write(path, {"state_dict": collections.OrderedDict(entries)}, [storage])

    def write_h5(path):
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file.create_dataset(f"layer/{name}", data=array, compression="gzip")

    def write_fastmri(path):
        kspace = rng.standard_normal((1, 2, 12, 10)) + 1j * rng.standard_normal((1, 2, 12, 10))
        with h5py.File(path, "w") as file:
            file["kspace"] = kspace.astype("complex64")
            file["mask"] = np.ones(10, "float32")

    def read_card(path):
        shutil.copy(path, folder / "carded.json")
        models.load(folder / "carded.weights.h5")

    def picture(kind, **options):
        stream = io.BytesIO()
        Image.fromarray(np.kron(arrays["x"][0], np.ones((5, 5), "uint8"))).save(
            stream, kind, **options
        )
        return stream.getvalue()

    network.save_weights(folder / "carded.weights.h5")
    card = {"model": "RDIDN", "config": network.get_config(), "metrics": {}}
    found = {
        "npz": Format(
            ".npz",
            [
                written("a.npz", lambda path: np.savez(path, **arrays)),
                written("b.npz", lambda path: np.savez_compressed(path, **arrays)),
            ],
            read_arrays,
        ),
        "npy": Format(".npy", [written("a.npy", lambda p: np.save(p, arrays["A"]))], read_arrays),
        "checkpoint": Format(".npz", [written("c.npz", write_checkpoint)], read_checkpoint),
        "weights": Format(
            ".weights.h5",
            [written("a.weights.h5", network.save_weights)],
            lambda path: load_weights_file(network, path),
        ),
        "keras": Format(
            ".keras",
            [written("a.keras", dense.save)] * 4 + [written("b.keras", network.save)],
            models.load,
        ),
        "card": Format(".json", [json.dumps(card).encode()], read_card),
        "caffemodel": Format(
            ".caffemodel", [caffemodel(caffe)], lambda path: load_caffe_weights(idn, path)
        ),
        "safetensors": Format(".safetensors", [safetensors({"A": arrays["A"]})], read_published),
        "torch": Format(".pth", [written("a.pth", write_torch)], read_published),
        "hdf5": Format(".h5", [written("a.h5", write_h5)], read_published),
        "fastmri": Format(".h5", [written("k.h5", write_fastmri)], read_mri),
        "pictures": Format(
            ".png",
            [picture("PNG"), picture("JPEG"), picture("TIFF"), picture("WEBP"), picture("BMP")],
            read_image,
        ),
    }
    try:
        import nibabel
    except ImportError:
        return found
    volume = nibabel.Nifti1Image(arrays["A"][..., None], np.eye(4))
    plain = written("v.nii", lambda path: nibabel.save(volume, path))
    packed = written("v.nii.gz", lambda path: nibabel.save(volume, path))
    return {
        **found,
        "nifti": Format(".nii", [plain], read_mri),
        "nifti.gz": Format(".nii.gz", [packed], read_mri),
    }


def load_targets(idn) -> Iterator:
    """Layers of an IDN by their names in Caffe."""
    from keras_imaging.models.converters import caffe_idn

    return caffe_idn._targets(idn)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The content of a file with something wrong."""
    if content[:2] == b"PK" and rng.random() < 0.6:
        return _in_archive(content, rng)
    if content[:1] == b"{" and rng.random() < 0.7:
        return _json(content, rng)
    return _bytes(content, rng)


def _bytes(content, rng):
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        place = rng.randrange(len(data))
        match rng.randrange(7):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                data[place] = rng.randrange(256)
            case 2:
                size = rng.choice((1, 2, 4, 8))
                number = rng.choice(_EXTREMES) % 256**size
                data[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 3:
                del data[place:]
            case 4:
                del data[place : place + rng.randrange(1, 64)]
            case 5:
                data[place:place] = data[rng.randrange(len(data)) :][: rng.randrange(1, 256)]
            case 6:
                data[place : place + 8] = bytes(8)
    return bytes(data)


def _in_archive(content, rng):
    """One member is damaged, or is a bomb, and its checksum is right."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        names = old.namelist()
        chosen = rng.choice(names)
        packing = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(result, "w", packing) as new:
            for name in names:
                data = old.read(name)
                if name == chosen:
                    if rng.random() < 0.1:
                        continue
                    data = _json(data, rng) if data[:1] == b"{" else _bytes(data, rng)
                new.writestr(name, data)
    return result.getvalue()


def _json(content, rng):
    try:
        tree = json.loads(content)
    except ValueError:
        return _bytes(content, rng)
    for _ in range(rng.choice((1, 1, 2))):
        places = list(_places(tree))
        holder, key = rng.choice(places)
        holder[key] = rng.choice(
            (0, -1, 7, 10_000, 10**9, 10**30, 1.5, None, True, "", "x", "/etc/passwd", [], {}, [[]])
            + ([[holder[key]]], "NaN")
        )
    text = json.dumps(tree)
    if rng.random() < 0.05:
        text = text[:-1] + ', "deep": ' + "[" * 100_000 + "]" * 100_000 + "}"
    return text.encode()


def _places(tree):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)


def faults(
    count: int, seed: int, folder: pathlib.Path, only: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, pathlib.Path]]:
    """What goes wrong with `count` damaged files of each format: its name, what, and the file."""
    for name, kind in formats(folder).items():
        if only and name not in only:
            continue
        rng = random.Random(f"{name} {seed}")
        for number in range(count):
            path = folder / f"{name}-{number}{kind.suffix}"
            path.write_bytes(damaged(rng.choice(kind.contents), rng))
            before, started = _peak(), time.process_time()
            wrong = ""
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    kind.read(path)
            except (ValueError, OSError):
                pass
            except Exception:
                wrong = traceback.format_exc(limit=-3)
            seconds, grown = time.process_time() - started, _peak() - before
            if grown > MOST_BYTES:
                wrong += f"took {grown:,} bytes"
            elif seconds > MOST_SECONDS:
                wrong += f"took {seconds:.1f} seconds"
            if wrong:
                yield name, wrong, path
            else:
                path.unlink()
            if name == "checkpoint":
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)


def _peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main():
    """Run many, and tell what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=())
    arguments = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-"))
    with tempfile.TemporaryDirectory() as scratch:
        names = [
            n for n in formats(pathlib.Path(scratch)) if not arguments.only or n in arguments.only
        ]
    each = -(-arguments.count // len(names))
    started, found = time.monotonic(), 0
    for name, wrong, path in faults(each, arguments.seed, folder, tuple(names)):
        found += 1
        print(f"{name}: {path}\n{wrong}", flush=True)
    print(
        f"{each * len(names)} files of {len(names)} formats, {found} faults, "
        f"{time.monotonic() - started:.0f} s, {_peak() / 1e6:.0f} MB at most"
    )
    if not found:
        shutil.rmtree(folder)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
