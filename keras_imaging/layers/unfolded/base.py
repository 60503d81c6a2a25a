"""A layer that is one iteration of an algorithm: a step of `steps` whose parts learn."""

import keras

from keras_imaging.layers.full_precision import FullPrecisionLayer


class UnfoldedLayer(FullPrecisionLayer):
    """One iteration whose parts have weights: what the layers of every unrolled algorithm share.

    A subclass makes the parts, says in `_parts` which of them are layers and what they take,
    computes its step by a function of `steps`, and says its output's shape, or a nest of shapes.
    Iterates are in full precision under mixed precision, too: what they gain at the end is small
    beside what they are.

    Args:
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        for part, shape in self._parts(input_shape):
            # A part that layers share is built by the first of them.
            if not part.built:
                part.build(shape)

    # No attribute: Keras files weights under the first attribute, by the alphabet, that holds them.
    def _parts(self, input_shape) -> list[tuple[keras.layers.Layer, tuple]]:
        """The layers inside, each with the shape of what it takes; for inputs of `input_shape`."""
        return []
