"""Training data of watermarks: portraits, photographs and bits."""

from collections.abc import Iterable

import numpy as np

from keras_imaging.ops.resize import imresize
from keras_imaging.picture_size import size_text


class PortraitSampler:
    """Square pictures with random bits; every batch is a function of the seed and the step.

    A part of each batch are photographs of anything: what a network learns from one source of
    portraits alone holds less well for others. Each picture is shrunk until its shorter side is
    `image_size` times a zoom; of what is longer a random window is taken, and half are mirrored.

    Args:
        portraits: uint8 RGB images, a centred face each.
        photographs: uint8 RGB images of anything; may be none.
        image_size: side of the squares.
        message_length: bits of a message.
        batch_size: pictures in a (global) batch.
        photograph_share: of the batch, in 0..1, where there are photographs.
        zooms: of the photographs.
        seed: of the random choices.

    Raises:
        ValueError: if there is no portrait, an image is not uint8 RGB, or it is smaller than a
            square.

    Example:
        >>> sampler = PortraitSampler(portraits, image_size=128, message_length=64, batch_size=16)
        >>> (inputs,) = sampler.batch(0)  # {"image": uint8 (16, 128, 128, 3), "bits": (16, 64)}
    """

    def __init__(
        self,
        portraits: Iterable[np.ndarray],
        photographs: Iterable[np.ndarray] = (),
        image_size: int = 128,
        message_length: int = 64,
        batch_size: int = 16,
        photograph_share: float = 0.25,
        zooms: tuple[float, ...] = (1.0, 1.6, 2.4),
        seed: int = 0,
    ):
        if not 0 <= photograph_share <= 1:
            raise ValueError(f"`photograph_share` must be in 0..1. Received: {photograph_share}")
        self.image_size, self.message_length = image_size, message_length
        self.batch_size, self.seed = batch_size, seed
        self._portraits = [_shrunk(image, image_size) for image in portraits]
        if not self._portraits:
            raise ValueError("There are no portraits.")
        self._photographs = [
            _shrunk(image, round(zoom * image_size))
            for image in photographs
            for zoom in zooms
            if min(image.shape[:2]) >= round(zoom * image_size)
        ]
        self._n_photographs = round(photograph_share * batch_size) if self._photographs else 0

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[dict[str, np.ndarray]]:
        """Batch number `step`, or those `rows` of it."""
        rng = np.random.default_rng([self.seed, step])
        choices = []
        for row in range(self.batch_size):
            source = self._photographs if row < self._n_photographs else self._portraits
            image = source[rng.integers(len(source))]
            top, left = (rng.integers(side - self.image_size + 1) for side in image.shape[:2])
            choices.append((image, top, left, rng.integers(2)))
        # So that every device, and every start of a batch, has some of both.
        order = rng.permutation(self.batch_size)
        bits = rng.integers(0, 2, (self.batch_size, self.message_length)).astype("float32")
        pictures = np.stack([self._window(*choices[row]) for row in order[rows]])
        return ({"image": pictures, "bits": bits[rows]},)

    def _window(self, image, top, left, mirrored):
        window = image[top : top + self.image_size, left : left + self.image_size]
        return window[:, ::-1] if mirrored else window


def _shrunk(image, shorter_side):
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"Pictures must be uint8 RGB. Received {image.dtype} of shape {image.shape}."
        )
    height, width = image.shape[:2]
    if min(height, width) < shorter_side:
        raise ValueError(
            f"A picture of {size_text(height, width)} is smaller than {shorter_side} pixels."
        )
    factor = shorter_side / min(height, width)
    size = tuple(max(shorter_side, round(side * factor)) for side in (height, width))
    return image if size == (height, width) else imresize(image, output_size=size)
