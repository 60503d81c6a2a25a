"""Levels of pixels: whole numbers of 8 or 16 bits, and floats in 0..1."""

import numpy as np


def to_unit(image: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """uint8, uint16 or float values as floats in 0..1.

    Args:
        image: any shape.
        dtype: of the result.
    """
    values = image.astype(dtype)
    return values / values.dtype.type(np.iinfo(image.dtype).max) if _whole(image.dtype) else values


def from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as values of `dtype`: clipped to 0..1 and, for whole numbers, rounded half up.

    Args:
        values: any shape.
        dtype: uint8, uint16 or a float dtype.
    """
    values = np.clip(values, 0, 1)
    if _whole(dtype):
        values = np.floor(values * np.iinfo(dtype).max + 0.5)
    return values.astype(dtype)


def to_eight_bits(image: np.ndarray) -> np.ndarray:
    """A picture of 8 or 16 bits with 8.

    Args:
        image: uint8 or uint16, any shape.
    """
    return image if image.dtype == np.uint8 else from_unit(to_unit(image, "float64"), "uint8")


def _whole(dtype):
    return np.dtype(dtype).kind == "u"
