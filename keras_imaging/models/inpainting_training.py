"""Train a network that fills holes, on the pixels themselves."""

from collections.abc import Callable

import keras

from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class InpaintingLoss(keras.losses.Loss):
    """Weighted mean absolute error of known and missing pixels, and a perceptual distance.

    mean(|prediction - picture| (known_weight (1 - mask) + missing_weight mask)) over all pixels,
    plus perceptual_weight times the mean of `perceptual`.

    Args:
        known_weight, missing_weight: 0 or more, not both 0.
        perceptual: a function of (pictures, predictions), both `(batch, height, width, channels)`,
            to one distance per picture; None for none.
        perceptual_weight: its weight.
        name: name of the loss.

    Input shape:
        `y_true`: `(batch, height, width, channels + 1)`, the picture and its mask, 1 in a hole;
        `y_pred`: `(batch, height, width, channels)`.
    Raises:
        ValueError: if a weight is out of its range.
    Example:
        >>> truth = np.concatenate([np.ones((1, 8, 8, 3)), np.zeros((1, 8, 8, 1))], axis=-1)
        >>> float(InpaintingLoss(known_weight=2.0)(truth, np.zeros((1, 8, 8, 3))))
        2.0
    """

    def __init__(
        self,
        known_weight: float = 1.0,
        missing_weight: float = 5.0,
        perceptual: Callable[[Tensor, Tensor], Tensor] | None = None,
        perceptual_weight: float = 30.0,
        name: str = "inpainting_loss",
    ):
        super().__init__(name=name)
        if known_weight < 0 or missing_weight < 0 or not known_weight + missing_weight > 0:
            raise ValueError(
                "`known_weight` and `missing_weight` must be 0 or more, and not both 0. Received: "
                f"known_weight={known_weight}, missing_weight={missing_weight}"
            )
        if perceptual_weight < 0:
            raise ValueError(
                "`perceptual_weight` must be 0 or more. Received: "
                f"perceptual_weight={perceptual_weight}"
            )
        self.known_weight = known_weight
        self.missing_weight = missing_weight
        self.perceptual = perceptual
        self.perceptual_weight = perceptual_weight

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        picture, mask = y_true[..., :-1], y_true[..., -1:]
        weight = self.known_weight * (1 - mask) + self.missing_weight * mask
        error = keras.ops.mean(weight * keras.ops.abs(y_pred - picture), axis=(1, 2, 3))
        if self.perceptual is not None:
            error = error + self.perceptual_weight * self.perceptual(picture, y_pred)
        return error

    def get_config(self):
        return {
            "known_weight": self.known_weight,
            "missing_weight": self.missing_weight,
            "perceptual": keras.saving.serialize_keras_object(self.perceptual),
            "perceptual_weight": self.perceptual_weight,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        perceptual = keras.saving.deserialize_keras_object(config["perceptual"])
        return cls(**{**config, "perceptual": perceptual})


@keras.saving.register_keras_serializable(package="keras_imaging")
class HoleLogError(keras.losses.Loss):
    """Mean over the pictures of log(mean square error in the holes + floor).

    A picture counts as much as another however hard its hole is to fill: this is the mean PSNR, up
    to its sign and a factor, below an error of `floor`. The absolute error instead spends itself on
    what cannot be known, and roughens smooth holes meanwhile.

    Args:
        floor: a mean square error, on the scale 0..1, below which less is gained.
        name: name of the loss.

    Input shape:
        As `InpaintingLoss`.
    Raises:
        ValueError: if `floor` is not positive.
    Example:
        >>> truth = np.ones((1, 8, 8, 4), "float32")
        >>> round(float(HoleLogError()(truth, np.zeros((1, 8, 8, 3), "float32"))), 3)
        0.0
    """

    def __init__(self, floor: float = 1e-5, name: str = "hole_log_error"):
        super().__init__(name=name)
        if not floor > 0:
            raise ValueError(f"`floor` must be positive. Received: floor={floor}")
        self.floor = floor

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        picture, mask = y_true[..., :-1], y_true[..., -1:]
        error = keras.ops.mean(mask * keras.ops.square(y_pred - picture), axis=(1, 2, 3))
        part = keras.ops.maximum(keras.ops.mean(mask, axis=(1, 2, 3)), 1e-9)
        return keras.ops.log(error / part + self.floor)

    def get_config(self):
        return {"floor": self.floor, "name": self.name}


@keras.saving.register_keras_serializable(package="keras_imaging")
class InpaintingModel(keras.Model):
    """A generator that `fit` trains on pictures with holes, on every backend and device strategy.

    `fit` takes what `data.InpaintingSampler` gives: the picture with holes and its mask as inputs,
    the whole picture as target. The loss sees the generator's whole proposal; `complete` gives the
    finished picture.

    Args:
        generator: such as `LaMaGenerator`.
        loss: an `InpaintingLoss` or a `HoleLogError`; None for the first with its defaults.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels + 1)`, see the generator.
    Output shape:
        `(batch, height, width, channels)`, the generator's proposal.
    Raises:
        ValueError: as the generator, on inputs of another shape.
    Example:
        >>> from keras_imaging.models import LaMaGenerator
        >>> model = InpaintingModel(LaMaGenerator.from_preset("lama_tiny", weights=None))
        >>> model.compile("adam")
        >>> inputs = np.zeros((2, 16, 16, 4), "float32")
        >>> history = model.fit(inputs, inputs[..., :3], verbose=0)
    Reference:
        Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV
        2022.
    """

    def __init__(
        self,
        generator: keras.Model,
        loss: keras.losses.Loss | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.generator = generator
        self.inpainting_loss = InpaintingLoss() if loss is None else loss
        # The generator has its weights, and there are no others.
        self.built = True

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return self.generator(inputs, training=training)

    def complete(self, inputs: Tensor) -> Tensor:
        """The pictures with their holes filled; known pixels are those of the input."""
        picture, mask = inputs[..., :-1], inputs[..., -1:]
        return mask * self(inputs, training=False) + (1 - mask) * picture

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        truth = keras.ops.concatenate([y, x[..., -1:]], axis=-1)
        return self.inpainting_loss(truth, y_pred, sample_weight)

    def get_config(self):
        return {
            "generator": keras.saving.serialize_keras_object(self.generator),
            "loss": keras.saving.serialize_keras_object(self.inpainting_loss),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        generator, loss = (
            keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("generator", "loss")
        )
        return cls(generator, loss, config["name"])
