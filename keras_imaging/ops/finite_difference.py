"""Finite differences of images, and their exact adjoint."""

from keras import ops

from keras_imaging.typing import Tensor


def finite_difference(images: Tensor) -> Tensor:
    """Differences to the pixel below and to the pixel on the right; zero at the far edges.

    Args:
        images: `(batch, height, width, channels)`, real or complex.

    Returns:
        `(batch, height, width, channels, 2)`: down, right. The operator's norm is below sqrt(8).
    """
    down = _pad(images[:, 1:] - images[:, :-1], 1, 0, 1)
    right = _pad(images[:, :, 1:] - images[:, :, :-1], 2, 0, 1)
    return ops.stack([down, right], axis=-1)


def finite_difference_adjoint(gradients: Tensor) -> Tensor:
    """The adjoint of `finite_difference`: minus the divergence.

    Args:
        gradients: `(batch, height, width, channels, 2)`.

    Returns:
        `(batch, height, width, channels)`.
    """
    down, right = gradients[:, :-1, ..., 0], gradients[:, :, :-1, :, 1]
    return _pad(down, 1, 1, 0) - _pad(down, 1, 0, 1) + _pad(right, 2, 1, 0) - _pad(right, 2, 0, 1)


def _pad(images, axis, before, after):
    widths = [(0, 0)] * len(images.shape)
    widths[axis] = (before, after)
    return ops.pad(images, widths)
