"""Composition of two linear maps."""

import keras

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.layers.linear_map import LinearMap


@keras.saving.register_keras_serializable(package="keras_imaging")
class ComposedMap(FullPrecisionLayer):
    """y = M (D x) for each row x of a batch.

    Args:
        outer: M, `(m, f)`.
        inner: D, `(f, n)`.

    Input shape:
        `(batch, n)`.
    Output shape:
        `(batch, m)`.

    Raises:
        ValueError: if M does not take what D gives.

    Example:
        >>> composed = ComposedMap(LinearMap((3, 4)), LinearMap((4, 5)))
        >>> tuple(composed(keras.ops.ones((2, 5))).shape)
        (2, 3)
    """

    def __init__(self, outer: LinearMap, inner: LinearMap, **kwargs):
        super().__init__(autocast=False, **kwargs)
        if outer.shape[1] != inner.shape[0]:
            raise ValueError(
                f"The outer map must take what the inner one gives. Received shapes {outer.shape} "
                f"and {inner.shape}."
            )
        self.outer, self.inner = outer, inner
        self.shape = (outer.shape[0], inner.shape[1])

    def build(self, input_shape=None):
        for part in (self.inner, self.outer):
            # Other layers may share the parts.
            if not part.built:
                part.build()

    def call(self, inputs):
        return self.outer(self.inner(inputs))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.shape[0])

    def get_config(self):
        maps = {name: getattr(self, name) for name in ("outer", "inner")}
        saved = {name: keras.saving.serialize_keras_object(part) for name, part in maps.items()}
        return {**super().get_config(), **saved}

    @classmethod
    def from_config(cls, config):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("outer", "inner")
        }
        return cls(**{**config, **parts})
