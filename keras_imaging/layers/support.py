"""Support prior: where in a picture a watermark may be."""

import keras
import numpy as np

from keras_imaging.typing import Tensor

SUPPORTS = ("face", "full")


def support_prior(height: int, width: int, support: str = "face") -> np.ndarray:
    """Share of the mark at every pixel, `(1, height, width, 1)` in 0..1.

        "face":  sigmoid(10 (1 - (u / 0.52)^2 - ((v - 0.05) / 0.66)^2))

    with u and v from -1 to 1 over columns and rows, both ends included.

    Args:
        height, width: pixels.
        support: `"face"` or `"full"`, everywhere.

    Raises:
        ValueError: on another name.
    """
    if support not in SUPPORTS:
        raise ValueError(f"`support` must be one of {SUPPORTS}. Received: support={support!r}")
    if support == "full":
        return np.ones((1, height, width, 1), "float32")
    u, v = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    inside = 1 - (u / 0.52) ** 2 - ((v - 0.05) / 0.66) ** 2
    return (1 / (1 + np.exp(-10 * inside))).astype("float32")[None, ..., None]


@keras.saving.register_keras_serializable(package="keras_imaging")
class SupportPrior(keras.layers.Layer):
    """Confine a residual to the face, see `support_prior`.

    A mark spread over the whole picture survives a face swap, because the background still carries
    it; confined to the face it goes with the face.

    Args:
        support: `"face"` or `"full"`.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, channels)`, height and width known.
    Output shape:
        as the input.
    Raises:
        ValueError: on another name, or an input of unknown size.
    Example:
        >>> float(SupportPrior()(np.ones((1, 9, 9, 1), "float32"))[0, 0, 0, 0]) < 1e-6
        True
    """

    def __init__(self, support: str = "face", **kwargs):
        super().__init__(**kwargs)
        support_prior(1, 1, support)
        self.support = support

    def call(self, inputs: Tensor) -> Tensor:
        height, width = inputs.shape[1:3]
        if None in (height, width):
            raise ValueError(
                f"SupportPrior expected known height and width. Received shape {inputs.shape}."
            )
        if self.support == "full":
            return inputs
        prior = support_prior(height, width, self.support)
        return inputs * keras.ops.convert_to_tensor(prior, dtype=inputs.dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "support": self.support}
