"""Weights files of other libraries, written as those write them."""

import collections
import contextlib
import io
import json
import pickle
import struct
import sys
import types
import zipfile


def safetensors(arrays):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    kinds = {"float32": "F32", "float16": "F16", "int64": "I64"}
    for name, array in arrays.items():
        data = array.tobytes()
        entry = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape)}
        header[name] = {**entry, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class Storage:
    def __init__(self, kind, key, array):
        self.kind, self.key, self.array = kind, key, array


class Tensor:
    """Pickled as a tensor of PyTorch: a function and a place in a storage."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


@contextlib.contextmanager
def torch_writer():
    """A function that writes objects as a PyTorch checkpoint, by stand-ins for its modules."""

    def _rebuild_tensor_v2():
        raise AssertionError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "HalfStorage", "LongStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    torch._utils = utils

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            return ("storage", getattr(torch, item.kind), item.key, "cpu", item.array.size)

    def write(path, content, storages):
        pickled = io.BytesIO()
        Pickler(pickled, protocol=2).dump(content)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickled.getvalue())
            for storage in storages:
                archive.writestr(f"archive/data/{storage.key}", storage.array.tobytes())
        return path

    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        yield write
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
