"""Layers of the primal-dual networks of MR reconstruction: one step whose parts have weights.

All of them take and give a dictionary. `"kspace"` f, `"mask"` and, with coils, `"maps"` are what
was measured; `"x"`, `"x_bar"` and `"d"` the variables of `steps.primal_dual_step`. Complex numbers
are pairs along the last axis.
"""

import keras
from keras import ops

from keras_imaging.layers.complex_conv_block import ComplexConvBlock
from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.layers.unfolded.base import UnfoldedLayer
from keras_imaging.operators import sense_operator
from keras_imaging.ops.euclidean_length import euclidean_length
from keras_imaging.steps import primal_dual_step

DUAL_SKIPS = ("prox", "identity")
INITIALS = ("adjoint", "zeros")

# Of sigma tau, where the steps are bounded.
_LARGEST_PRODUCT = 0.99


class MRILayer(FullPrecisionLayer):
    """A layer that knows the scanner, A = mask F maps.

    Args:
        fft_method: of `ops.fft2c`.
        **kwargs: of `keras.layers.Layer`.
    """

    # What export asks: matrices of Fourier transforms stay in float where weights are quantized,
    float_products = True
    # and activations must not be integers.
    needs_float = (
        "the centre of k-space is thousands of times larger than its border, which integers do not "
        "hold"
    )

    def __init__(self, fft_method: str = "auto", **kwargs):
        super().__init__(**kwargs)
        self.fft_method = fft_method

    def operator(self, inputs):
        """A of the inputs; in full precision."""
        mask = ops.cast(inputs["mask"], self.variable_dtype)
        maps = inputs.get("maps")
        if maps is not None:
            maps = ops.cast(maps, self.variable_dtype)
        return sense_operator(mask, maps, dtype=self.variable_dtype, fft_method=self.fft_method)

    def get_config(self):
        return {**super().get_config(), "fft_method": self.fft_method}


@keras.saving.register_keras_serializable(package="keras_imaging")
class PrimalDualStart(MRILayer):
    """The variables before the first iteration: x = x_bar = A^H f, or zero; d = 0.

    Args:
        initial: `"adjoint"` or `"zeros"`.
        normalize: divide k-space by the largest |A^H f| of each scan, so that scans of any unit
            look alike to a network.
        num_primal: images in x, along the last axis.
        num_dual: k-spaces in d, likewise.
        fft_method: of `ops.fft2c`.

    Input shape:
        `{"kspace": (batch, height, width, 2), "mask": (batch, height, width)}`, or with coils
        `{"kspace": (batch, coils, height, width, 2), "mask": ..., "maps": as "kspace"}`; a side of
        length 1 of the mask stands for all.
    Output shape:
        `{"kspace": as above, "x": (batch, height, width, 2 num_primal), "x_bar": as "x", "d": as
        "kspace" but for 2 num_dual, "scale": (batch, 1, 1, 1)}`: k-space masked and divided, and by
        what it was divided; 0, and not divided, where it is zero.

    Raises:
        ValueError: on another `initial`.

    Example:
        >>> scan = {"kspace": np.ones((1, 8, 9, 2), "float32"), "mask": np.ones((1, 1, 9))}
        >>> sorted(PrimalDualStart()(scan))
        ['d', 'kspace', 'scale', 'x', 'x_bar']
    """

    def __init__(
        self,
        initial: str = "adjoint",
        normalize: bool = True,
        num_primal: int = 1,
        num_dual: int = 1,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if initial not in INITIALS:
            raise ValueError(f"`initial` must be one of {INITIALS}. Received: {initial!r}")
        self.initial, self.normalize = initial, normalize
        self.num_primal, self.num_dual = num_primal, num_dual

    def call(self, inputs):
        A = self.operator(inputs)
        f = ops.cast(inputs["kspace"], self.variable_dtype)
        mask = ops.expand_dims(ops.cast(inputs["mask"], f.dtype), -1)
        f = f * (ops.expand_dims(mask, 1) if len(f.shape) == 5 else mask)
        x = A.adjoint(f)
        scale = ops.ones_like(x[:, :1, :1, :1])
        if self.normalize:
            scale = ops.max(euclidean_length(x, -1, keepdims=True), axis=(1, 2), keepdims=True)
            unit = ops.where(scale > 0, scale, ops.ones_like(scale))
            x = x / unit
            f = f / (ops.expand_dims(unit, 1) if len(f.shape) == 5 else unit)
        x = x if self.initial == "adjoint" else ops.zeros_like(x)
        x = ops.concatenate([x] * self.num_primal, axis=-1)
        d = ops.concatenate([ops.zeros_like(f)] * self.num_dual, axis=-1)
        return {"kspace": f, "x": x, "x_bar": x, "d": d, "scale": scale}

    def compute_output_shape(self, input_shape):
        kspace = tuple(input_shape["kspace"])
        x = (kspace[0], *kspace[-3:-1], 2 * self.num_primal)
        return {
            "kspace": kspace,
            "x": x,
            "x_bar": x,
            "d": (*kspace[:-1], 2 * self.num_dual),
            "scale": (kspace[0], 1, 1, 1),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "initial": self.initial,
            "normalize": self.normalize,
            "num_primal": self.num_primal,
            "num_dual": self.num_dual,
        }


class _PrimalDualLayer(MRILayer, UnfoldedLayer):
    """What the three layers share. A subclass makes its blocks, and iterates."""

    def __init__(self, filters=32, depth=3, block_init="classical", remat=False, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.depth, self.block_init = filters, depth, block_init
        self.remat = remat

    def call(self, inputs):
        # The backward pass then computes the iteration once more, and what is within is not kept.
        iterate = keras.remat(self.iterate) if self.remat else self.iterate
        return iterate(inputs)

    def _block(self, name, out_channels=2):
        return ComplexConvBlock(
            self.filters,
            self.depth,
            out_channels,
            self.block_init,
            dtype=self.dtype_policy,
            name=name,
        )

    def _filtered(self, block, *images):
        """In full precision again: iterates gain little from each step."""
        return ops.cast(block(list(images)), self.variable_dtype)

    def compute_output_shape(self, input_shape):
        return {name: tuple(input_shape[name]) for name in ("x", "x_bar", "d")}

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "block_init": self.block_init,
            "remat": self.remat,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class PDHGLayer(_PrimalDualLayer):
    """An iteration of PDHG-CSnet: the dual step is that of least squares, the primal one learned.

    d+ = (d + s (A x_bar - f)) / (1 + s);  v = x - t A^H d+;  x+ = v + L(v);
    x_bar+ = x+ + theta (x+ - x)

    Args:
        filters: of the convolutions of L, see `ComplexConvBlock`.
        depth: of L.
        block_init: of L; `"classical"` starts as the iteration without it.
        remat: compute the iteration again in the backward pass, to train in less memory.
        bounded_steps: keep s and t positive and s t <= 0.99, as the theory of the classical
            iteration asks for; the learned one converges by no theory.
        extrapolate: whether theta is learned: what the last iteration extrapolates is not used.
        fft_method: of `ops.fft2c`.

    Input shape:
        a dictionary: `"kspace"` and `"x"`, `"x_bar"`, `"d"` as of `PrimalDualStart`, `"mask"`, and
        with coils `"maps"`.
    Output shape:
        `{"x": ..., "x_bar": ..., "d": ...}`.

    Raises:
        ValueError: on numbers below 1, or another `block_init`.

    Example:
        >>> scan = {"kspace": np.ones((1, 8, 9, 2), "float32"), "mask": np.ones((1, 1, 9))}
        >>> state = PrimalDualStart()(scan)
        >>> tuple(PDHGLayer(filters=4)({**scan, **state})["x"].shape)
        (1, 8, 9, 2)

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019).
    """

    def __init__(self, *args, bounded_steps: bool = False, extrapolate: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.bounded_steps, self.extrapolate = bounded_steps, extrapolate
        self.image_block = self._block("image_block")

    def build(self, input_shape):
        for name, value in (("sigma", 0.5), ("tau", 0.5), ("theta", 1.0)):
            # In full precision, as the iterates that they multiply.
            weight = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=name != "theta" or self.extrapolate,
                autocast=False,
                name=name,
            )
            setattr(self, name, weight)
        if not self.image_block.built:
            self.image_block.build([input_shape["x"]])

    def iterate(self, inputs):
        """One step, see the class."""
        A = self.operator(inputs)
        f, x, x_bar, d = (
            ops.cast(inputs[name], self.variable_dtype) for name in ("kspace", "x", "x_bar", "d")
        )
        sigma, tau = self._steps()

        def primal(x, g):
            v = x - tau * g
            return v + self._filtered(self.image_block, v)

        x, x_bar, d = primal_dual_step(
            x,
            x_bar,
            d,
            A,
            A.adjoint,
            dual=lambda d, u: self.dual(d, u, f, sigma),
            primal=primal,
            theta=ops.convert_to_tensor(self.theta),
        )
        return {"x": x, "x_bar": x_bar, "d": d}

    def dual(self, d, u, f, sigma):
        """prox_{sigma F*}(d + sigma u) of F = 1/2 ||. - f||^2."""
        return (d + sigma * (u - f)) / (1 + sigma)

    def _steps(self):
        sigma, tau = (ops.convert_to_tensor(step) for step in (self.sigma, self.tau))
        if not self.bounded_steps:
            return sigma, tau
        sigma, tau = ops.abs(sigma), ops.abs(tau)
        factor = ops.minimum(1.0, ops.sqrt(_LARGEST_PRODUCT / ops.maximum(sigma * tau, 1e-12)))
        return sigma * factor, tau * factor

    def get_config(self):
        return {
            **super().get_config(),
            "bounded_steps": self.bounded_steps,
            "extrapolate": self.extrapolate,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class CPLayer(PDHGLayer):
    """An iteration of CP-net: both steps are learned.

    w = d + s A x_bar;  d+ = w + G([w, f]), or (w - s f) / (1 + s) + G([w, f]);  then as `PDHGLayer`

    Args:
        filters, depth, block_init, remat: of G and L, see `PDHGLayer`.
        dual_skip: what G is added to: `"prox"`, the step of `PDHGLayer`, with which the layer
            starts as the classical iteration; or `"identity"`, w.
        bounded_steps, extrapolate: see `PDHGLayer`.
        fft_method: of `ops.fft2c`.

    Input shape:
        as of `PDHGLayer`.
    Output shape:
        as of `PDHGLayer`.

    Raises:
        ValueError: as `PDHGLayer`, or on another `dual_skip`.

    Example:
        >>> scan = {"kspace": np.ones((1, 8, 9, 2), "float32"), "mask": np.ones((1, 1, 9))}
        >>> state = PrimalDualStart()(scan)
        >>> tuple(CPLayer(filters=4)({**scan, **state})["d"].shape)
        (1, 8, 9, 2)

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019).
    """

    def __init__(self, *args, dual_skip: str = "prox", **kwargs):
        super().__init__(*args, **kwargs)
        if dual_skip not in DUAL_SKIPS:
            raise ValueError(f"`dual_skip` must be one of {DUAL_SKIPS}. Received: {dual_skip!r}")
        self.dual_skip = dual_skip
        self.kspace_block = self._block("kspace_block")

    def build(self, input_shape):
        super().build(input_shape)
        if not self.kspace_block.built:
            self.kspace_block.build([input_shape["d"], input_shape["kspace"]])

    def dual(self, d, u, f, sigma):
        w = d + sigma * u
        skip = super().dual(d, u, f, sigma) if self.dual_skip == "prox" else w
        return skip + self._filtered(self.kspace_block, w, f)

    def get_config(self):
        return {**super().get_config(), "dual_skip": self.dual_skip}


@keras.saving.register_keras_serializable(package="keras_imaging")
class PrimalDualLayer(_PrimalDualLayer):
    """An iteration of PD-net, and with memory of Learned Primal-Dual: no step is kept.

    d+ = d + G([d, A x, f]);  x+ = x + L([x, A^H d+])

    With `num_primal` images A is of the second one; with `num_dual` k-spaces A^H is of the first.

    Args:
        filters, depth, block_init, remat: of G and L, see `PDHGLayer`.
        num_primal: images in x.
        num_dual: k-spaces in d.
        fft_method: of `ops.fft2c`.

    Input shape:
        as of `PDHGLayer`; `"x_bar"` is not read.
    Output shape:
        as of `PDHGLayer`; `"x_bar"` is `"x"`.

    Raises:
        ValueError: as `PDHGLayer`.

    Example:
        >>> scan = {"kspace": np.ones((1, 8, 9, 2), "float32"), "mask": np.ones((1, 1, 9))}
        >>> state = PrimalDualStart(num_primal=5)(scan)
        >>> layer = PrimalDualLayer(filters=4, num_primal=5)
        >>> tuple(layer({**scan, **state})["x"].shape)
        (1, 8, 9, 10)

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019); Adler and Oktem, Learned primal-dual reconstruction
        (2018), algorithm 3.
    """

    def __init__(self, *args, num_primal: int = 1, num_dual: int = 1, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_primal, self.num_dual = num_primal, num_dual
        self.image_block = self._block("image_block", 2 * num_primal)
        self.kspace_block = self._block("kspace_block", 2 * num_dual)

    def build(self, input_shape):
        x, d, f = (input_shape[name] for name in ("x", "d", "kspace"))
        # Layers may share a block, which the first of them builds.
        if not self.kspace_block.built:
            self.kspace_block.build([d, f, f])
        if not self.image_block.built:
            self.image_block.build([x, (*x[:-1], 2)])

    def iterate(self, inputs):
        """One step, see the class."""
        A = self.operator(inputs)
        f, x, d = (ops.cast(inputs[name], self.variable_dtype) for name in ("kspace", "x", "d"))
        seen = 2 * min(1, self.num_primal - 1)
        x, x_bar, d = primal_dual_step(
            x,
            x,
            d,
            forward=lambda x: A(x[..., seen : seen + 2]),
            backward=lambda d: A.adjoint(d[..., :2]),
            dual=lambda d, u: d + self._filtered(self.kspace_block, d, u, f),
            primal=lambda x, g: x + self._filtered(self.image_block, x, g),
            theta=0,
        )
        return {"x": x, "x_bar": x_bar, "d": d}

    def get_config(self):
        return {
            **super().get_config(),
            "num_primal": self.num_primal,
            "num_dual": self.num_dual,
        }
