"""Whether the convergence of a plug-and-play run is proved."""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_imaging.analysis.lipschitz import jacobian_spectral_norm, network_lipschitz_bound
from keras_imaging.operators.fidelity import DataTerm
from keras_imaging.typing import Tensor

ALGORITHMS = ("fbs", "drs", "admm")

CERTIFIED, OBSERVED_ONLY, NOT_COVERED = "certified", "observed only", "not covered"


@dataclasses.dataclass(frozen=True)
class Certificate:
    """What the theorems say of one denoiser, one data term and one step.

    Attributes:
        verdict: `"certified"`: the iteration is a contraction, by proof; `"observed only"`: it
            would be one if the denoiser were everywhere as it was seen to be; `"not covered"`: no
            theorem applies.
        reason: of the verdict, a sentence.
        algorithm: `"fbs"`, `"drs"` or `"admm"`.
        alpha: the step.
        eps_certified: a Lipschitz constant of H - I that holds everywhere; None if none is known.
        eps_observed: the largest that was seen, from below; None if nobody looked.
        mu, L: strong convexity and smoothness of the data term.
        alpha_interval: open interval of the steps that the theorem covers, for the certified
            constant, or for the observed one where the verdict rests on that; None if there is
            none.
        factor: Lipschitz constant of the iteration, for the same; None where no theorem gives one.
    """

    verdict: str
    reason: str
    algorithm: str
    alpha: float
    eps_certified: float | None
    eps_observed: float | None
    mu: float
    L: float
    alpha_interval: tuple[float, float] | None
    factor: float | None

    def iterations_for(self, reduction: float) -> int | None:
        """How many iterations make the residual smaller by a factor, such as 1e-6.

        Args:
            reduction: between 0 and 1.

        Returns:
            The number, or None where there is no contraction.

        Raises:
            ValueError: if the factor is not between 0 and 1.
        """
        if not 0 < reduction < 1:
            raise ValueError(f"`reduction` must be in (0, 1). Received: reduction={reduction}")
        if self.factor is None or self.factor >= 1:
            return None
        return 1 if self.factor == 0 else math.ceil(math.log(reduction) / math.log(self.factor))

    def __str__(self):
        return f"{self.verdict}: {self.reason}"


def convergence_certificate(
    denoiser: Callable[[Tensor], Tensor],
    f: DataTerm,
    alpha: float,
    algorithm: str = "admm",
    eps: float | None = None,
    images: Tensor | None = None,
) -> Certificate:
    """Tell whether a plug-and-play run converges by proof.

    Let H - I have the Lipschitz constant eps, and f be mu-strongly convex with an L-Lipschitz
    gradient. The iteration has the Lipschitz constant

        FBS: (1 + eps) max(|1 - alpha mu|, |1 - alpha L|)
        DRS, ADMM: (1 + eps + eps alpha mu + 2 eps^2 alpha mu) / (1 + alpha mu + 2 eps alpha mu)

    and converges to one point from everywhere if that is below 1. It is certified only by an eps
    that holds for all images: the bound of a `models.Denoiser` of fixed range, or the number that
    you give. What was measured on images is a lower bound, and certifies nothing; it is told where
    it would do and nothing proved does.

    Args:
        denoiser: H.
        f: the data term.
        alpha: the step, as of `solvers.pnp_fbs`, `pnp_drs`, `pnp_admm`.
        algorithm: `"fbs"`, `"drs"` or `"admm"`.
        eps: a Lipschitz constant of H - I that you can prove, in place of the network's bound.
        images: a batch, float, at which to measure the norm of the derivative of H - I, and between
            which its stretch.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> from keras_imaging.operators import Gaussian, Identity
        >>> f = Gaussian(Identity((8, 8, 1)), np.ones((1, 8, 8, 1), "float32"))
        >>> print(convergence_certificate(lambda x: 0.9 * x, f, 1.0, "drs", eps=0.1).verdict)
        certified

    Reference:
        Ryu, Liu, Wang, Chen, Wang, Yin, "Plug-and-Play Methods Provably Converge with Properly
        Trained Denoisers", ICML 2019, theorems 1 and 2, corollary 3.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"`algorithm` must be one of {ALGORITHMS}. Received: {algorithm!r}")
    if not 0 < alpha < np.inf:
        raise ValueError(f"`alpha` must be positive. Received: alpha={alpha}")
    if eps is not None and not 0 <= eps < np.inf:
        raise ValueError(f"`eps` must not be negative. Received: eps={eps}")
    if not 0 <= f.mu <= f.L:
        raise ValueError(f"Expected 0 <= mu <= L of the data term. Received: mu={f.mu}, L={f.L}")
    certified, unknown = (eps, None) if eps is not None else _certified_eps(denoiser)
    observed = None if images is None else observed_eps(denoiser, images)
    if certified is not None and observed is not None and observed > certified * (1 + 1e-3):
        raise ValueError(
            f"`eps` is no Lipschitz constant of H - I: expected none above {certified:.4g}, and "
            f"{observed:.4g} was seen at the images."
        )
    # What is proved, and where that does not do, what was seen.
    known = [("proved", certified), ("seen", observed)]
    cases = [_Case(algorithm, f, alpha, *case) for case in known if case[1] is not None]
    case = next((case for case in cases if case.failure is None), cases[0] if cases else None)
    verdict, reason = _verdict(algorithm, f, cases, case, unknown)
    interval, factor = (None, None) if case is None else (case.interval, case.factor)
    return Certificate(
        verdict, reason, algorithm, alpha, certified, observed, f.mu, f.L, interval, factor
    )


def contraction_factor(
    algorithm: str, eps: float, mu: float, L: float, alpha: float
) -> float | None:
    """The Lipschitz constant of the iteration; None where no theorem gives one.

    Args:
        algorithm, eps, mu, L, alpha: see `convergence_certificate`.
    """
    if algorithm == "fbs":
        if math.isinf(L):
            return None
        return (1 + eps) * max(abs(1 - alpha * mu), abs(1 - alpha * L))
    if mu == 0:
        return None
    m = alpha * mu
    return (1 + eps + eps * m + 2 * eps**2 * m) / (1 + m + 2 * eps * m)


def alpha_interval(algorithm: str, eps: float, mu: float, L: float) -> tuple[float, float] | None:
    """The open interval of steps for which the iteration is a contraction; None if it is empty.

    Args:
        algorithm, eps, mu, L: see `convergence_certificate`.
    """
    if mu == 0:
        return None
    if algorithm == "fbs":
        if math.isinf(L):
            return None
        low, high = eps / (mu * (1 + eps)), (2 + eps) / (L * (1 + eps))
        return (low, high) if low < high else None
    if eps >= 1:
        return None
    return eps / ((1 - eps) * (1 + 2 * eps) * mu), math.inf


def observed_eps(denoiser: Callable[[Tensor], Tensor], images: Tensor, seed: int = 0) -> float:
    """The largest stretch of H - I that was found: a lower bound of its Lipschitz constant.

    Of the derivative at the images, and of differences between neighbours of the batch.

    Args:
        denoiser: H.
        images: `(batch, ...)`, float.
        seed: of the power iteration.
    """
    images = ops.convert_to_tensor(images)

    def residual(x):
        return denoiser(x) - x

    # Of the batch as one vector: its derivative is one block for each image.
    largest = jacobian_spectral_norm(residual, images, seed=seed)
    moved = ops.convert_to_numpy(residual(images)).astype("float64")
    x = ops.convert_to_numpy(images).astype("float64")
    for k in range(len(x) - 1):
        distance = np.linalg.norm(x[k + 1] - x[k])
        if distance > 0:
            largest = max(largest, float(np.linalg.norm(moved[k + 1] - moved[k]) / distance))
    return largest


def _certified_eps(denoiser):
    """eps and None, or None and the reason why there is none."""
    network = getattr(denoiser, "network", None)
    if not isinstance(network, keras.Model) or not hasattr(denoiser, "has_fixed_range"):
        return None, "no Lipschitz constant of H - I is known for this denoiser"
    if not denoiser.has_fixed_range:
        return None, (
            "the denoiser scales by the smallest and largest value of its input, so the network's "
            "Lipschitz constant says nothing of H - I"
        )
    try:
        return network_lipschitz_bound(network), None
    except ValueError as error:
        return None, str(error).rstrip(".")


class _Case:
    """What the theorem says with one eps; `failure` is why it does not hold, or None."""

    def __init__(self, algorithm, f, alpha, kind, eps):
        self.kind, self.eps = kind, eps
        self.interval = alpha_interval(algorithm, eps, f.mu, f.L)
        self.factor = contraction_factor(algorithm, eps, f.mu, f.L, alpha)
        name, self.failure = algorithm.upper(), None
        if self.interval is None:
            limit = 2 * f.mu / (f.L - f.mu) if algorithm == "fbs" and f.mu < f.L else 1.0
            self.failure = f"eps = {eps:.4g} ({kind}), and {name} needs eps < {limit:.4g}"
        elif not self.interval[0] < alpha < self.interval[1]:
            low, high = self.interval
            self.failure = (
                f"alpha = {alpha:.4g} is outside ({low:.4g}, {high:.4g}), the steps of {name} for "
                f"eps = {eps:.4g} ({kind})"
            )


def _verdict(algorithm, f, cases, case, unknown):
    name = algorithm.upper()
    if f.mu == 0:
        return NOT_COVERED, (
            "the data term is not known to be strongly convex (mu = 0), which every theorem needs; "
            "`tikhonov` makes it so"
        )
    if algorithm == "fbs" and math.isinf(f.L):
        return NOT_COVERED, "FBS needs a data term with a Lipschitz gradient (L is infinite)"
    if case is None:
        return NOT_COVERED, unknown
    if case.failure is not None:
        return NOT_COVERED, case.failure
    if case.kind == "seen":
        missing = cases[0].failure if cases[0] is not case else unknown
        return OBSERVED_ONLY, (
            f"with eps = {case.eps:.4g} as seen at the images, {name} would contract by "
            f"{case.factor:.4g} an iteration; not proved: {missing}"
        )
    return CERTIFIED, (
        f"eps = {case.eps:.4g} for all images, mu = {f.mu:.4g}: {name} contracts by "
        f"{case.factor:.4g} an iteration"
    )
