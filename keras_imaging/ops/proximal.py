"""Proximal maps: prox_{t g}(v) = argmin over x of t g(x) + 1/2 ||x - v||^2."""

import keras
import numpy as np
from keras import ops

from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.ops.finite_difference import finite_difference, finite_difference_adjoint
from keras_imaging.typing import Tensor


def soft_threshold(x: Tensor, threshold: Tensor | float) -> Tensor:
    """Proximal map of t ||x||_1: sign(x) max(|x| - t, 0).

    Args:
        x: real or complex; a complex number keeps its phase.
        threshold: t, broadcast against x. A negative t adds magnitude, as learned ones may.
    """
    magnitude = ops.maximum(ops.abs(x) - threshold, 0)
    if _is_complex(x):
        size = ops.abs(x)
        direction = x / ops.cast(ops.where(size > 0, size, ops.ones_like(size)), x.dtype)
        return direction * ops.cast(magnitude, x.dtype)
    return ops.sign(x) * magnitude


def support_selection_threshold(x: Tensor, threshold: Tensor | float, percent: float) -> Tensor:
    """Soft threshold that lets the largest entries of each sample pass as they are.

    An entry passes if its magnitude is above both the threshold and that of the entry at index
    `selected_count(n, percent)` in descending order. What passes is a constant for the gradient.

    Args:
        x: `(batch, ...)`, real; selection is among all n entries of a sample.
        threshold: t, broadcast against x.
        percent: of the entries, 0 ... 100; 0 lets none pass.

    Raises:
        ValueError: if x is complex or the percentage is out of range.

    Reference:
        Chen et al., Theoretical linear convergence of unfolded ISTA (NeurIPS 2018), section 3.2.
    """
    if _is_complex(x):
        raise ValueError("Support selection takes real entries. Received a complex tensor.")
    shape = tuple(x.shape[1:])
    if None in shape:
        raise ValueError(f"Support selection needs known sizes. Received shape (batch, {shape}).")
    n = int(np.prod(shape))
    magnitude = ops.abs(x)
    # Half precision has ties that float32 has not; the sum of a policy's casts is done here.
    flat = ops.reshape(ops.cast(ops.stop_gradient(magnitude), "float32"), (-1, n))
    index = selected_count(n, percent)
    # The last of the largest; XLA would sort all n for a slice.
    cut = ops.min(ops.top_k(flat, index + 1)[0], axis=-1)
    cut = ops.reshape(cut, (-1,) + (1,) * len(shape))
    above = ops.logical_and(
        ops.stop_gradient(magnitude) > ops.stop_gradient(ops.convert_to_tensor(threshold)),
        ops.cast(ops.stop_gradient(magnitude), "float32") > cut,
    )
    return ops.where(above, x, soft_threshold(x, threshold))


def selected_count(n: int, percent: float) -> int:
    """Index in descending order, of n entries, of the `percent` percentile from above.

    The nearest index, in float32 as the reference computes it.

    Raises:
        ValueError: if the percentage is outside 0 ... 100.
    """
    if not 0 <= percent <= 100:
        raise ValueError(f"`percent` must be in 0 ... 100. Received: percent={percent}")
    fraction = np.float32(1) - np.float32(np.float32(100) - np.float32(percent)) / np.float32(100)
    return int(np.clip(np.rint(np.float32(n - 1) * fraction), 0, n - 1))


def group_soft_threshold(
    x: Tensor, threshold: Tensor | float, axis: int | tuple[int, ...] = -1
) -> Tensor:
    """Proximal map of t times the sum of the Euclidean lengths of groups of entries.

    Args:
        x: real or complex.
        threshold: t >= 0, broadcast against x with `axis` reduced to 1.
        axis: along which a group lies, or the axes over which one spreads.
    """
    size = euclidean_length(x, axis, keepdims=True)
    factor = ops.maximum(size - threshold, 0) / ops.where(size > 0, size, ops.ones_like(size))
    return x * ops.cast(factor, x.dtype)


def project_nonnegative(x: Tensor) -> Tensor:
    """Proximal map of the constraint x >= 0."""
    return ops.maximum(x, 0)


def project_box(x: Tensor, low: float, high: float) -> Tensor:
    """Proximal map of the constraint low <= x <= high.

    Raises:
        ValueError: if low is above high.
    """
    if low > high:
        raise ValueError(f"`low` must not be above `high`. Received: low={low}, high={high}")
    return ops.clip(x, low, high)


def tv_prox(images: Tensor, weight: Tensor | float, n_iterations: int = 50) -> Tensor:
    """Proximal map of isotropic total variation, by projected gradient on its dual.

    p <- p + D(x) / 8 t, shortened to length 1 where longer; x = v - t D^T p. Chambolle's method
    with the step for which the dual energy falls in every iteration.

    Args:
        images: v, `(batch, height, width, channels)`, real or complex; channels apart.
        weight: t > 0, in the units of the images; a tensor broadcasts against them.
        n_iterations: of the dual.

    Raises:
        ValueError: if the weight is not positive.

    Reference:
        Chambolle, An algorithm for total variation minimization and applications (2004); Total
        variation minimization and a class of binary MRF models (2005), for the projection.
    """
    if isinstance(weight, int | float) and not weight > 0:
        raise ValueError(f"`weight` must be positive. Received: weight={weight}")

    weight = ops.convert_to_tensor(weight, images.dtype)

    def primal(dual):
        return images - weight * finite_difference_adjoint(dual)

    def iterate(_, dual):
        dual = dual + finite_difference(primal(dual)) / (8 * weight[..., None])
        length = euclidean_length(dual, -1, keepdims=True)
        return dual / ops.cast(ops.maximum(length, 1), dual.dtype)

    start = ops.zeros_like(finite_difference(images))
    return primal(ops.fori_loop(0, n_iterations, iterate, start))


def _is_complex(x):
    return keras.backend.standardize_dtype(x.dtype).startswith("complex")
