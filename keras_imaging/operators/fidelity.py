"""Data terms f: an operator and the noise of a measurement.

Each says its value, its gradient, its proximal map and how it is curved: with mu and L,

    mu ||x - y||^2 <= <grad f(x) - grad f(y), x - y> <= L ||x - y||^2

mu is never above and L never below the true one, so that what is concluded from them holds; 0 and
infinity say nothing.
"""

import keras
import numpy as np
from keras import ops

from keras_imaging.operators.linear_operator import LinearOperator
from keras_imaging.steps.conjugate_gradient import inner_product
from keras_imaging.typing import Tensor


class DataTerm:
    """f of a batch of images, each by itself.

    A subclass gives `value`, `gradient`, `prox` and `start`.

    Attributes:
        mu: strong convexity.
        L: Lipschitz constant of the gradient.
    """

    mu: float = 0.0
    L: float = np.inf

    def value(self, x: Tensor) -> Tensor:
        """f(x), `(batch,)`."""
        raise NotImplementedError

    def gradient(self, x: Tensor) -> Tensor:
        """grad f(x)."""
        raise NotImplementedError

    def prox(self, z: Tensor, t: float) -> Tensor:
        """argmin over v of t f(v) + 1/2 ||v - z||^2."""
        raise NotImplementedError

    def project(self, x: Tensor) -> Tensor:
        """x, or where f is not defined the nearest point where it is."""
        return x

    def start(self) -> Tensor:
        """An image to begin with."""
        raise NotImplementedError


class Gaussian(DataTerm):
    """f(x) = weight / 2 ||A x - y||^2: measurements with Gaussian noise.

    Deblurring, inpainting, undersampled Fourier samples: whatever A is.

    Args:
        A: the forward model.
        y: measurements, a batch of `A.output_shape`.
        weight: one over the variance of the noise, or a share.
        n_iterations: of conjugate gradients in `prox`, where A has no closed form.

    Raises:
        ValueError: if y does not fit or is not finite, or the weight is not positive.

    Example:
        >>> from keras_imaging.operators import Sampling
        >>> f = Gaussian(Sampling(np.eye(4)[..., None]), np.ones((1, 4, 4, 1), "float32"))
        >>> f.mu, f.L
        (0.0, 1.0)
    """

    def __init__(self, A: LinearOperator, y: Tensor, weight: float = 1.0, n_iterations: int = 30):
        if not 0 < weight < np.inf:
            raise ValueError(f"`weight` must be positive. Received: weight={weight}")
        self.A, self.weight, self.n_iterations = A, weight, n_iterations
        self.y = _finite(y, "y")
        self._back = A.adjoint(self.y)
        least, largest = A.gain_bounds()
        self.mu, self.L = weight * least**2, weight * largest**2

    def value(self, x):
        residual = self.A(x) - self.y
        return self.weight / 2 * inner_product(residual, residual)

    def gradient(self, x):
        return self.weight * (self.A.adjoint(self.A(x)) - self._back)

    def prox(self, z, t):
        t = t * self.weight
        return self.A.resolvent(z + t * self._back, t, n_iterations=self.n_iterations)

    def start(self):
        return self._back


class RealPartGaussian(Gaussian):
    """`Gaussian` of a complex A and real images, as the published MRI experiments compute it.

    The proximal map is the real part of the complex one, and a gradient step ends in the modulus.
    Neither is exact unless the mask is symmetric, so nothing is claimed of mu and L. The exact term
    is `Gaussian(MaskedFourier(mask, dtype="float32") @ RealImages(shape), y)`.

    Args:
        A, y, weight, n_iterations: as of `Gaussian`; images are `(batch, height, width, 1)`.
    """

    def __init__(self, A: LinearOperator, y: Tensor, weight: float = 1.0, n_iterations: int = 30):
        super().__init__(A, y, weight, n_iterations)
        self.mu, self.L = 0.0, np.inf

    def value(self, x):
        return super().value(self._complex(x))

    def gradient(self, x):
        """Complex."""
        return super().gradient(self._complex(x))[..., None]

    def prox(self, z, t):
        return ops.real(super().prox(self._complex(z), t))[..., None]

    def project(self, x):
        """The modulus."""
        return ops.abs(x)

    def start(self):
        return ops.abs(self._back)[..., None]

    def _complex(self, x):
        return ops.cast(x[..., 0], self.A.dtype)


class Poisson(DataTerm):
    """f(x) = sum of x - y log x: counts of photons.

    Neither strongly convex, where y is 0, nor smooth near 0: no theorem covers it.

    Args:
        counts: y, not negative, `(batch, height, width, channels)`.

    Raises:
        ValueError: on counts that are negative or not finite.
    """

    def __init__(self, counts: Tensor):
        self.counts = _finite(counts, "counts")
        _check_limits(self.counts, "counts", 0)

    def value(self, x):
        seen = self.counts > 0
        logarithm = ops.log(ops.where(seen, x, ops.ones_like(x)))
        return ops.sum(x - self.counts * logarithm, axis=tuple(range(1, len(x.shape))))

    def gradient(self, x):
        """1 - y / x, and 0 where x is not positive: there no step is taken."""
        inside = x > 0
        ratio = self.counts / ops.where(inside, x, ops.ones_like(x))
        return ops.where(inside, 1 - ratio, ops.zeros_like(x))

    def prox(self, z, t):
        """(s + sqrt(s^2 + 4 t y)) / 2 with s = z - t."""
        s = z - t
        return (s + ops.sqrt(s * s + 4 * t * self.counts)) / 2

    def project(self, x):
        return ops.maximum(x, 0)

    def start(self):
        return self.counts


class Quanta(DataTerm):
    """f(x) = sum of K0 x - K1 log(1 - exp(-x)), 0 <= x <= 1: one-bit photon sensors.

    Every pixel is seen by `oversampling`^2 one-bit sensors, of which K1 fire and K0 do not.

    Args:
        ones: K1, `(batch, height, width, channels)`.
        oversampling: K, sensors along one side of a pixel.

    Raises:
        ValueError: if a count is outside 0 ... K^2, or K is below 1.

    Reference:
        Chan, Wang, Elgendy, "Plug-and-Play ADMM for Image Restoration", 2017, section IV-C.
    """

    # Bisection of the proximal map.
    _LOW, _HIGH, _HALVINGS = 1e-5, 100.0, 30

    def __init__(self, ones: Tensor, oversampling: int):
        if oversampling < 1:
            raise ValueError(f"`oversampling` must be at least 1. Received: {oversampling}")
        self.ones = _finite(ones, "ones")
        _check_limits(self.ones, "ones", 0, oversampling**2)
        self.zeros = oversampling**2 - self.ones
        self.oversampling = oversampling

    def value(self, x):
        lit = self.ones > 0
        logarithm = ops.log(1 - ops.exp(-ops.where(lit, x, ops.ones_like(x))))
        total = self.zeros * x - self.ones * logarithm
        return ops.sum(total, axis=tuple(range(1, len(x.shape))))

    def gradient(self, x):
        """K0 - K1 / (exp(x) - 1), and K0 where x is not positive."""
        inside = x > 0
        ratio = self.ones / (ops.exp(ops.where(inside, x, ops.ones_like(x))) - 1)
        return self.zeros - ops.where(inside, ratio, ops.zeros_like(ratio))

    def prox(self, z, t):
        """z - t K0 where K1 is 0, else the root of K1 / (exp(v) - 1) - K0 + (z - v) / t."""
        low, high = (ops.full_like(z, end) for end in (self._LOW, self._HIGH))
        for _ in range(self._HALVINGS):
            middle = (low + high) / 2
            slope = self.ones / (ops.exp(middle) - 1) - self.zeros + (z - middle) / t
            low = ops.where(slope > 0, middle, low)
            high = ops.where(slope > 0, high, middle)
        root = ops.where(self.ones > 0, (low + high) / 2, z - t * self.zeros)
        return ops.clip(root, 0.0, 1.0)

    def project(self, x):
        return ops.clip(x, 0.0, 1.0)

    def start(self):
        return self.ones / self.oversampling**2


class _Regularized(DataTerm):
    def __init__(self, f, weight, centre):
        self._f, self._weight, self._centre = f, weight, centre
        self.mu, self.L = f.mu + weight, f.L + weight
        self.project, self.start = f.project, f.start

    def value(self, x):
        offset = x - self._centre
        return self._f.value(x) + self._weight / 2 * inner_product(offset, offset)

    def gradient(self, x):
        return self._f.gradient(x) + self._weight * (x - self._centre)

    def prox(self, z, t):
        # The two squares are one square, around their weighted mean.
        pull = t * self._weight
        return self._f.prox((z + pull * self._centre) / (1 + pull), t / (1 + pull))


def tikhonov(f: DataTerm, weight: float, centre: Tensor | float = 0.0) -> DataTerm:
    """f(x) + weight / 2 ||x - centre||^2: strongly convex, so that the theorems may apply.

    Args:
        f: a data term.
        weight: not negative; larger draws the image more to the centre.
        centre: a number or an image.

    Raises:
        ValueError: if the weight is negative.
    """
    if not 0 <= weight < np.inf:
        raise ValueError(f"`weight` must not be negative. Received: weight={weight}")
    return _Regularized(f, float(weight), centre)


def _finite(values, name):
    """The values as a float tensor, checked where they are known."""
    array = _known(values)
    if array is not None and not np.isfinite(array).all():
        raise ValueError(f"`{name}` holds values that are NaN or infinite.")
    if not ops.is_tensor(values):
        values = ops.convert_to_tensor(
            array if array.dtype.kind in "fc" else array.astype("float32")
        )
    kind = keras.backend.standardize_dtype(values.dtype)
    return values if "float" in kind or "complex" in kind else ops.cast(values, "float32")


def _check_limits(values, name, low, high=np.inf):
    """Raise ValueError if values, where they are known, are outside low ... high."""
    array = _known(values)
    if array is None:
        return
    if array.min(initial=low) < low or array.max(initial=low) > high:
        limits = "must not be negative" if np.isinf(high) else f"must be in {low} ... {high}"
        raise ValueError(f"`{name}` {limits}. Received values {array.min()} ... {array.max()}.")


def _known(values):
    """As an array; None in a function that is being compiled."""
    try:
        return ops.convert_to_numpy(values)
    except Exception:  # each backend has its own
        return None
