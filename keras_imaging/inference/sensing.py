"""Compressive sensing of real pictures: measure their patches, and rebuild them."""

import math
from collections.abc import Callable

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_imaging.data.sensing import patch_side
from keras_imaging.inference.pictures import as_picture, from_unit, to_unit, visible_colours
from keras_imaging.operators import Matrix
from keras_imaging.operators.matrix import checked_matrix
from keras_imaging.ops.image_patches import extract_patches, merge_patches
from keras_imaging.solvers import fista
from keras_imaging.typing import Tensor

PROTOCOLS = ("oracle", "measured")


def sense(
    image: ArrayLike, recover: Callable[[Tensor], Tensor], phi: np.ndarray, dc: str = "measured"
) -> np.ndarray:
    """Send a picture through compressive sensing and back.

    It is cut into square patches side by side, each measured by Phi, rebuilt by `recover`, and put
    in its place; where patches do not fill it, its border is repeated. Colours are sensed channel
    by channel; alpha stays as it is, and what wholly transparent pixels hide does not count
    (`ops.extend_colours`).

    Args:
        image: an array, a Pillow image or a tensor: `(height, width)`, or `(height, width,
            channels)` with 1 (grey), 3 (RGB) or 4 (RGBA) channels; uint8, uint16, or float in
            0..1.
        recover: from measurements `(batch, m)` to patches without their mean, `(batch, f)`: a
            `CompressiveSensing` network or `sparse_recovery(phi, dictionary)`.
        phi: measurement matrix `(m, f)`.
        dc: what is known of a patch's mean, see `sense_plane`: `"measured"` or `"oracle"`.

    Returns:
        The rebuilt picture, of the shape and dtype of `image`, clipped and rounded.

    Raises:
        ValueError: on another shape, dtype or range, or a Phi that is not of square patches.

    Example:
        >>> model = keras_imaging.models.CompressiveSensing.from_preset("lista_cs_50")
        >>> image = np.zeros((20, 30), "uint8")
        >>> rebuilt = sense(image, model, model.measurement_matrix)
    """
    image = as_picture(image)
    size = patch_side(checked_matrix(phi, "Phi").shape[1])
    result = visible_colours(image).copy()
    # A view: what is written into it is written into the result.
    colours = np.atleast_3d(result)[..., :3]
    height, width = image.shape[:2]
    missing = ((0, -height % size), (0, -width % size))
    for channel in range(colours.shape[-1]):
        # Zeros beyond the border would show within it.
        plane = np.pad(to_unit(colours[..., channel], "float64"), missing, mode="edge")
        plane = sense_plane(plane, recover, phi, dc)[:height, :width]
        colours[..., channel] = from_unit(plane, image.dtype)
    return result


def sense_plane(
    plane: np.ndarray, recover: Callable[[Tensor], Tensor], phi: np.ndarray, dc: str = "measured"
) -> np.ndarray:
    """As `sense` for one channel, neither clipped nor rounded, as published figures are computed.

    Args:
        plane: `(height, width)`, float in 0..1. Where patches do not fill it, it is continued with
            zeros below and on the right.
        recover: see `sense`.
        phi: see `sense`.
        dc: `"measured"`: the mean of each patch is one more measurement, m + 1 in all, by which
            those of Phi are made free of it; `"oracle"`: it is taken from the true image, as the
            published figures of the learned networks have it.

    Returns:
        `(height, width)` float64.

    Raises:
        ValueError: as `sense`.
    """
    if dc not in PROTOCOLS:
        raise ValueError(f"`dc` must be one of {PROTOCOLS}. Received: dc={dc!r}")
    plane = np.asarray(plane, "float64")
    if plane.ndim != 2:
        raise ValueError(f"Expected one channel (height, width). Received shape {plane.shape}.")
    if not np.isfinite(plane).all():
        raise ValueError("The image has values that are NaN or infinite.")
    phi = checked_matrix(phi, "Phi").astype("float64")
    size = patch_side(phi.shape[1])
    patches = extract_patches(plane, size)
    pixels = patches.reshape(len(patches), -1)
    if dc == "oracle":
        mean = pixels.mean(axis=1, keepdims=True)
        measurements = (pixels - mean) @ phi.T
    else:
        with_mean = np.vstack([phi, np.full((1, phi.shape[1]), 1 / phi.shape[1])])
        taken = pixels @ with_mean.T
        mean = taken[:, -1:]
        measurements = taken[:, :-1] - mean * phi.sum(axis=1)
    rebuilt = ops.convert_to_numpy(recover(ops.convert_to_tensor(measurements, "float32")))
    if rebuilt.shape != pixels.shape:
        raise ValueError(
            f"`recover` must give patches of shape {pixels.shape}. Received shape {rebuilt.shape}."
        )
    return merge_patches((rebuilt + mean).reshape(patches.shape), plane.shape)


def measurement_rate(
    phi: np.ndarray, dc: str = "measured", size: tuple[int, int] | None = None
) -> float:
    """Measurements per pixel, the one of the mean included where it is taken.

    Args:
        phi: measurement matrix `(m, f)`.
        dc: see `sense_plane`.
        size: height and width of a picture: patches that reach beyond it cost as much as others.
            None: of a picture that they fill.
    """
    m, f = np.shape(phi)
    taken = m + (dc == "measured")
    if size is None:
        return taken / f
    side = patch_side(f)
    patches = math.prod(-(-length // side) for length in size)
    return patches * taken / math.prod(size)


def sparse_recovery(
    phi: np.ndarray,
    dictionary: np.ndarray,
    lam: float = 0.006,
    n_iterations: int = 200,
    solver: Callable = fista,
    **options,
) -> Callable[[Tensor], Tensor]:
    """Patches from measurements by a classical solver: f = D x, x sparse with Phi D x near y.

    Args:
        phi: measurement matrix `(m, f)`.
        dictionary: D `(f, n)`.
        lam: weight of the l1 norm of x, in 0..1 units of the pixels.
        n_iterations: all of which are run.
        solver: `solvers.fista` or `solvers.ista`.
        **options: further ones of the solver.

    Returns:
        A function from `(batch, m)` to `(batch, f)`.

    Raises:
        ValueError: if Phi and D do not fit, or their product has a zero column.
    """
    phi, dictionary = checked_matrix(phi, "Phi"), checked_matrix(dictionary, "D")
    if phi.shape[1] != dictionary.shape[0]:
        raise ValueError(
            f"Phi must have as many columns as D has rows. Received shapes {phi.shape} and "
            f"{dictionary.shape}."
        )
    A = Matrix(checked_matrix(phi @ dictionary, "Phi D", allow_zero_columns=False))
    atoms = Matrix(dictionary)
    options = {"tolerance": 0, "history": False, **options}

    def recover(measurements):
        return atoms(solver(measurements, A, lam, n_iterations=n_iterations, **options).x)

    return recover
