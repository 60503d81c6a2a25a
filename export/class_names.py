"""Names of classes inside LiteRT files."""

import pathlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# Name of the entry of the file's metadata: one class a line, in the order of the labels.
CLASS_NAMES = "class_names"
_IDENTIFIER = b"TFL3"


def write_class_names(path: str | pathlib.Path, names: list[str]) -> None:
    """Put names of classes into the metadata of a LiteRT file.

    Raises:
        ValueError: if a name holds a line break.
    """
    broken = [name for name in names if len(name.splitlines()) > 1]
    if broken:
        raise ValueError(f"Expected class names of one line. Received: {broken[0]!r}")
    path = pathlib.Path(path)
    content = path.read_bytes()
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for weights in model.buffers:
        # The quantizer writes weights behind the tables, which would be lost with their places.
        if weights.offset > 1:
            weights.data = np.frombuffer(content, "uint8", weights.size, weights.offset)
            weights.offset = weights.size = 0
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list("\n".join(names).encode())
    entry.name, entry.buffer = CLASS_NAMES.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(path.stat().st_size + 1024)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    path.write_bytes(builder.Output())


def read_class_names(path: str | pathlib.Path) -> list[str] | None:
    """Names of the classes in the order of the labels, or None where the file has none.

    Args:
        path: a `.tflite` file.

    Raises:
        OSError: if it cannot be read.

    Example:
        >>> read_class_names("pets.tflite")
        ['cat', 'dog']
    """
    model = schema.Model.GetRootAsModel(pathlib.Path(path).read_bytes(), 0)
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name().decode() == CLASS_NAMES:
            data = model.Buffers(entry.Buffer()).DataAsNumpy()
            return bytes(data).decode().split("\n")
    return None
