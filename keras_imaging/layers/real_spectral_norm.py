"""Real spectral normalization: a convolution whose norm as a map of images is prescribed."""

import keras
from keras import ops

from keras_imaging.typing import Tensor

MODES = ("normalize", "shrink")

# Shortest length that a direction is divided by.
_SHORTEST = 1e-12


@keras.saving.register_keras_serializable(package="keras_imaging")
class RealSpectralNormalization(keras.layers.Wrapper):
    """A Conv2D that computes with W c / sigma: its kernel W over the norm of the convolution.

    The norm is that of the zero-padded convolution K of images of a fixed size, not that of the
    kernel reshaped to a matrix, which for 3x3 kernels is too small by half and more. In every
    training step it is estimated by power iteration from the state u of image shape,

        v = K^T u / ||K^T u||;  u <- K v / ||K v||;  sigma = <u, K v>

    The gradient flows through sigma, with u and v held constant. Inference divides by the sigma of
    the last training step; before the first one that is c, and W acts as it is. sigma comes to the
    norm from below: `analysis.network_lipschitz_bound` gives the bound that holds.

    Args:
        layer: a `keras.layers.Conv2D` of stride 1, padding "same", odd kernel size, without
            dilation and groups.
        image_size: height and width of the images for which the norm is taken, those of training
            patches; images of any other size may follow.
        target: c, the norm to have.
        power_iterations: in each training step.
        mode: `"normalize"` always divides, `"shrink"` only where the norm is above c.
        seed: of the first u.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, height, width, filters)`.
    Raises:
        ValueError: if the layer is another one, or an argument out of its range.
    Example:
        >>> conv = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)
        >>> layer = RealSpectralNormalization(conv, image_size=(8, 8), power_iterations=50)
        >>> image = np.ones((1, 8, 8, 1), "float32")
        >>> y = layer(image, training=True)
        >>> plain = layer.finalize()  # a Conv2D
    Reference:
        Ryu, Liu, Wang, Chen, Wang, Yin, "Plug-and-Play Methods Provably Converge with Properly
        Trained Denoisers", ICML 2019, section 4.
    """

    def __init__(
        self,
        layer: keras.layers.Conv2D,
        image_size: tuple[int, int] = (40, 40),
        target: float = 1.0,
        power_iterations: int = 1,
        mode: str = "normalize",
        seed: int = 0,
        **kwargs,
    ):
        if not target > 0:
            raise ValueError(f"`target` must be positive. Received: target={target}")
        if power_iterations < 1:
            raise ValueError(f"`power_iterations` must be at least 1. Received: {power_iterations}")
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: mode={mode!r}")
        if len(image_size) != 2 or min(image_size) < 1:
            raise ValueError(
                f"`image_size` must be (height, width). Received: image_size={image_size}"
            )
        kwargs.setdefault("dtype", getattr(layer, "dtype_policy", None))
        super().__init__(layer, **kwargs)
        _check_layer(layer)
        self.image_size = tuple(image_size)
        self.target = target
        self.power_iterations = power_iterations
        self.mode = mode
        self.seed = seed

    def build(self, input_shape=None):
        super().build(input_shape)
        # What depends on the weights alone is equal on all replicas.
        state = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        self.u = self.add_weight(
            name="u",
            shape=(1, *self.image_size, self.layer.filters),
            initializer=_UnitGaussian(self.seed),
            **state,
        )
        self.sigma = self.add_weight(
            name="sigma",
            shape=(),
            initializer=keras.initializers.Constant(self.target),
            **state,
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        kernel = ops.convert_to_tensor(self.layer.kernel)
        if training:
            u, sigma = self._measured(ops.cast(kernel, self.u.dtype))
            self.u.assign(u)
            self.sigma.assign(ops.stop_gradient(sigma))
        else:
            sigma = ops.convert_to_tensor(self.sigma)
        kernel = ops.cast(ops.cast(kernel, self.u.dtype) * self._factor(sigma), kernel.dtype)
        x = self.layer.convolution_op(inputs, kernel)
        if self.layer.use_bias:
            x = x + self.layer.bias
        return self.layer.activation(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    @property
    def effective_kernel(self) -> Tensor:
        """W c / sigma with the stored sigma: the kernel of inference."""
        kernel = ops.cast(self.layer.kernel, self.u.dtype)
        return kernel * self._factor(ops.convert_to_tensor(self.sigma))

    def finalize(self) -> keras.layers.Conv2D:
        """An ordinary Conv2D that computes what this layer computes in inference."""
        conv = type(self.layer).from_config({**self.layer.get_config(), "name": self.name})
        conv.build((None, None, None, self.layer.kernel.shape[2]))
        bias = [self.layer.bias] if self.layer.use_bias else []
        conv.set_weights([ops.convert_to_numpy(w) for w in (self.effective_kernel, *bias)])
        return conv

    def _measured(self, kernel):
        """u and sigma after the power iterations."""
        fixed = ops.stop_gradient(kernel)
        u = ops.convert_to_tensor(self.u)
        for k in range(self.power_iterations):
            v = _unit(_adjoint(u, fixed))
            last = k == self.power_iterations - 1
            image = _forward(v, kernel if last else fixed)
            u = _unit(ops.stop_gradient(image))
        return u, ops.sum(u * image)

    def _factor(self, sigma):
        if self.mode == "shrink":
            sigma = ops.maximum(sigma, self.target)
        return self.target / sigma

    def get_config(self):
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "target": self.target,
            "power_iterations": self.power_iterations,
            "mode": self.mode,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class _UnitGaussian(keras.initializers.Initializer):
    """A Gaussian array divided by its length."""

    def __init__(self, seed: int = 0):
        self.seed = seed

    def __call__(self, shape, dtype=None):
        return _unit(keras.random.normal(shape, dtype=dtype, seed=self.seed))

    def get_config(self):
        return {"seed": self.seed}


def _forward(x, kernel):
    return ops.conv(x, kernel, padding="same", data_format="channels_last")


def _adjoint(y, kernel):
    """The exact adjoint: the kernel turned by 180 degrees, channels and filters exchanged."""
    return _forward(y, ops.transpose(ops.flip(kernel, (0, 1)), (0, 1, 3, 2)))


def _unit(x):
    return x / ops.maximum(ops.sqrt(ops.sum(ops.square(x))), _SHORTEST)


def _check_layer(layer):
    if not isinstance(layer, keras.layers.Conv2D):
        raise ValueError(
            "Real spectral normalization is for `keras.layers.Conv2D`. Received: "
            f"{type(layer).__name__}"
        )
    allowed = {
        "strides": layer.strides == (1, 1),
        "dilation_rate": layer.dilation_rate == (1, 1),
        "groups": layer.groups == 1,
        "padding": layer.padding == "same",
        "kernel_size": all(side % 2 for side in layer.kernel_size),
        "data_format": layer.data_format == "channels_last",
    }
    wrong = [name for name, fits in allowed.items() if not fits]
    if wrong:
        raise ValueError(
            "Real spectral normalization needs stride 1, no dilation, no groups, padding 'same', "
            "an odd kernel size and channels last. Received: "
            + ", ".join(f"{name}={getattr(layer, name)!r}" for name in wrong)
        )
