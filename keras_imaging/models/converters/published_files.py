"""Read files of weights that other libraries have written, with NumPy and h5py alone."""

import io
import json
import os
import pathlib
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict

import h5py
import numpy as np

from keras_imaging.data.arrays import load_npz
from keras_imaging.data.reading import Budget, array_size, datasets_of, reading

Array = np.ndarray

# How the two formats call their types; bfloat16 is the upper half of a float32.
_SAFETENSORS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bfloat16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
# Under which checkpoints keep their weights.
_INSIDE = ("state_dict_ema", "state_dict", "model_state_dict", "model")
_HUB = "hf:"


def read_published(source: str | os.PathLike) -> dict[str, Array]:
    """The arrays of a file by their names.

    Args:
        source: a `.safetensors`, `.npz` or HDF5 (`.h5`) file, a checkpoint of PyTorch (`.pth`,
            `.pt`, `.bin`), of which the state dict is taken, or `hf:OWNER/NAME` of the Hugging Face
            hub. Of a checkpoint only arrays and plain containers are read; no code in it runs.

    Raises:
        ValueError: naming the file, if it cannot be read.
    """
    name = str(source)
    if name.startswith(_HUB):
        source = _from_hub(name.removeprefix(_HUB))
    path = pathlib.Path(source)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    readers = {
        ".safetensors": _safetensors,
        ".npz": load_npz,
        ".h5": read_h5,
        ".hdf5": read_h5,
        ".pth": _torch,
        # As in volo_d1.pth.tar, which is none.
        ".tar": _torch,
        ".pt": _torch,
        ".bin": _torch,
        ".ckpt": _torch,
    }
    if path.suffix not in readers:
        raise ValueError(
            f"Expected a file that ends with {', '.join(readers)}. Received: {str(path)!r}"
        )
    with reading(path):
        return readers[path.suffix](path)


def read_h5(path: str | os.PathLike) -> dict[str, Array]:
    """All arrays of an HDF5 file by their paths in it.

    Raises:
        OSError: if it is none.
        ValueError: if an array lies elsewhere, or claims more than the file holds.
    """
    with h5py.File(path, "r") as file:
        return {name: array[()] for name, array in datasets_of(file, Budget.of(path))}


def _from_hub(repository):
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Reading {_HUB}{repository} needs the package huggingface_hub; or download the file "
            "model.safetensors and give its name."
        ) from error
    try:
        return hf_hub_download(repository, "model.safetensors")
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"Cannot fetch {_HUB}{repository}: {reason}") from error


def _safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    if length > len(data) - 8:
        raise ValueError("the file is truncated")
    header = json.loads(data[8 : 8 + length])
    body = memoryview(data)[8 + length :]
    arrays, left = {}, len(body)
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        first, last = entry["data_offsets"]
        if last > len(body):
            raise ValueError("the file is truncated")
        left -= last - first
        if not 0 <= first <= last or left < 0:
            raise ValueError("its arrays overlap")
        values = _numbers(body[first:last], _SAFETENSORS[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    return arrays


def _numbers(data, dtype):
    if dtype != "bfloat16":
        return np.frombuffer(data, dtype)
    return (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")


def _torch(path):
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "it is no archive of PyTorch 1.6 or later, or truncated; save it anew with torch.save"
        )
    with zipfile.ZipFile(path) as archive:
        budget = Budget.of(path)
        for member in archive.infolist():
            budget.take(member.file_size, f"{member.filename!r}")
        (pickled,) = [n for n in archive.namelist() if n.endswith("/data.pkl")]
        folder = pickled.removesuffix("data.pkl")
        data = archive.read(pickled)
        _check_memo(data)
        content = _Unpickler(archive, folder, data, budget).load()
    for key in _INSIDE:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    arrays = {n: v for n, v in dict(content).items() if isinstance(v, np.ndarray)}
    if not arrays:
        raise ValueError("it holds no state dict")
    return arrays


def _check_memo(data):
    """Refuse a pickle that numbers more objects than it can hold: memory is asked for them all."""
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(data):
            raise ValueError(f"object {argument:,} of a pickle of {len(data):,} bytes")


class _Unpickler(pickle.Unpickler):
    """Arrays and plain containers; whatever else a file names is refused, never called."""

    def __init__(self, archive, folder, data, budget):
        super().__init__(io.BytesIO(data))
        self._archive = archive
        self._folder = folder
        self._budget = budget

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return self._rebuilt
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda array, *_: array
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise pickle.UnpicklingError(
            f"it holds {module}.{name}, and not only arrays; save the state dict alone"
        )

    def persistent_load(self, identity):
        _, dtype, key, *_ = identity
        name = f"{self._folder}data/{key}"
        self._budget.take(self._archive.getinfo(name).file_size, f"{name!r}")
        return _numbers(self._archive.read(name), dtype)

    def _rebuilt(self, storage, offset, shape, strides, *_):
        """A tensor of PyTorch: a view of a storage."""
        # Strides of 0 make much of little.
        self._budget.take(array_size(shape, storage.dtype), "a tensor")
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if 0 in shape:
            return np.zeros(shape, storage.dtype)
        if offset < 0 or min(strides, default=0) < 0 or last >= len(storage):
            raise ValueError("an array reaches beyond its storage")
        steps = [s * storage.itemsize for s in strides]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps).copy()
