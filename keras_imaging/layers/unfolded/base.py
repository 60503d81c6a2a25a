"""A layer that is one iteration of an algorithm: a step of `steps` whose parts learn."""

import keras


class UnfoldedLayer(keras.layers.Layer):
    """One iteration whose parts have weights: what the layers of every unrolled algorithm share.

    A subclass makes the parts, lists those that are layers in `_parts`, computes its step by a
    function of `steps`, and says its output's shape. Iterates are in full precision under mixed
    precision, too: what they gain at the end is small beside what they are.

    Args:
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)

    def build(self, input_shape):
        iterate = self.compute_output_shape(input_shape)
        for part in self._parts():
            # A part that layers share is built by the first of them.
            if not part.built:
                part.build(iterate)

    # No attribute: Keras files weights under the first attribute, by the alphabet, that holds them.
    def _parts(self) -> tuple[keras.layers.Layer, ...]:
        """The layers inside, which take the iterate's shape."""
        return ()

    def compute_output_spec(self, inputs):
        shapes = [x.shape for x in inputs] if isinstance(inputs, list) else inputs.shape
        return keras.KerasTensor(self.compute_output_shape(shapes), self.variable_dtype)
