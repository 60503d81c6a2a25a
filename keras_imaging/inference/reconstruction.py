"""Images from undersampled k-space by classical methods: zero-filling, CG-SENSE, TV, wavelets.

For research. Not a medical device.
"""

import dataclasses
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_imaging.data.kspace import checked_kspace, checked_mask, to_pairs
from keras_imaging.operators import (
    FiniteDifference,
    Stack,
    sense_operator,
)
from keras_imaging.ops.complex_pairs import as_complex
from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.ops.proximal import group_soft_threshold
from keras_imaging.ops.wavelets import (
    detail_mask,
    inverse_wavelet_transform,
    wavelet_transform,
)
from keras_imaging.solvers import SolverResult, conjugate_gradient, fista, pdhg
from keras_imaging.typing import Tensor


def zero_filled(kspace: Tensor, mask: Tensor, maps: Tensor | None = None) -> Tensor:
    """A^H f: what was not sampled is taken for zero.

    Args:
        kspace: f, `(batch, height, width)` of one coil or `(batch, coils, height, width)`: complex,
            or float with a last axis of two, real and imaginary part. Its centre is at index
            `size // 2`.
        mask: 1 where k-space was sampled, else 0: `(height, width)`, or one a sample, `(batch,
            height, width)`; a side of length 1 stands for all.
        maps: of the coils, `(coils, height, width)` or `(batch, coils, height, width)`, complex or
            in pairs as `kspace`; their energy, summed over coils, at most 1. None: one coil.

    Returns:
        Images, `(batch, height, width)` complex, or in pairs as `kspace`.

    Raises:
        ValueError: on shapes that do not fit each other, integers, NaN, a mask of other values than
            0 and 1 or without samples, several coils without maps.

    Example:
        >>> kspace = np.ones((1, 8, 8), "complex64")
        >>> zero_filled(kspace, np.ones((8, 8))).shape
        TensorShape([1, 8, 8])
    """
    problem = _prepared(kspace, mask, maps)
    return problem.finished(problem.back)


def cg_sense(
    kspace: Tensor,
    mask: Tensor,
    maps: Tensor | None = None,
    l2: float = 1e-3,
    n_iterations: int = 30,
    tolerance: float = 1e-6,
    history: bool = False,
    progress: bool = False,
) -> SolverResult:
    """Least squares by conjugate gradients: (A^H A + l2 I) x = A^H f.

    Args:
        kspace, mask, maps: see `zero_filled`.
        l2: weight of the squared image, not negative.
        n_iterations: at most; few of them regularize, too.
        tolerance: relative residual at which an image is done; 0: never.
        history: see `solvers.conjugate_gradient`.
        progress: show a bar.

    Returns:
        The images as `x`, in the form of `zero_filled`'s.

    Raises:
        ValueError: as `zero_filled`, or if `l2` is negative.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Reference:
        Pruessmann, Weiger, Boernert, Boesiger, Advances in sensitivity encoding with arbitrary
        k-space trajectories (2001).
    """
    if not l2 >= 0:
        raise ValueError(f"`l2` must not be negative. Received: l2={l2}")
    problem = _prepared(kspace, mask, maps)
    result = conjugate_gradient(
        problem.back,
        _RegularizedNormal(problem.sense),
        given={**problem.given, "l2": ops.convert_to_tensor(l2, problem.f.dtype)},
        n_iterations=n_iterations,
        tolerance=tolerance,
        history=history,
        progress=progress,
    )
    return dataclasses.replace(result, x=problem.finished(result.x))


def tv(
    kspace: Tensor,
    mask: Tensor,
    maps: Tensor | None = None,
    lam: float = 0.02,
    n_iterations: int = 300,
    tolerance: float = 1e-5,
    history: bool = False,
    progress: bool = False,
) -> SolverResult:
    """Isotropic total variation: min 1/2 ||A x - f||^2 + lam sum |D x|, by primal-dual steps.

    |D x| is one length over both directions and both parts of the complex numbers.

    Args:
        kspace, mask, maps: see `zero_filled`.
        lam: weight of the variation, in parts of the largest |A^H f| of each image, so that it
            means the same for every file.
        n_iterations: at most.
        tolerance: see `solvers.pdhg`.
        history: note `"objective"`, in units in which the largest |A^H f| is 1; costs one A x in
            each iteration.
        progress: show a bar.

    Returns:
        The images as `x`, in the form of `zero_filled`'s.

    Raises:
        ValueError: as `zero_filled`, or if `lam` is negative.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Reference:
        Chambolle and Pock (2011); Rudin, Osher, Fatemi (1992) for the penalty.
    """
    _check_weight(lam)
    problem = _prepared(kspace, mask, maps)
    stack = _WithDifferences(problem.sense)
    result = pdhg(
        stack,
        _tv_conjugate_prox,
        start=problem.back,
        given={**problem.given, "lam": ops.convert_to_tensor(lam, problem.f.dtype)},
        # ||D||^2 is below 8.
        norm=(problem.norm**2 + 8) ** 0.5,
        n_iterations=n_iterations,
        tolerance=tolerance,
        measures={"objective": _TVObjective(stack)} if history else None,
        progress=progress,
    )
    return dataclasses.replace(result, x=problem.finished(result.x))


def wavelet(
    kspace: Tensor,
    mask: Tensor,
    maps: Tensor | None = None,
    lam: float = 0.01,
    wavelet: str = "db4",
    levels: int = 4,
    n_iterations: int = 100,
    tolerance: float = 1e-5,
    history: bool = False,
    progress: bool = False,
) -> SolverResult:
    """Sparse wavelet details: min 1/2 ||A x - f||^2 + lam ||W x||_1, by FISTA.

    The coarsest copy of the image is not thresholded. Images whose sides are not divisible by
    2^levels are continued with zeros for the threshold.

    Args:
        kspace, mask, maps: see `zero_filled`.
        lam: weight of the details, in parts of the largest |A^H f| of each image.
        wavelet: `"haar"`, `"db2"` or `"db4"`.
        levels: of the transform.
        n_iterations: at most.
        tolerance: see `solvers.fista`.
        history: see `solvers.fista`; the objective is that of the data.
        progress: show a bar.

    Returns:
        The images as `x`, in the form of `zero_filled`'s.

    Raises:
        ValueError: as `zero_filled`, if `lam` is negative, or on another wavelet.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Reference:
        Lustig, Donoho, Pauly, Sparse MRI (2007), for the penalty; Beck and Teboulle (2009).
    """
    _check_weight(lam)
    problem = _prepared(kspace, mask, maps)
    result = fista(
        problem.f,
        problem.sense,
        lam,
        given=problem.given,
        prox=_DetailThreshold(problem.sense.size, wavelet, levels),
        step=1 / problem.norm**2,
        n_iterations=n_iterations,
        tolerance=tolerance,
        history=history,
        progress=progress,
    )
    return dataclasses.replace(result, x=problem.finished(result.x))


# What follows holds no data, so that each solver's loop is compiled once for scans of one size.


@dataclasses.dataclass(frozen=True)
class _Sense:
    """A, of the scan that is given."""

    size: tuple[int, int]

    def __call__(self, given):
        dtype = keras.backend.standardize_dtype(given["f"].dtype)
        return sense_operator(given["mask"], given.get("maps"), self.size, dtype)


@dataclasses.dataclass(frozen=True)
class _RegularizedNormal:
    """A^H A + l2."""

    sense: _Sense

    def __call__(self, given):
        A = self.sense(given)
        return lambda x: A.adjoint(A(x)) + given["l2"] * x


@dataclasses.dataclass(frozen=True)
class _WithDifferences:
    """K = (A, D)."""

    sense: _Sense

    def __call__(self, given):
        A = self.sense(given)
        return Stack(A, FiniteDifference(A.input_shape, A.dtype))


@dataclasses.dataclass(frozen=True)
class _TVObjective:
    stack: _WithDifferences

    def __call__(self, x, given):
        A, D = self.stack(given).operators
        variation = ops.sum(euclidean_length(D(x), (-2, -1)), axis=(1, 2))
        residual = A(x) - given["f"]
        misfit = ops.sum(ops.square(residual), axis=tuple(range(1, len(residual.shape))))
        return ops.mean(0.5 * misfit + given["lam"] * variation)


def _tv_conjugate_prox(v, sigma, given):
    d, p = v
    kept = p - group_soft_threshold(p, given["lam"], axis=(-2, -1))
    return [(d - sigma * given["f"]) / (1 + sigma), kept]


@dataclasses.dataclass(frozen=True)
class _DetailThreshold:
    """Proximal map of the l1 norm of wavelet details."""

    size: tuple[int, int]
    wavelet: str
    levels: int

    def __call__(self, x, t):
        height, width = self.size
        unit = 2**self.levels
        padding = ((0, 0), (0, -height % unit), (0, -width % unit), (0, 0))
        sides = height + padding[1][1], width + padding[2][1]
        details = ops.cast(detail_mask(sides, self.levels)[..., None], x.dtype)
        values = wavelet_transform(ops.pad(x, padding), self.wavelet, self.levels)
        values = group_soft_threshold(values, t * details, axis=-1)
        return inverse_wavelet_transform(values, self.wavelet, self.levels)[:, :height, :width]


class _Problem(NamedTuple):
    """f in pairs, in units of the largest |A^H f| of each image, and what belongs to it."""

    f: Tensor
    sense: _Sense
    given: dict[str, Tensor]
    norm: float
    back: Tensor
    unit: Tensor
    pairs: bool

    def finished(self, x):
        x = x * self.unit
        return x if self.pairs else as_complex(x)


def _prepared(kspace, mask, maps):
    kspace = kspace if isinstance(kspace, np.ndarray) else ops.convert_to_numpy(kspace)
    pairs = kspace.dtype.kind == "f"
    f = checked_kspace(kspace)
    if f.ndim not in (3, 4):
        raise ValueError(
            "`kspace` must be (batch, height, width) or (batch, coils, height, width). Received "
            f"shape {f.shape}."
        )
    size = f.shape[-2:]
    mask = checked_mask(ops.convert_to_numpy(mask), size)
    if len(mask) not in (1, len(f)):
        raise ValueError(f"{len(mask)} masks do not fit {len(f)} images.")
    f, norm = f * (mask if f.ndim == 3 else mask[:, None]), 1.0
    if maps is None and f.ndim == 4:
        if f.shape[1] > 1:
            raise ValueError(f"K-space of {f.shape[1]} coils needs `maps`. Received: maps=None")
        f = f[:, 0]
    elif maps is not None:
        f = f if f.ndim == 4 else f[:, None]
        maps = checked_kspace(ops.convert_to_numpy(maps), "coil maps").astype(f.dtype)
        if maps.shape[-3:] != f.shape[1:] or (maps.ndim == 4 and len(maps) not in (1, len(f))):
            raise ValueError(
                f"`maps` must be (coils, height, width) = {f.shape[1:]}, or such a set for each of "
                f"{len(f)} images. Received shape {maps.shape}."
            )
        norm = float(np.sqrt((np.abs(maps) ** 2).sum(axis=-3).max()))
        if not norm > 0:
            raise ValueError("The coil maps are zero everywhere.")
        # One rank for all scans: TensorFlow's program for two knows neither.
        maps = maps.reshape(-1, *maps.shape[-3:])
    dtype = f.real.dtype.name
    A = sense_operator(mask, maps, size, dtype)
    f = to_pairs(f, dtype)
    # In NumPy, where tiny values do not vanish: the unit, then all else in units of it.
    unit = np.abs(f).max(axis=tuple(range(1, f.ndim)))
    unit = np.where(unit > 0, unit, 1)
    f = f / unit.reshape(-1, *(1,) * (f.ndim - 1))
    back = ops.convert_to_numpy(A.adjoint(f))
    largest = np.linalg.norm(back, axis=-1).max(axis=(1, 2))
    largest = np.where(largest > 0, largest, 1)
    f = f / largest.reshape(-1, *(1,) * (f.ndim - 1))
    factors = (largest * unit).astype(dtype).reshape(-1, 1, 1, 1)
    back = back / largest.reshape(-1, 1, 1, 1)
    f, back, factors = (ops.convert_to_tensor(v, dtype) for v in (f, back, factors))
    given = {"f": f, "mask": ops.convert_to_tensor(mask, dtype)}
    if maps is not None:
        given["maps"] = ops.convert_to_tensor(to_pairs(maps, dtype))
    return _Problem(f, _Sense(size), given, norm, back, factors, pairs)


def _check_weight(lam):
    if not lam >= 0:
        raise ValueError(f"`lam` must not be negative. Received: lam={lam}")
