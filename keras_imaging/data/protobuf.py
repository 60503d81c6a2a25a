"""Read protobuf messages, sequences of (field number, wire type, value), without protobuf."""

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field number and value of everything in a message.

    Args:
        message: bytes; parts of it that are skipped are not looked at.

    Raises:
        ValueError: if it is no message, or ends too early.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        field, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield field, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(message, position)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {wire_type} at byte {position}")
        if position + length > len(message):
            raise ValueError("it ends in the middle of a field")
        yield field, message[position : position + length]
        position += length


def varints(value: int | memoryview) -> list[int]:
    """A repeated integer field: one value, or several packed into bytes."""
    if isinstance(value, int):
        return [value]
    numbers, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        numbers.append(number)
    return numbers


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A base-128 number, low digits first, and the position behind it."""
    number = shift = 0
    while True:
        if position >= len(message) or shift > 63:
            raise ValueError("it ends in the middle of a number")
        digit = message[position]
        position += 1
        number |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            return number, position
