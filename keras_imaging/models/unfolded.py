"""Base of networks of unrolled algorithms."""

import keras

from keras_imaging.layers.unfolded.base import UnfoldedLayer
from keras_imaging.models.pretrained import PretrainedModel


class UnfoldedModel(PretrainedModel):
    """A network whose layers include the iterations of an algorithm, one after the other."""

    @property
    def unfolded(self) -> list[UnfoldedLayer]:
        """The layers of the recursion, first to last."""
        return [layer for layer in self.layers if isinstance(layer, UnfoldedLayer)]


class MeasurementModel(UnfoldedModel):
    """An unfolded network of measurements, `(batch, m)`, real floats."""

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        m = self.input_shape[-1]
        if len(inputs.shape) != 2 or inputs.shape[-1] != m:
            raise ValueError(
                f"{type(self).__name__} takes measurements (batch, {m}). "
                f"Received shape {tuple(inputs.shape)}."
            )
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "float" not in dtype:
            raise ValueError(f"{type(self).__name__} takes real floats. Received dtype {dtype}.")
