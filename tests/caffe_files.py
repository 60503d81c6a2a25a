"""Caffe model files, put together byte by byte."""

import struct


def varint(number):
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])


def bytes_field(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def number_field(field, value):
    return varint(field << 3) + varint(value)


def blob(array):
    shape = bytes_field(7, bytes_field(1, b"".join(varint(n) for n in array.shape)))
    return shape + bytes_field(5, array.astype("<f4").tobytes())


def old_blob(array):
    """Four fixed axes, and every value a field of its own."""
    shape = (1,) * (4 - array.ndim) + array.shape
    axes = b"".join(number_field(axis, n) for axis, n in enumerate(shape, start=1))
    key = varint(5 << 3 | 5)
    return axes + b"".join(key + struct.pack("<f", value) for value in array.ravel())


def caffemodel(layers):
    message = bytes_field(1, b"IDN")
    for name, blobs in layers.items():
        content = bytes_field(1, name.encode()) + bytes_field(2, b"Convolution")
        content += b"".join(bytes_field(7, blob(array)) for array in blobs)
        # Layers without weights stand between those with.
        message += bytes_field(100, content)
        message += bytes_field(100, bytes_field(1, name.encode() + b"_relu") + number_field(10, 1))
    return message


def old_caffemodel(layers):
    message = b""
    for name, blobs in layers.items():
        content = b"".join(bytes_field(6, old_blob(array)) for array in blobs)
        message += bytes_field(2, content + bytes_field(4, name.encode()) + number_field(5, 4))
    return message
