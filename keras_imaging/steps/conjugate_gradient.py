"""One iteration of conjugate gradients."""

from collections.abc import Callable

from keras import ops

from keras_imaging.typing import Tensor


def cg_step(
    x: Tensor,
    r: Tensor,
    p: Tensor,
    energy: Tensor,
    forward: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor], Tensor] = lambda r: r,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Towards N x = b, N self-adjoint and positive; each problem of the batch by itself.

    a = ||r||^2 / <p, N p>;  x+ = x + a p;  r+ = r - a N p;  p+ = r+ + ||r+||^2 / ||r||^2 p

    With a preconditioner P, P r stands for r in p+, and <r, P r> for ||r||^2.

    Args:
        x: the solution so far, `(batch, ...)`, real or complex; pairs of real and imaginary part
            are as good, where N is complex-linear.
        r: the residual b - N x.
        p: the direction; starts as P r.
        energy: <r, P r>, `(batch,)`.
        forward: N.
        precondition: P, self-adjoint and positive, the nearer to the inverse of N the better.

    Returns:
        x+, r+, p+, <r+, P r+>. A problem that is solved stays as it is.

    Reference:
        Hestenes and Stiefel, Methods of conjugate gradients for solving linear systems (1952).
    """
    image = forward(p)
    x_step = _per_problem(_ratio(energy, inner_product(p, image)), x)
    x, r = x + x_step * p, r - x_step * image
    direction = precondition(r)
    following = inner_product(r, direction)
    return x, r, direction + _per_problem(_ratio(following, energy), p) * p, following


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Real part of <a, b> of each problem, `(batch,)`."""
    return ops.sum(ops.real(ops.conj(a) * b), axis=tuple(range(1, len(a.shape))))


def _ratio(a, b):
    """a / b, and 0 where b is 0."""
    return ops.where(b > 0, a / ops.where(b > 0, b, ops.ones_like(b)), ops.zeros_like(a))


def _per_problem(number, x):
    return ops.cast(ops.reshape(number, (-1,) + (1,) * (len(x.shape) - 1)), x.dtype)
