"""One iteration of the primal-dual hybrid gradient method, and of the networks unrolled from it."""

from collections.abc import Callable
from typing import Any

from keras_imaging.typing import Tensor

# What A x is: a tensor, or a nest of tensors, as of `operators.Stack`.
Dual = Any


def primal_dual_step(
    x: Tensor,
    x_bar: Tensor,
    d: Dual,
    forward: Callable[[Tensor], Dual],
    backward: Callable[[Dual], Tensor],
    dual: Callable[[Dual, Dual], Dual],
    primal: Callable[[Tensor, Tensor], Tensor],
    theta: Tensor | float = 1.0,
) -> tuple[Tensor, Tensor, Dual]:
    """Update the dual variable, then the primal one, then extrapolate.

    d+ = dual(d, A x_bar);  x+ = primal(x, A^H d+);  x_bar+ = x+ + theta (x+ - x)

    | | dual(d, u) | primal(x, g) | theta |
    |---|---|---|---|
    | `solvers.pdhg` | prox_{sigma F*}(d + sigma u) | prox_{tau G}(x - tau g) | 1 |
    | `layers.PDHGLayer` | (d + s (u - f)) / (1 + s) | v + L(v), v = x - t g | learned |
    | `layers.CPLayer` | w + G([w, f]), w = d + s u | v + L(v), v = x - t g | learned |
    | `layers.PrimalDualLayer` | d + G([d, u, f]) | x + L([x, g]) | 0 |

    Args:
        x: the image.
        x_bar: the image extrapolated; starts as x.
        d: the dual variable, of the shape of A x; starts as zero.
        forward: A.
        backward: A^H.
        dual: of d and A x_bar.
        primal: of x and A^H d+.
        theta: how far to extrapolate; the number 0 takes x+ as it is.

    Returns:
        x+, x_bar+, d+.

    Reference:
        Chambolle and Pock, A first-order primal-dual algorithm for convex problems with
        applications to imaging (2011), algorithm 1; Cheng, Wang, Ying, Liang, Model learning:
        primal dual networks for fast MR imaging (MICCAI 2019).
    """
    d = dual(d, forward(x_bar))
    following = primal(x, backward(d))
    if isinstance(theta, int | float) and theta == 0:
        return following, following, d
    return following, following + theta * (following - x), d
