"""Crop images as evaluation protocols do."""

from keras_imaging.typing import Tensor


def _spatial_axes(image: Tensor) -> tuple[int, int]:
    rank = len(image.shape)
    if rank not in (2, 3, 4):
        raise ValueError(
            "Expected an image of shape (height, width), (height, width, channels) or "
            f"(batch, height, width, channels). Received shape {tuple(image.shape)}."
        )
    return (1, 2) if rank == 4 else (0, 1)


def modcrop(image: Tensor, scale: int) -> Tensor:
    """Drop rows at the bottom and columns at the right until `scale` divides both sides.

    Args:
        image: `(height, width)`, `(height, width, channels)` or `(batch, height, width, channels)`.
        scale: positive integer.

    Raises:
        ValueError: if `scale` is not a positive integer or the image is smaller than `scale`.
    """
    if scale < 1 or int(scale) != scale:
        raise ValueError(f"`scale` must be a positive integer. Received: scale={scale}")
    axes = _spatial_axes(image)
    height, width = (image.shape[a] // scale * scale for a in axes)
    if not (height and width):
        raise ValueError(
            f"The image is smaller than `scale`. Received shape {tuple(image.shape)}, scale={scale}"
        )
    crop = (slice(height), slice(width))
    return image[(slice(None), *crop)] if axes[0] else image[crop]


def shave(image: Tensor, border: int) -> Tensor:
    """Remove `border` pixels from each of the four sides.

    Args:
        image: `(height, width)`, `(height, width, channels)` or `(batch, height, width, channels)`.
        border: pixels to remove, 0 or more.

    Raises:
        ValueError: if `border` is negative or leaves no pixel.
    """
    axes = _spatial_axes(image)
    if border < 0 or any(image.shape[a] <= 2 * border for a in axes):
        raise ValueError(
            f"`border` must be 0 or more and leave pixels. Received border={border} for an image "
            f"of shape {tuple(image.shape)}."
        )
    if border == 0:
        return image
    crop = (slice(border, -border), slice(border, -border))
    return image[(slice(None), *crop)] if axes[0] else image[crop]
