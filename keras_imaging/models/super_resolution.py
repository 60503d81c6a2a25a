"""Base of super-resolution networks."""

import numpy as np

from keras_imaging.data.degradations import luma
from keras_imaging.data.images import sample_image
from keras_imaging.data.picture_parts import fitted, picture_parts
from keras_imaging.models.pretrained import PretrainedModel
from keras_imaging.ops.resize import imresize


class SuperResolutionModel(PretrainedModel):
    """A network that enlarges pictures `scale` times; a subclass has an argument `scale`."""

    task = "super_resolution"

    @property
    def scale(self) -> int:
        """Height and width of the output over those of the input."""
        return self._config["scale"]

    def sample_pair(
        self, height: int | None = None, width: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The sample picture, small and true, uint8.

        Args:
            height, width: of the small one, where they are fixed.
        """
        picture = sample_image()
        if self.input_shape[-1] == 1:
            picture = luma(picture)[..., None]
        sides = [
            self.scale * (fixed or own // self.scale)
            for fixed, own in zip((height, width), picture.shape, strict=False)
        ]
        truth = fitted(picture, sides)
        return imresize(truth, 1 / self.scale), truth

    def sample_inputs(self, input_shape=None):
        """Parts of the small sample picture."""
        (shape,) = self.input_shapes(input_shape).values()
        if shape[-1] not in (1, 3):
            return None
        small, _ = self.sample_pair()
        parts = picture_parts(small, *shape[:2], least=1, most=None)
        return self.inputs_of([fitted(part, shape) for part in parts])


def check_arguments(scale, scales, channels, input_shape) -> tuple:
    """Validate what every super-resolution model takes; return the full input shape."""
    if scale not in scales:
        raise ValueError(f"`scale` must be one of {scales}. Received: scale={scale}")
    if channels < 1:
        raise ValueError(f"`channels` must be at least 1. Received: channels={channels}")
    shape = (None, None, channels) if input_shape is None else tuple(input_shape)
    if len(shape) != 3 or shape[-1] != channels:
        raise ValueError(
            f"`input_shape` must be (height, width, {channels}) to agree with channels={channels}. "
            f"Received: input_shape={input_shape}"
        )
    return shape
