"""ITU-R BT.601 studio-range colour, as MATLAB's `rgb2ycbcr` has it."""

import keras
import numpy as np

from keras_imaging.typing import Tensor

_FORWARD = (
    np.array(
        [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]],
    )
    / 255.0
)
_OFFSET = np.array([16.0, 128.0, 128.0]) / 255.0
_INVERSE = np.linalg.inv(_FORWARD)


def _check(image: Tensor) -> None:
    if len(image.shape) < 3 or image.shape[-1] != 3:
        raise ValueError(
            f"Expected an image with 3 channels last. Received shape {tuple(image.shape)}."
        )
    dtype = keras.backend.standardize_dtype(image.dtype)
    if "float" not in dtype and not (isinstance(image, np.ndarray) and dtype == "uint8"):
        raise ValueError(f"Expected float values or a NumPy uint8 array. Received dtype {dtype}.")


def _to_uint8(image: np.ndarray) -> np.ndarray:
    # MATLAB rounds half up; NumPy's rint goes to even.
    return np.clip(np.floor(image * 255.0 + 0.5), 0, 255).astype("uint8")


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """RGB to YCbCr: luma in 16..235 of 255, chroma in 16..240 of 255.

    Args:
        image: `(..., 3)`. NumPy uint8 in 0..255 gives rounded uint8; float arrays and tensors are
            in 0..1 and give float of the same type.

    Raises:
        ValueError: if the last axis does not have 3 channels, or on another integer type.
    """
    _check(image)
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8:
            return _to_uint8(image.astype("float64") / 255.0 @ _FORWARD.T + _OFFSET)
        return (image @ _FORWARD.T + _OFFSET).astype(image.dtype)
    matrix = keras.ops.convert_to_tensor(_FORWARD.T, dtype=image.dtype)
    return keras.ops.matmul(image, matrix) + keras.ops.convert_to_tensor(_OFFSET, dtype=image.dtype)


def ycbcr_to_rgb(image: Tensor) -> Tensor:
    """Inverse of `rgb_to_ycbcr`; float results are not clipped.

    Args:
        image: `(..., 3)`. NumPy uint8 gives rounded and clipped uint8; floats are in 0..1.

    Raises:
        ValueError: if the last axis does not have 3 channels, or on another integer type.
    """
    _check(image)
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8:
            return _to_uint8((image.astype("float64") / 255.0 - _OFFSET) @ _INVERSE.T)
        return ((image - _OFFSET) @ _INVERSE.T).astype(image.dtype)
    matrix = keras.ops.convert_to_tensor(_INVERSE.T, dtype=image.dtype)
    offset = keras.ops.convert_to_tensor(_OFFSET, dtype=image.dtype)
    return keras.ops.matmul(image - offset, matrix)
