"""DnCNN and SimpleCNN, which predict the noise in a picture, and the denoiser made of them."""

import keras
import numpy as np

from keras_imaging.layers.real_spectral_norm import RealSpectralNormalization
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies
from keras_imaging.ops.value_range import Range, checked_range, in_range
from keras_imaging.typing import Tensor

SPECTRAL_NORMS = (None, "real")


class NoisePredictor(PretrainedModel):
    """A chain of convolutions, `conv1` ... `conv<depth>`, whose output is the noise of its input.

    Give it a depth, or what of it is a network of its own: `DnCNN` or `SimpleCNN`.
    """

    def __init__(self, config: dict, weights, dtype, name):
        for argument, least in (("depth", 2), ("filters", 1), ("channels", 1)):
            if config[argument] < least:
                raise ValueError(
                    f"`{argument}` must be at least {least}. Received: {argument}="
                    f"{config[argument]}"
                )
        if config["spectral_norm"] not in SPECTRAL_NORMS:
            raise ValueError(
                f"`spectral_norm` must be one of {SPECTRAL_NORMS}. Received: "
                f"spectral_norm={config['spectral_norm']!r}"
            )
        if not config["lipschitz"] > 0:
            raise ValueError(
                f"`lipschitz` must be positive. Received: lipschitz={config['lipschitz']}"
            )
        channels = config["channels"] + config["noise_map"]
        shape = config["input_shape"]
        shape = (None, None, channels) if shape is None else tuple(shape)
        if len(shape) != 3 or shape[-1] != channels:
            raise ValueError(
                f"`input_shape` must be (height, width, {channels}). Received: input_shape={shape}"
            )
        policy, full = dtype_policies(dtype)
        inputs = keras.Input(shape, dtype=full, name="image")
        x, depth = inputs, config["depth"]
        for k in range(1, depth + 1):
            last = k == depth
            filters = config["channels"] if last else config["filters"]
            x = _convolution(filters, config, full if last else policy, f"conv{k}")(x)
            if config.get("batch_norm") and 1 < k < depth:
                x = keras.layers.BatchNormalization(
                    momentum=0.9,
                    epsilon=1e-5,
                    gamma_initializer=_SmallScale(config["filters"]),
                    dtype=policy,
                    name=f"norm{k}",
                )(x)
            if not last:
                x = keras.layers.ReLU(dtype=policy, name=f"relu{k}")(x)
        config = {**config, "input_shape": shape, "dtype": policy.name}
        super().__init__(inputs, x, config, weights, name=name)

    @property
    def channels(self) -> int:
        """Of the pictures; a noise map is one more."""
        return self._config["channels"]

    @property
    def noise_map(self) -> bool:
        """Whether the last channel of the input is the noise level."""
        return self._config["noise_map"]

    def edge_form(self, input_shape=None, expand_groups=True) -> "NoisePredictor":
        """An equal model of ordinary convolutions, without the state of the normalization.

        Args:
            input_shape, expand_groups: see `PretrainedModel.edge_form`.
        """
        (shape,) = self.input_shapes(input_shape).values()
        config = {"spectral_norm": None, "input_shape": shape, "dtype": "float32"}
        twin = type(self)(**{**self.get_config(), **config})
        for layer in self.layers:
            if isinstance(layer, RealSpectralNormalization):
                layer = layer.finalize()
            twin.get_layer(layer.name).set_weights(layer.get_weights())
        return twin


@keras.saving.register_keras_serializable(package="keras_imaging")
class DnCNN(NoisePredictor):
    """Predicts the noise of a picture: convolutions, batch normalization and ReLU.

    All convolutions are 3x3 without bias; the first and the last have no normalization. The
    denoised picture is the input less the output: `Denoiser`.

    With `spectral_norm="real"` each convolution has the norm lipschitz^(1/depth), and the network
    without batch normalization the Lipschitz constant `lipschitz`, up to what one power iteration a
    step leaves. Batch normalization follows the convolutions and is not bound by it: for a bound
    that holds use `batch_norm=False`, or `analysis.tighten_lipschitz` after training.

    Args:
        depth: number of convolutions.
        filters: width.
        channels: of the picture, 1 or 3.
        batch_norm: whether there is batch normalization.
        spectral_norm: None or `"real"`, see `layers.RealSpectralNormalization`.
        lipschitz: of the whole network, with `spectral_norm`.
        image_size: of the training patches, for the norm; images of any size may follow.
        noise_map: the input has one more channel, the noise's standard deviation: one network for
            all levels.
        input_shape: `(height, width, channels)`, the noise map among the channels; None where a
            side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the last layer is in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, 0..1.
    Output shape:
        `(batch, height, width, channels)`: the noise, without the map's channel.
    Raises:
        ValueError: if an argument is out of its range, or on integer input.
    Example:
        >>> tuple(DnCNN(depth=5, filters=8)(np.zeros((1, 8, 9, 1), "float32")).shape)
        (1, 8, 9, 1)
    Reference:
        Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser", 2017; with spectral
        normalization Ryu et al., "Plug-and-Play Methods Provably Converge with Properly Trained
        Denoisers", ICML 2019.
    """

    def __init__(
        self,
        depth: int = 17,
        filters: int = 64,
        channels: int = 1,
        batch_norm: bool = True,
        spectral_norm: str | None = None,
        lipschitz: float = 1.0,
        image_size: tuple[int, int] = (40, 40),
        noise_map: bool = False,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        config = {
            "depth": depth,
            "filters": filters,
            "channels": channels,
            "batch_norm": batch_norm,
            "spectral_norm": spectral_norm,
            "lipschitz": lipschitz,
            "image_size": tuple(image_size),
            "noise_map": noise_map,
            "input_shape": input_shape,
        }
        super().__init__(config, weights, dtype, name or "dncnn")


@keras.saving.register_keras_serializable(package="keras_imaging")
class SimpleCNN(NoisePredictor):
    """Predicts the noise of a picture: four 3x3 convolutions with ReLU between, no bias.

    Args:
        depth, filters, channels, spectral_norm, lipschitz, image_size, noise_map, input_shape,
            weights, dtype, name: see `DnCNN`.

    Input shape:
        `(batch, height, width, channels)`, float, 0..1.
    Output shape:
        `(batch, height, width, channels)`: the noise.
    Raises:
        ValueError: see `DnCNN`.
    Example:
        >>> tuple(SimpleCNN(filters=8)(np.zeros((1, 8, 9, 1), "float32")).shape)
        (1, 8, 9, 1)
    Reference:
        Ryu et al., "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", ICML
        2019.
    """

    def __init__(
        self,
        depth: int = 4,
        filters: int = 64,
        channels: int = 1,
        spectral_norm: str | None = None,
        lipschitz: float = 1.0,
        image_size: tuple[int, int] = (40, 40),
        noise_map: bool = False,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        config = {
            "depth": depth,
            "filters": filters,
            "channels": channels,
            "spectral_norm": spectral_norm,
            "lipschitz": lipschitz,
            "image_size": tuple(image_size),
            "noise_map": noise_map,
            "input_shape": input_shape,
        }
        super().__init__(config, weights, dtype, name or "simplecnn")


NETWORKS = {"DnCNN": DnCNN, "SimpleCNN": SimpleCNN}


@keras.saving.register_keras_serializable(package="keras_imaging")
class Denoiser(PretrainedModel):
    """The picture less the noise that a network finds in it: H(x) = x - N(x).

    Args:
        network: N: a `DnCNN` or a `SimpleCNN`, which becomes a part of this model, or its class and
            arguments, such as `{"network": "SimpleCNN", "filters": 32}`; None is `DnCNN()`.
        sigma: standard deviation of the noise for which N was trained, in 255ths; for a network
            with a noise map that of the noise to remove.
        value_range: what is 0 and 1 to N: numbers, or `"min"` and `"max"` of each picture. With
            these no Lipschitz constant of N says anything of H, and no certificate is given.
        span: see `ops.value_range.in_range`.
        input_shape: `(height, width, channels)`; None where a side is not fixed.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, in `value_range`.
    Output shape:
        The same; not clipped.
    Raises:
        ValueError: if an argument is out of its range, or on integer input.
    Example:
        >>> denoiser = Denoiser(SimpleCNN(filters=8), sigma=15)
        >>> tuple(denoiser(np.zeros((1, 8, 9, 1), "float32")).shape)
        (1, 8, 9, 1)
    Reference:
        Ryu et al., "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", ICML
        2019.
    """

    task = "denoising"

    not_architecture = (*PretrainedModel.not_architecture, "value_range", "span")

    def __init__(
        self,
        network: NoisePredictor | dict | None = None,
        sigma: float = 25.0,
        value_range: Range = (0.0, 1.0),
        span: float = 1.0,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        value_range = checked_range(value_range, span)
        if not sigma > 0:
            raise ValueError(f"`sigma` must be positive. Received: sigma={sigma}")
        policy, full = dtype_policies(dtype)
        network = _network(network, policy)
        shape = (None, None, network.channels) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or shape[-1] != network.channels:
            raise ValueError(
                f"`input_shape` must be (height, width, {network.channels}). Received: "
                f"input_shape={input_shape}"
            )
        inputs = keras.Input(shape, dtype=full, name="image")
        level = _NoiseMap(sigma / 255, dtype=full, name="noise_map")
        subtract = keras.layers.Subtract(dtype=full, name="denoised")

        def denoise(x):
            return subtract([x, network(level(x) if network.noise_map else x)])

        outputs = in_range(denoise, inputs, value_range, span)
        described = {"network": type(network).__name__, **network.architecture}
        config = {
            "network": {key: _plain(value) for key, value in described.items()},
            "sigma": sigma,
            "value_range": list(value_range),
            "span": span,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, outputs, config, weights, name=name or "denoiser")

    @property
    def network(self) -> NoisePredictor:
        """N."""
        return next(layer for layer in self.layers if isinstance(layer, NoisePredictor))

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that it removes, in 255ths."""
        return self._config["sigma"]

    @property
    def value_range(self) -> Range:
        """What is 0 and 1 to the network."""
        return tuple(self._config["value_range"])

    @property
    def span(self) -> float:
        """The part of 0..1 that the range is mapped to."""
        return self._config["span"]

    @property
    def has_fixed_range(self) -> bool:
        """Whether H - I has the Lipschitz constant of the network."""
        return not any(isinstance(end, str) for end in self.value_range)

    def with_range(self, value_range: Range = (0.0, 1.0), span: float = 1.0) -> "Denoiser":
        """The same network, of which this is the range.

        Args:
            value_range, span: see the constructor.
        """
        changes = {"network": self.network, "value_range": value_range, "span": span}
        return Denoiser(**{**self.get_config(), **changes})

    def edge_form(self, input_shape=None, expand_groups=True) -> keras.Model:
        """An equal model without models inside, of ordinary convolutions.

        Args:
            input_shape, expand_groups: see `PretrainedModel.edge_form`.
        """
        (shape,) = self.input_shapes(input_shape).values()
        inputs = keras.Input(shape, dtype="float32", name="image")
        network = self.network.edge_form()

        def denoise(x):
            y = x
            if network.noise_map:
                y = _NoiseMap(self.sigma / 255, dtype="float32", name="noise_map")(y)
            for layer in network.layers[1:]:
                y = layer(y)
            return keras.layers.Subtract(dtype="float32", name="denoised")([x, y])

        return keras.Model(
            inputs, in_range(denoise, inputs, self.value_range, self.span), name=self.name
        )

    def input_of(self, picture, rng):
        """The picture with noise of `sigma`."""
        picture = self.prepare(picture)
        noise = rng.normal(0, self.sigma / 255, picture.shape)
        return {self.inputs[0].name: (picture + noise).astype("float32")[None]}


@keras.saving.register_keras_serializable(package="keras_imaging")
class _NoiseMap(keras.layers.Layer):
    """One more channel, of a constant value."""

    def __init__(self, level: float, **kwargs):
        super().__init__(**kwargs)
        self.level = level

    def call(self, inputs: Tensor) -> Tensor:
        return keras.ops.concatenate(
            [inputs, keras.ops.full_like(inputs[..., :1], self.level)], axis=-1
        )

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "level": self.level}


@keras.saving.register_keras_serializable(package="keras_imaging")
class _SmallScale(keras.initializers.Initializer):
    """The published start of gamma: normal, of standard deviation sqrt(2 / 9 n), within 0.025."""

    def __init__(self, filters: int, seed: int | None = None):
        self.filters = filters
        self.seed = seed

    def __call__(self, shape, dtype=None):
        spread = np.sqrt(2 / (9 * self.filters))
        gamma = keras.random.normal(shape, stddev=spread, dtype=dtype, seed=self.seed)
        return keras.ops.clip(gamma, -0.025, 0.025)

    def get_config(self):
        return {"filters": self.filters, "seed": self.seed}


def _convolution(filters, config, dtype, name):
    normalized = config["spectral_norm"] == "real"
    conv = keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal"),
        dtype=dtype,
        name=f"{name}_kernel" if normalized else name,
    )
    if not normalized:
        return conv
    return RealSpectralNormalization(
        conv,
        config["image_size"],
        target=config["lipschitz"] ** (1 / config["depth"]),
        dtype=dtype,
        name=name,
    )


def _network(network, policy):
    if isinstance(network, NoisePredictor):
        return network
    arguments = dict(network or {"network": "DnCNN"})
    kind = arguments.pop("network", None)
    if kind not in NETWORKS:
        raise ValueError(f"`network` must be one of {sorted(NETWORKS)}. Received: {kind!r}")
    return NETWORKS[kind](**arguments, dtype=policy)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


DnCNN.presets = {
    "dncnn": {},
    "dncnn_realsn": {"spectral_norm": "real"},
    "dncnn_color": {"channels": 3},
    "dncnn_small": {"depth": 10, "filters": 32},
    "dncnn_small_color": {"depth": 10, "filters": 32, "channels": 3},
    "dncnn_small_realsn": {
        "depth": 8,
        "filters": 32,
        "batch_norm": False,
        "spectral_norm": "real",
    },
}
SimpleCNN.presets = {
    "simplecnn": {},
    "simplecnn_realsn": {"spectral_norm": "real"},
}
