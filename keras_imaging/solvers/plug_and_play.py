"""Plug-and-play restoration: splitting methods with a denoiser for the proximal map of the prior.

All minimise nothing that could be written down; they look for a point that neither the data term f
nor the denoiser H moves. When H - I has a Lipschitz constant eps and f is strongly convex, they
converge to one such point for the steps that `analysis.convergence_certificate` tells.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_imaging.operators.fidelity import DataTerm
from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.solvers.loop import solve
from keras_imaging.solvers.result import SolverResult
from keras_imaging.steps import admm_step, drs_step, proximal_step
from keras_imaging.typing import Tensor

Denoise = Callable[[Tensor], Tensor]
RETURNED = ("denoised", "data")


@dataclasses.dataclass
class PlugAndPlayResult(SolverResult):
    """As `SolverResult`, with the best image on the way.

    Attributes:
        best: of each problem the image nearest to the truth, or where none was given that of the
            smallest fixed-point residual.
        best_iteration: `(batch,)`: after how many iterations it came.
    """

    best: Tensor = None
    best_iteration: Tensor = None


def pnp_fbs(
    f: DataTerm,
    denoiser: Denoise,
    alpha: float = 1.0,
    *,
    n_iterations: int = 100,
    tolerance: float = 0.0,
    start: Tensor | None = None,
    returned: str = "denoised",
    truth: Tensor | None = None,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> PlugAndPlayResult:
    """Forward-backward splitting: a gradient step on the data, then the denoiser.

    x+ = H(x - alpha grad f(x))

    Args:
        f: the data term, see `operators.fidelity`.
        denoiser: H: a network, a proximal map, any function of a batch of images that compiles.
        alpha: step; converges for some eps only in an interval around 1 / L.
        n_iterations: at most.
        tolerance: relative step of the variable in which the method is a fixed-point iteration, at
            which a problem stops; 0: never.
        start: an image; None: that of f.
        returned: `"denoised"`, the image after the denoiser, or `"data"`, the one before.
        truth: what the image should be, for `best`.
        measures: further figures to note, functions of the returned image that give a scalar.
        progress: show a bar.

    Returns:
        The images. The history has `"step"`, and `"residual"`, the mean length of the step.

    Raises:
        ValueError: on an argument out of range, a denoiser that changes shape or dtype, and when a
            variable is not finite: it says which, and after which iteration.

    Warns:
        NotConvergedWarning: if the tolerance is not reached.

    Example:
        >>> from keras_imaging.operators import Gaussian, Identity
        >>> from keras_imaging.ops.proximal import tv_prox
        >>> f = Gaussian(Identity((8, 8, 1)), np.ones((1, 8, 8, 1), "float32"))
        >>> x = pnp_fbs(f, lambda x: tv_prox(x, 0.1), n_iterations=5).x

    Reference:
        Ryu et al., "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", ICML
        2019, theorem 1.
    """
    prior = _checked_denoiser(denoiser)
    step = _checked_step(alpha)

    def iterate(x):
        data = None

        def backward(moved):
            nonlocal data
            data = f.project(moved)
            return prior(data)

        gradient = f.gradient(x)
        x = proximal_step(ops.cast(x, gradient.dtype), -step * gradient, backward)
        return {"x": x}, {"denoised": x, "data": data}

    x = f.start() if start is None else ops.convert_to_tensor(start)
    wishes = returned, truth, measures, progress
    return _loop("PnP-FBS", iterate, {"x": x}, x, n_iterations, tolerance, wishes)


def pnp_drs(
    f: DataTerm,
    denoiser: Denoise,
    alpha: float = 1.0,
    *,
    n_iterations: int = 100,
    tolerance: float = 0.0,
    start: Tensor | None = None,
    returned: str = "denoised",
    truth: Tensor | None = None,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> PlugAndPlayResult:
    """Douglas-Rachford splitting.

    v = prox_{alpha f}(z);  x = H(2 v - z);  z+ = z + x - v

    Args:
        alpha: larger gives the data more weight.
        f, denoiser, n_iterations, tolerance, start, truth, measures, progress: as of `pnp_fbs`, and
            so are errors, warnings and the result; the start is that of z.
        returned: `"denoised"`, x, or `"data"`, v.

    Reference:
        Ryu et al. (ICML 2019), theorem 2.
    """
    prior = _checked_denoiser(denoiser)
    step = _checked_step(alpha)

    def iterate(z):
        z, x, v = drs_step(z, lambda w: f.prox(w, step), prior)
        return {"z": z}, {"denoised": x, "data": v}

    z = f.start() if start is None else ops.convert_to_tensor(start)
    wishes = returned, truth, measures, progress
    return _loop("PnP-DRS", iterate, {"z": z}, z, n_iterations, tolerance, wishes)


def pnp_admm(
    f: DataTerm,
    denoiser: Denoise,
    alpha: float = 1.0,
    *,
    data_first: bool = False,
    n_iterations: int = 100,
    tolerance: float = 0.0,
    start: Tensor | None = None,
    returned: str = "denoised",
    truth: Tensor | None = None,
    measures: dict[str, Callable[[Tensor], Tensor]] | None = None,
    progress: bool = False,
) -> PlugAndPlayResult:
    """Alternating direction method of multipliers.

    x+ = H(y - u);  y+ = prox_{alpha f}(x+ + u);  u+ = u + x+ - y+

    Args:
        alpha: larger gives the data more weight.
        data_first: exchange the two maps, as in the published single-photon experiments.
        f, denoiser, n_iterations, tolerance, start, truth, measures, progress: as of `pnp_fbs`, and
            so are errors, warnings and the result; the start is that of y.
        returned: `"denoised"` or `"data"`.

    Reference:
        Ryu et al. (ICML 2019), corollary 3.
    """
    prior = _checked_denoiser(denoiser)
    step = _checked_step(alpha)

    def data_term(w):
        return f.prox(w, step)

    first, second = (data_term, prior) if data_first else (prior, data_term)
    names = ("data", "denoised") if data_first else ("denoised", "data")

    def iterate(y, u):
        x, y, u = admm_step(y, u, first, second)
        return {"y": y, "u": u}, dict(zip(names, (x, y), strict=True))

    y = f.start() if start is None else ops.convert_to_tensor(start)
    variables = {"y": y, "u": ops.zeros_like(y)}
    wishes = returned, truth, measures, progress
    return _loop("PnP-ADMM", iterate, variables, y, n_iterations, tolerance, wishes)


def _loop(name, iterate, variables, start, n_iterations, tolerance, wishes):
    returned, truth, measures, progress = wishes
    if returned not in RETURNED:
        raise ValueError(f"`returned` must be one of {RETURNED}. Received: returned={returned!r}")
    if truth is not None and tuple(truth.shape) != tuple(start.shape):
        raise ValueError(
            f"`truth` must be of shape {tuple(start.shape)}. Received: {tuple(truth.shape)}"
        )
    kind = keras.backend.standardize_dtype(start.dtype)
    if "float" not in kind:
        raise ValueError(f"Images must be real and float. Received dtype {kind}.")
    zero = ops.zeros(tuple(start.shape)[:1], kind)
    measures = measures or {}

    def step(problem, *state):
        old, (found, score, _, k) = state[: len(variables)], state[len(variables) :]
        new, images = iterate(*old)
        image = images[returned]
        residual = _length([new[key] - value for key, value in zip(new, old, strict=True)])
        own = residual if truth is None else _length([image - problem["truth"]])
        better = own < score
        best = ops.where(_per_problem(better, image), image, found["best"])
        k = k + 1
        return (
            *new.values(),
            {"best": best, "best_at": ops.where(better, k, found["best_at"]), "last": image},
            ops.where(better, own, score),
            residual,
            k,
        )

    def measure(problem, state):
        image = state["image"]["last"]
        return ops.mean(state["residual"]), *(function(image) for function in measures.values())

    def relative_step(problem, new, old):
        size = _length([new[key] for key in variables])
        moved = new["residual"]
        return ops.where(moved == 0, moved, moved / size)

    result = solve(
        name,
        step,
        {
            **variables,
            "image": {"best": start, "best_at": zero, "last": start},
            # Not infinite: the loop stops at what is not finite.
            "best_score": ops.full_like(zero, float(np.finfo("float32").max)),
            "residual": zero,
            "k": zero,
        },
        n_iterations,
        tolerance,
        problem={} if truth is None else {"truth": ops.cast(truth, kind)},
        measure=measure,
        figures=("residual", *measures),
        watched=relative_step,
        solution="image",
        progress=progress,
        # The denoiser is the most of it.
        xla=False,
    )
    fields = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    images = fields.pop("x")
    return PlugAndPlayResult(
        x=images["last"],
        **fields,
        best=images["best"],
        best_iteration=ops.cast(images["best_at"], "int32"),
    )


def _checked_denoiser(denoiser):
    def denoise(x):
        y = ops.convert_to_tensor(denoiser(x))
        if tuple(y.shape) != tuple(x.shape) or y.dtype != x.dtype:
            raise ValueError(
                "A denoiser must keep shape and dtype. Received for "
                f"{tuple(x.shape)} {keras.backend.standardize_dtype(x.dtype)}: {tuple(y.shape)} "
                f"{keras.backend.standardize_dtype(y.dtype)}"
            )
        return y

    return denoise


def _checked_step(alpha):
    if not 0 < alpha < np.inf:
        raise ValueError(f"`alpha` must be positive. Received: alpha={alpha}")
    return float(alpha)


def _length(parts):
    """Of all parts together, `(batch,)`."""
    lengths = [euclidean_length(part, tuple(range(1, len(part.shape)))) for part in parts]
    return lengths[0] if len(lengths) == 1 else euclidean_length(ops.stack(lengths, -1))


def _per_problem(flags, x):
    return ops.reshape(flags, (-1,) + (1,) * (len(x.shape) - 1))
