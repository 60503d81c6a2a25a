"""Random operations on pictures, and how they are chosen and chained."""

from collections.abc import Callable, Sequence

import keras

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.typing import Tensor

Operation = Callable[[Tensor], Tensor]


@keras.saving.register_keras_serializable(package="keras_imaging")
class Distortion(FullPrecisionLayer):
    """A random change of a picture that keeps its size: what every distortion shares.

    A subclass writes `draw`, which returns the change itself as a function, so that all random
    numbers are drawn outside of the branch that `RandomChoice` takes.

    Pictures stay in full precision under mixed precision, where Keras' layers answer in the lower
    one: bfloat16 rounds a sample by up to half a step of 8 bits, and a mark is a few such steps.

    Args:
        always: change pictures also outside of training.
        seed: of the random numbers.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`, float, 0..1; height and width known.
    Output shape:
        as the input; full precision under every dtype policy.
    Raises:
        ValueError: on another shape, or integers.
    Example:
        >>> from keras_imaging.layers import GaussianBlur
        >>> blur = GaussianBlur(sigma=(0.4, 1.2), seed=1)
        >>> tuple(blur(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(self, always: bool = False, seed: int | None = None, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.always = always
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def draw(self, images: Tensor, donors: Tensor | None = None) -> Operation:
        """Draw the change for a batch.

        Args:
            images: the batch.
            donors: as many other pictures, for manipulations that take parts of them.
        """
        raise NotImplementedError

    def call(
        self, images: Tensor, donors: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[-1] != 3 or None in shape[1:]:
            raise ValueError(
                f"{type(self).__name__} expected (batch, height, width, 3) with known height and "
                f"width. Received shape {shape}."
            )
        dtype = keras.backend.standardize_dtype(images.dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(self).__name__} expected float images in 0..1. Received dtype {dtype}: "
                "divide by 255 first."
            )
        images = keras.ops.cast(images, self.variable_dtype)
        if not (training or self.always):
            return images
        return self.draw(images, donors)(images)

    def compute_output_shape(self, images_shape, donors_shape=None):
        return tuple(images_shape)

    def get_config(self):
        return {**super().get_config(), "always": self.always, "seed": self.seed}

    def uniform(self, images, limits):
        """One number per image."""
        shape = (keras.ops.shape(images)[0],)
        low, high = limits
        return keras.random.uniform(shape, low, high, dtype=images.dtype, seed=self.seed_generator)


def interval(name: str, value, low: float, high: float) -> tuple[float, float]:
    """A number or pair as a pair, inside [low, high].

    Raises:
        ValueError: naming the argument, if it is neither or lies outside.
    """
    pair = (value, value) if isinstance(value, int | float) else tuple(value)
    if len(pair) != 2 or not low <= pair[0] <= pair[1] <= high:
        raise ValueError(
            f"`{name}` must be a number or an increasing pair in {low:g}..{high:g}. "
            f"Received: {name}={value}"
        )
    return pair


def restored(part):
    """A part of a layer or model, made again where a configuration is given in its place."""
    return keras.saving.deserialize_keras_object(part) if isinstance(part, dict) else part


class _Several(Distortion):
    """Distortions made of distortions."""

    def __init__(self, layers, always, seed, **kwargs):
        super().__init__(always, seed, **kwargs)
        self.layers = [restored(layer) for layer in layers]
        for layer in self.layers:
            if not isinstance(layer, Distortion):
                raise ValueError(
                    f"{type(self).__name__} expected `layers` to be distortions. Received: {layer}"
                )

    def build(self, images_shape, donors_shape=None):
        for layer in self.layers:
            layer.build(images_shape)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": layers}


@keras.saving.register_keras_serializable(package="keras_imaging")
class RandomChoice(_Several):
    """One of several distortions, drawn anew for every batch.

    Args:
        layers: distortions.
        include_identity: leaving the pictures as they are is one more choice.
        always: also outside of training.
        seed: of the choice.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`, float, 0..1.
    Output shape:
        as the input.
    Raises:
        ValueError: if there is nothing to choose from, or a layer is no distortion.
    Example:
        >>> from keras_imaging.layers import JPEG, GaussianBlur
        >>> layer = RandomChoice([JPEG(75), GaussianBlur(1.0)])
        >>> tuple(layer(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        layers: Sequence[Distortion],
        include_identity: bool = True,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(layers, always, seed, **kwargs)
        if not self.layers:
            raise ValueError("RandomChoice expected at least one layer. Received: layers=[]")
        self.include_identity = include_identity

    def draw(self, images, donors=None):
        return self.choose(images, donors)[0]

    def choose(self, images: Tensor, donors: Tensor | None = None) -> tuple[Operation, Tensor]:
        """As `draw`, with the place of the choice in `layers`; the identity comes last.

        Args:
            images, donors: see `Distortion.draw`.
        """
        branches = [layer.draw(images, donors) for layer in self.layers]
        if self.include_identity:
            branches.append(lambda x: x)
        chosen = keras.random.uniform((), 0, len(branches), seed=self.seed_generator)
        # In float32 a draw may round to the end of the interval.
        index = keras.ops.minimum(keras.ops.cast(chosen, "int32"), len(branches) - 1)
        return lambda x: keras.ops.switch(index, branches, x), index

    def get_config(self):
        return {**super().get_config(), "include_identity": self.include_identity}


@keras.saving.register_keras_serializable(package="keras_imaging")
class Compose(_Several):
    """Several distortions, one after the other.

    Args:
        layers: distortions, the first to happen first.
        always: also outside of training.
        seed: unused by itself; each layer has its own.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`, float, 0..1.
    Output shape:
        as the input.
    Raises:
        ValueError: if a layer is no distortion.
    Example:
        >>> from keras_imaging.layers import JPEG, GaussianBlur
        >>> layer = Compose([GaussianBlur(0.7), JPEG(80)])
        >>> tuple(layer(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        layers: Sequence[Distortion],
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(layers, always, seed, **kwargs)

    def draw(self, images, donors=None):
        operations = [layer.draw(images, donors) for layer in self.layers]

        def chain(x):
            for operation in operations:
                x = operation(x)
            return x

        return chain
