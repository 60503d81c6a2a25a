"""Layers with full-precision output under mixed precision."""

import keras


class FullPrecisionLayer(keras.layers.Layer):
    """A layer that answers in the dtype of its weights, under mixed precision too.

    Keras' layers answer in the lower one. Here that would lose what the layer is for: iterates that
    gain little by little, residuals that are small differences, steps of 1 / 255 between pixels.

    Args:
        **kwargs: of `keras.layers.Layer`.
    """

    def compute_output_spec(self, *args, **kwargs):
        spec = super().compute_output_spec(*args, **kwargs)
        return keras.tree.map_structure(
            lambda x: keras.KerasTensor(x.shape, self.variable_dtype), spec
        )
