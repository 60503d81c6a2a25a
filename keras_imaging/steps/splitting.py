"""One iteration of the splitting methods: Douglas-Rachford and ADMM.

Each takes two maps: proximal maps, or a denoiser in place of one, which makes it a plug-and-play
method. Forward-backward splitting is `steps.proximal_step`.
"""

from collections.abc import Callable

from keras_imaging.typing import Tensor

Map = Callable[[Tensor], Tensor]


def drs_step(z: Tensor, prox_f: Map, prox_g: Map) -> tuple[Tensor, Tensor, Tensor]:
    """v = prox_f(z);  x = prox_g(2 v - z);  z+ = z + x - v

    Args:
        z: the variable that converges; x and v come to agree.
        prox_f: proximal map of the data term.
        prox_g: proximal map of the prior, or a denoiser.

    Returns:
        z+, x, v.

    Reference:
        Lions and Mercier (1979); Ryu et al. (ICML 2019), equation PnP-DRS.
    """
    v = prox_f(z)
    x = prox_g(2 * v - z)
    return z + x - v, x, v


def admm_step(y: Tensor, u: Tensor, first: Map, second: Map) -> tuple[Tensor, Tensor, Tensor]:
    """x+ = first(y - u);  y+ = second(x+ + u);  u+ = u + x+ - y+

    Args:
        y: the second variable.
        u: the scaled dual variable; starts as zero.
        first, second: the proximal maps of the two terms, in either order; a denoiser may stand for
            one.

    Returns:
        x+, y+, u+.

    Reference:
        Ryu et al. (ICML 2019), equation PnP-ADMM, with the denoiser first; Chan, Wang, Elgendy
        (2017) with the data term first.
    """
    x = first(y - u)
    y = second(x + u)
    return x, y, u + x - y
