"""One iteration of ISTA and of what descends from it.

    x+ = prox(x + B (y - A x))

In all of them A is `forward`, B is `backward`, and `prox` the proximal map. ISTA has B = A^T / L
and a soft threshold; a learned network has other B and other thresholds in every layer; a
plug-and-play method has a denoiser for the proximal map.
"""

from collections.abc import Callable

from keras import ops

from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.typing import Tensor

Map = Callable[[Tensor], Tensor]


def step_size(norm: float) -> float:
    """1 / (1.001 ||A||^2): the step of gradient methods, a little below 1 / L.

    Args:
        norm: ||A||, as `operators.LinearOperator.norm` estimates it.
    """
    return 1 / (1.001 * norm**2)


def proximal_step(x: Tensor | None, direction: Tensor, prox: Map) -> Tensor:
    """x+ = prox(x + direction): forward, then backward.

    Args:
        x: None stands for zero.
        direction: such as -step times the gradient of the data term.
        prox: proximal map or denoiser.
    """
    return prox(direction if x is None else x + direction)


def ista_step(x: Tensor | None, y: Tensor, forward: Map, backward: Map, prox: Map) -> Tensor:
    """x+ = prox(x + B (y - A x)).

    Args:
        x: current codes; None stands for zero.
        y: measurements.
        forward: A.
        backward: B, such as `lambda r: step * A.adjoint(r)`.
        prox: proximal map.

    Reference:
        Daubechies, Defrise, De Mol (2004), equation 1.9; Chen et al. (NeurIPS 2018), equation 3.
    """
    residual = y if x is None else y - forward(x)
    return proximal_step(x, backward(residual), prox)


def fista_step(
    x: Tensor, z: Tensor, t: Tensor, y: Tensor, forward: Map, backward: Map, prox: Map
) -> tuple[Tensor, Tensor, Tensor]:
    """ISTA from an extrapolated point.

    x+ = prox(z + B (y - A z));  t+ = (1 + sqrt(1 + 4 t^2)) / 2;  z+ = x+ + (t - 1)/t+ (x+ - x)

    Args:
        x: current codes.
        z: the extrapolated point; starts as x.
        t: starts as 1.
        y, forward, backward, prox: as of `ista_step`.

    Returns:
        x+, z+, t+.

    Reference:
        Beck and Teboulle, A fast iterative shrinkage-thresholding algorithm (2009), section 4.
    """
    x_next = ista_step(z, y, forward, backward, prox)
    t_next = (1 + ops.sqrt(1 + 4 * t * t)) / 2
    momentum = ops.cast((t - 1) / t_next, x.dtype)
    return x_next, x_next + momentum * (x_next - x), t_next


def amp_step(
    x: Tensor,
    v: Tensor,
    y: Tensor,
    forward: Map,
    backward: Map,
    threshold: Callable[[Tensor, Tensor], Tensor],
    factor: float,
) -> tuple[Tensor, Tensor]:
    """Approximate message passing: ISTA with a corrected residual v and a threshold from it.

    s = ||v|| / sqrt(m);  x+ = eta_{factor s}(x + A^T v);  v+ = y - A x+ + ||x+||_0 / m v

    Args:
        x: codes `(batch, n)`.
        v: residual `(batch, m)`; starts as y.
        y: measurements `(batch, m)`.
        forward: A, with columns of length 1.
        backward: A^T.
        threshold: `eta(x, t)`, such as `ops.proximal.soft_threshold`.
        factor: of the threshold.

    Returns:
        x+, v+.

    Reference:
        Donoho, Maleki, Montanari, Message-passing algorithms for compressed sensing (2009).
    """
    m = y.shape[-1]
    spread = euclidean_length(v, -1, keepdims=True) / m**0.5
    x = proximal_step(x, backward(v), lambda codes: threshold(codes, factor * spread))
    active = ops.sum(ops.cast(ops.abs(x) > 0, spread.dtype), axis=-1, keepdims=True)
    return x, y - forward(x) + ops.cast(active / m, v.dtype) * v
