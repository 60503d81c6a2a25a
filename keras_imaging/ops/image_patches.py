"""Extract patches of an image and merge them."""

import numpy as np


def extract_patches(image: np.ndarray, size: int, stride: int | None = None) -> np.ndarray:
    """Square patches from left to right, row after row.

    An image whose sides the patches do not fill is continued with zeros below and on the right.

    Args:
        image: `(height, width)` or `(height, width, channels)`.
        size: side of a patch in pixels.
        stride: pixels from one patch to the next, 1 ... size; None takes `size`: patches side by
            side.

    Returns:
        `(n_patches, size, size)` or `(n_patches, size, size, channels)`, of the image's dtype.

    Raises:
        ValueError: on another rank, an empty image, or a size or stride out of range.

    Example:
        >>> extract_patches(np.zeros((20, 40)), 16).shape
        (6, 16, 16)
    """
    stride = size if stride is None else stride
    _check(np.shape(image), size, stride)
    counts = _counts(image.shape, size, stride)
    missing = [
        (0, (count - 1) * stride + size - side)
        for count, side in zip(counts, image.shape[:2], strict=True)
    ]
    image = np.pad(image, [*missing, *[(0, 0)] * (image.ndim - 2)])
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))
    windows = np.moveaxis(windows[::stride, ::stride], (-2, -1), (2, 3))
    return windows.reshape(-1, size, size, *image.shape[2:])


def merge_patches(
    patches: np.ndarray, image_shape: tuple[int, ...], stride: int | None = None
) -> np.ndarray:
    """The image that `extract_patches` cut; where patches overlap, their mean.

    Args:
        patches: `(n_patches, size, size)` or `(n_patches, size, size, channels)`.
        image_shape: of the image, without what was added below and on the right.
        stride: as it was cut.

    Returns:
        The image, float64 if the stride is smaller than a patch, else of the patches' dtype.

    Raises:
        ValueError: if the patches are not those of such an image.
    """
    size = patches.shape[1] if patches.ndim > 1 else 0
    stride = size if stride is None else stride
    _check(image_shape, size, stride)
    rows, columns = _counts(image_shape, size, stride)
    expected = (rows * columns, size, size, *image_shape[2:])
    if patches.shape != expected:
        raise ValueError(
            f"An image of shape {tuple(image_shape)} has patches of shape {expected} at stride "
            f"{stride}. Received shape {patches.shape}."
        )
    padded = ((rows - 1) * stride + size, (columns - 1) * stride + size, *image_shape[2:])
    grid = patches.reshape(rows, columns, *patches.shape[1:])
    if stride == size:
        image = np.swapaxes(grid, 1, 2).reshape(padded)
    else:
        image, weight = np.zeros(padded), np.zeros(padded)
        for i in range(size):
            for j in range(size):
                # Pixel (i, j) of every patch: they do not meet one another.
                places = (
                    slice(i, i + (rows - 1) * stride + 1, stride),
                    slice(j, j + (columns - 1) * stride + 1, stride),
                )
                image[places] += grid[:, :, i, j]
                weight[places] += 1
        image /= weight
    return image[: image_shape[0], : image_shape[1]]


def _counts(image_shape, size, stride):
    return tuple(1 + max(0, -(-(side - size) // stride)) for side in image_shape[:2])


def _check(image_shape, size, stride):
    if len(image_shape) not in (2, 3) or 0 in image_shape:
        raise ValueError(
            "Expected an image of shape (height, width) or (height, width, channels). Received "
            f"shape {tuple(image_shape)}."
        )
    if size < 1:
        raise ValueError(f"`size` must be at least 1. Received: size={size}")
    if not 1 <= stride <= size:
        raise ValueError(f"`stride` must be in 1 ... {size}. Received: stride={stride}")
