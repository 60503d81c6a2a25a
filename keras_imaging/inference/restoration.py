"""Restore real pictures by plug-and-play: blurred, holed, photon-starved, undersampled.

A function for each problem makes of a picture the data term that the solvers minimise against a
denoiser; `restore` runs them, and gives the picture back.
"""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
from keras import ops
from numpy.typing import ArrayLike

from keras_imaging.data.kspace import checked_kspace, checked_mask, to_pairs
from keras_imaging.inference.pictures import as_picture, from_unit, to_unit, visible_colours
from keras_imaging.inference.tiles import tiled
from keras_imaging.operators import (
    Blur,
    DataTerm,
    Gaussian,
    MaskedFourier,
    Poisson,
    Quanta,
    RealImages,
    Sampling,
    tikhonov,
)
from keras_imaging.ops.harmonic import harmonic_fill
from keras_imaging.ops.value_range import Range, in_range
from keras_imaging.picture_size import size_text
from keras_imaging.solvers import PlugAndPlayResult, pnp_admm, pnp_drs, pnp_fbs
from keras_imaging.typing import Tensor

ALGORITHMS = ("admm", "drs", "fbs")
BOUNDARIES = ("unknown", "circular")

# Of the proximal map where the border is unknown; the repeating picture is its preconditioner.
_CG_ITERATIONS = 20

# Around a tile; no denoiser of the package looks further.
_OVERLAP = 32


@dataclasses.dataclass(frozen=True)
class Problem:
    """A degraded picture as the solvers take it.

    Attributes:
        f: the data term.
        start: the first images, `(batch, height, width, channels)`.
        finished: makes the picture of the images of a solution, `(batch, ...)` NumPy.
        batched: makes images of a picture: of the truth, where it is known.
        alpha: a step that does well, by algorithm.
        n_iterations: that do.
        value_range, span: what is 0 and 1 to the denoiser, see `ops.value_range.in_range`.
        returned: which image is the result, see `solvers.pnp_fbs`.
        data_first: the order of ADMM, see `solvers.pnp_admm`.
    """

    f: DataTerm
    start: Tensor
    finished: Callable[[np.ndarray], np.ndarray]
    batched: Callable[[np.ndarray], np.ndarray]
    alpha: dict[str, float]
    n_iterations: int = 30
    value_range: Range = (0.0, 1.0)
    span: float = 1.0
    returned: str = "denoised"
    data_first: bool = False


@dataclasses.dataclass(frozen=True)
class Restored:
    """What `restore` gives.

    Attributes:
        picture: the result of the last iteration, of the dtype and channels of the input.
        best: the best on the way: the nearest to the truth, or without one that of the smallest
            residual.
        best_iteration: after how many iterations; of colours taken one by one the largest.
        result: of the solver.
    """

    picture: np.ndarray
    best: np.ndarray
    best_iteration: int
    result: PlugAndPlayResult


def deblurring(
    image: ArrayLike,
    kernel: np.ndarray,
    sigma: float,
    noise: float = 2.0,
    tikhonov_weight: float = 0.0,
    boundary: str = "unknown",
    channels: int = 1,
) -> Problem:
    """A blurred picture with Gaussian noise: f = 1/2 ||A x - y||^2.

    Args:
        image: the picture, see `inference.denoise`.
        kernel: the blur, see `operators.Blur`.
        sigma: noise that the denoiser is for, in 255ths.
        noise: standard deviation of the picture's noise in 255ths, from which alpha is taken.
        tikhonov_weight: of 1/2 ||x - y||^2, which makes f strongly convex, so that a theorem may
            apply; it draws the result to the picture as it is.
        boundary: `"unknown"`: a photograph; what lies beyond its border is restored with it, and
            left out in the end. `"circular"`: the picture repeats.
        channels: of the denoiser.

    Raises:
        ValueError: on a bad picture, or a kernel that is none or larger than it.
    """
    image = as_picture(image)
    _check_noise(noise)
    kernel = np.asarray(kernel, "float64")
    if boundary not in BOUNDARIES:
        raise ValueError(f"`boundary` must be one of {BOUNDARIES}. Received: {boundary!r}")
    if kernel.ndim != 2 or any(k > n for k, n in zip(kernel.shape, image.shape, strict=False)):
        raise ValueError(
            "The kernel must be (height, width), and not larger than the picture of "
            f"{size_text(*image.shape[:2])}. Received shape {kernel.shape}."
        )
    batched, finished = _layout(image, channels)
    y = batched(to_unit(visible_colours(image)))
    rim = [(side - 1 - side // 2, side // 2) for side in kernel.shape]
    rim = rim if boundary == "unknown" else [(0, 0), (0, 0)]
    start = np.pad(y, ((0, 0), *rim, (0, 0)), "edge")
    A = Blur(kernel, start.shape[1:])
    seen = tuple(
        slice(before, before + side) for (before, _), side in zip(rim, y.shape[1:3], strict=True)
    )
    if boundary == "unknown":
        mask = np.zeros((*start.shape[1:3], 1), "float32")
        mask[seen] = 1
        A = Sampling(mask, start.shape[1:]) @ A
        y = np.pad(y, ((0, 0), *rim, (0, 0)))
    f = tikhonov(Gaussian(A, y, n_iterations=_CG_ITERATIONS), tikhonov_weight, start)
    ratio = _variance_ratio(sigma, noise)
    return Problem(
        f,
        ops.convert_to_tensor(start),
        lambda images: finished(images[:, seen[0], seen[1]]),
        lambda truth: np.pad(batched(truth), ((0, 0), *rim, (0, 0)), "edge"),
        {"admm": ratio, "drs": ratio, "fbs": 1 / f.L},
        n_iterations=15,
    )


def hole_filling(
    image: ArrayLike,
    known: np.ndarray,
    sigma: float,
    noise: float = 2.0,
    tikhonov_weight: float = 0.0,
    channels: int = 1,
) -> Problem:
    """A picture of which some pixels are missing: f = 1/2 ||M x - y||^2.

    For pixels that are missing here and there. A hole wider than the denoiser sees is filled
    smoothly; `inference.inpaint` is for those.

    Args:
        image: the picture, see `inference.denoise`.
        known: `(height, width)`, true where a pixel is known.
        sigma, noise, channels: as of `deblurring`.
        tikhonov_weight: of 1/2 ||x - s||^2, s the smoothest filling.

    Raises:
        ValueError: on a bad picture, or a mask of another size or without a known pixel.
    """
    image = as_picture(image)
    _check_noise(noise)
    known = np.asarray(known) > 0
    if known.shape != image.shape[:2]:
        raise ValueError(
            f"Expected a mask of the picture's size, {size_text(*image.shape[:2])}. Received shape "
            f"{known.shape}."
        )
    if not known.any():
        raise ValueError("The mask has no known pixel: there is nothing to go by.")
    batched, finished = _layout(image, channels)
    y = batched(to_unit(visible_colours(image))) * known[..., None]
    hole = ops.convert_to_tensor((~known)[None, ..., None].astype("float32"))
    start = harmonic_fill(ops.convert_to_tensor(y), hole)
    mask = known[..., None].astype("float32")
    f = tikhonov(Gaussian(Sampling(mask, y.shape[1:]), y), tikhonov_weight, start)
    ratio = _variance_ratio(sigma, noise)
    alpha = {"admm": ratio, "drs": ratio, "fbs": 1 / f.L}
    return Problem(f, start, finished, batched, alpha)


def photon_counts(image: ArrayLike, peak: float, channels: int = 1) -> Problem:
    """A picture of photon counts: f = sum of x - y log x.

    Args:
        image: counts, in parts of the picture's white.
        peak: how many photons white is.
        channels: of the denoiser.

    Raises:
        ValueError: on a bad picture, or a peak that is not positive.

    Warns:
        UserWarning: if the counts are not whole numbers.
    """
    image = as_picture(image)
    if not 0 < peak < np.inf:
        raise ValueError(f"`peak` must be positive. Received: peak={peak}")
    batched, finished = _layout(image, channels)
    counts = batched(to_unit(visible_colours(image), "float64")) * peak
    counts = _whole(counts, peak, image.dtype, "photon counts")
    f = Poisson(counts.astype("float32"))
    return Problem(
        f,
        f.start(),
        lambda images: finished(images / peak),
        lambda truth: batched(truth) * np.float32(peak),
        {"admm": 0.1, "drs": 0.1, "fbs": 0.1},
        n_iterations=100,
        value_range=("min", "max"),
    )


def one_bit_photons(image: ArrayLike, oversampling: int, channels: int = 1) -> Problem:
    """The share of one-bit sensors that fired in every pixel: f = sum of K0 x - K1 log(1 - e^-x).

    Args:
        image: the share, in parts of the picture's white.
        oversampling: K; a pixel has K x K sensors.
        channels: of the denoiser.

    Raises:
        ValueError: on a bad picture, or K below 1.

    Warns:
        UserWarning: if the shares are no multiples of 1 / K^2.
    """
    image = as_picture(image)
    batched, finished = _layout(image, channels)
    sensors = oversampling**2
    ones = batched(to_unit(visible_colours(image), "float64")) * sensors
    ones = _whole(ones, sensors, image.dtype, "counts of one-bit sensors")
    f = Quanta(ones.astype("float32"), oversampling)
    return Problem(
        f,
        f.start(),
        finished,
        batched,
        {"admm": 0.01, "drs": 0.01, "fbs": 0.005},
        n_iterations=15,
        value_range=(0.0, "max"),
        span=0.4,
        returned="data",
        data_first=True,
    )


def compressed_mri(
    kspace: np.ndarray, mask: np.ndarray, sigma: float, noise: float | None = None
) -> Problem:
    """A real image from a part of its k-space: f = 1/2 ||P F x - y||^2, all of one coil.

    Args:
        kspace: complex `(height, width)`, its centre at `size // 2`, orthonormal.
        mask: 0 and 1, `(height, width)`.
        sigma: noise that the denoiser is for, in 255ths of the largest zero-filled value.
        noise: standard deviation of the noise of the real and of the imaginary part of k-space, in
            its unit; None takes that of the denoiser.

    Raises:
        ValueError: on k-space or a mask that are none.
    """
    kspace = checked_kspace(np.asarray(kspace))
    if kspace.ndim != 2:
        raise ValueError(
            f"Expected k-space of one coil, (height, width). Received shape {kspace.shape}."
        )
    mask = checked_mask(np.asarray(mask), kspace.shape)[0].astype("float32")
    A = MaskedFourier(mask, dtype="float32") @ RealImages(kspace.shape)
    y = to_pairs(kspace * mask)[None].astype("float32")
    back = ops.convert_to_numpy(A.adjoint(y))
    unit = float(np.abs(back).max()) or 1.0
    f = Gaussian(A, y / np.float32(unit))
    noise = sigma / 255 if noise is None else noise / unit
    _check_noise(noise)
    ratio = _variance_ratio(sigma / 255, noise)

    def batched(truth):
        return (np.asarray(truth, "float32") / np.float32(unit))[None, ..., None]

    return Problem(
        f,
        ops.convert_to_tensor(np.abs(back) / np.float32(unit)),
        lambda images: images[0, ..., 0] * np.float32(unit),
        batched,
        {"admm": ratio, "drs": ratio, "fbs": 0.4},
    )


def restore(
    problem: Problem,
    denoiser: Callable[[Tensor], Tensor],
    algorithm: str = "admm",
    alpha: float | None = None,
    n_iterations: int | None = None,
    truth: np.ndarray | None = None,
    tile: int = 512,
    progress: bool = False,
) -> Restored:
    """Restore a picture by a splitting method with a denoiser.

    Larger pictures are denoised tile by tile inside each iteration: what the network needs of
    memory is bounded, and the result that of the whole.

    Args:
        problem: of `deblurring`, `hole_filling`, `photon_counts`, `one_bit_photons` or
            `compressed_mri`.
        denoiser: a `models.Denoiser`, of which the problem says the range; or any function of
            batches of images in 0..1 that compiles.
        algorithm: `"admm"`, `"drs"` or `"fbs"`.
        alpha: the step; None takes the problem's.
        n_iterations: None takes the problem's.
        truth: what the picture should be, float `(height, width)` or `(height, width, channels)`
            in 0..1 (of k-space in the image's own unit), for `best`.
        tile: side of the network's input in pixels, above 64.
        progress: show a bar.

    Raises:
        ValueError: on another algorithm, an argument out of its range, or when it diverges.

    Example:
        >>> from keras_imaging.models import Denoiser, SimpleCNN
        >>> blurred = np.zeros((24, 20, 3), "uint8")
        >>> problem = deblurring(blurred, np.ones((3, 3)), sigma=25)
        >>> restore(problem, Denoiser(SimpleCNN(filters=4)), n_iterations=2).picture.shape
        (24, 20, 3)

    Reference:
        See `solvers.plug_and_play`.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"`algorithm` must be one of {ALGORITHMS}. Received: {algorithm!r}")
    prior = prior_of(problem, denoiser, tile)
    options = {"data_first": problem.data_first} if algorithm == "admm" else {}
    solve = {"admm": pnp_admm, "drs": pnp_drs, "fbs": pnp_fbs}[algorithm]
    result = solve(
        problem.f,
        prior,
        problem.alpha[algorithm] if alpha is None else alpha,
        n_iterations=problem.n_iterations if n_iterations is None else n_iterations,
        start=problem.start,
        returned=problem.returned,
        truth=None if truth is None else problem.batched(np.asarray(truth, "float32")),
        progress=progress,
        **options,
    )
    pictures = (problem.finished(ops.convert_to_numpy(x)) for x in (result.x, result.best))
    best_iteration = int(np.max(ops.convert_to_numpy(result.best_iteration)))
    return Restored(*pictures, best_iteration, result)


def prior_of(
    problem: Problem, denoiser: Callable[[Tensor], Tensor], tile: int = 512
) -> Callable[[Tensor], Tensor]:
    """The denoiser in the problem's range of values, tile by tile where images are large.

    Args:
        problem, denoiser, tile: see `restore`.
    """
    plain = denoiser.with_range() if hasattr(denoiser, "with_range") else denoiser
    plain = tiled(plain, tuple(problem.start.shape[1:3]), tile, _OVERLAP)
    return lambda x: in_range(plain, x, problem.value_range, problem.span)


def _layout(image, channels):
    """Functions from a float picture to a batch of images for a denoiser, and back to a picture."""
    if channels not in (1, 3):
        raise ValueError(f"Expected a denoiser of 1 or 3 channels. Received: {channels} channels.")
    grey = image.ndim == 2 or image.shape[2] == 1

    def batched(values):
        colours = np.atleast_3d(np.asarray(values))[..., :3].astype("float32")
        if channels == 1:
            return np.ascontiguousarray(colours.transpose(2, 0, 1)[..., None])
        return np.broadcast_to(colours, (*colours.shape[:2], 3))[None]

    def finished(images):
        if channels == 1:
            colours = images[..., 0].transpose(1, 2, 0)
        else:
            colours = images[0].mean(axis=-1, keepdims=True) if grey else images[0]
        result = from_unit(colours, image.dtype)
        if image.shape[2:] == (4,):
            result = np.concatenate([result, image[..., 3:]], axis=-1)
        return result.reshape(image.shape)

    return batched, finished


def _whole(counts, white, dtype, name):
    """Counts as whole numbers, where that is no more than the rounding of the picture."""
    rounded = np.round(counts)
    step = white / np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1e-4 * white
    if np.abs(counts - rounded).max() <= 0.51 * step:
        return rounded
    warnings.warn(f"The {name} are not whole numbers; they are taken as they are.", stacklevel=3)
    return counts


def _variance_ratio(sigma, noise):
    """alpha: of 1/2 ||A x - y||^2 in units in which the denoiser's noise has variance 1."""
    return (sigma / noise) ** 2


def _check_noise(noise):
    if not 0 < noise < np.inf:
        raise ValueError(f"`noise` must be positive. Received: noise={noise}")
