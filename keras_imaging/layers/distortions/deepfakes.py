"""What a deepfake does to a picture, simulated: the face is re-rendered, the rest is kept.

Every layer returns y (1 - M) + M new, with M a soft ellipse around the face.
"""

import keras
import numpy as np

from keras_imaging.layers.distortions.base import Distortion, Operation, interval
from keras_imaging.layers.distortions.benign import ResizeRoundTrip
from keras_imaging.ops.separable import (
    apply_separable,
    blur_matrix,
    crop_matrix,
    round_trip_matrix,
)
from keras_imaging.typing import Tensor

# Where generated faces end, in half sides of the picture from its centre.
_REGION = {
    "center_x": (-0.06, 0.06),
    "center_y": (0.02, 0.14),
    "axis_x": (0.42, 0.58),
    "axis_y": (0.50, 0.70),
}
FIXED_REGION = {"center_x": 0.0, "center_y": 0.08, "axis_x": 0.5, "axis_y": 0.6}


def face_ellipse(height, width, center_x, center_y, axis_x, axis_y, sharpness=8.0):
    """Soft ellipse, sigmoid(sharpness (1 - ((u - cx) / ax)^2 - ((v - cy) / ay)^2)).

    u and v run from -1 to 1 over the columns and the rows, both ends included.

    Args:
        height, width: of the picture, pixels.
        center_x, center_y, axis_x, axis_y: in half sides; numbers, or one per image, `(batch,)`.
        sharpness: of the edge.

    Returns:
        `(batch or 1, height, width, 1)`, 0..1.
    """
    ops = keras.ops
    u = ops.linspace(-1.0, 1.0, width, dtype="float32")[None, None, :]
    v = ops.linspace(-1.0, 1.0, height, dtype="float32")[None, :, None]
    cx, cy, ax, ay = (
        ops.reshape(ops.cast(value, "float32"), (-1, 1, 1))
        for value in (center_x, center_y, axis_x, axis_y)
    )
    inside = 1.0 - ops.square((u - cx) / ax) - ops.square((v - cy) / ay)
    return ops.sigmoid(sharpness * inside)[..., None]


class _Manipulation(Distortion):
    """Re-render the face region and keep the rest; a subclass writes `_renderer`."""

    def __init__(self, region=None, always=False, seed=None, **kwargs):
        super().__init__(always, seed, **kwargs)
        limits = {**_REGION, **(region or {})}
        if set(limits) != set(_REGION):
            raise ValueError(
                f"{type(self).__name__} expected `region` to have the keys {sorted(_REGION)}. "
                f"Received: region={region}"
            )
        self._limits = {
            name: interval(name, value, 0.01 if "axis" in name else -1, 4)
            for name, value in limits.items()
        }
        self.region = region

    def draw(self, images, donors=None):
        height, width = images.shape[1:3]
        mask = face_ellipse(
            height, width, *(self.uniform(images, limits) for limits in self._limits.values())
        )
        mask = keras.ops.cast(mask, images.dtype)
        render = self._renderer(images, donors, mask)
        return lambda x: x + mask * (render(x) - x)

    def get_config(self):
        return {**super().get_config(), "region": self.region}


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceSwap(_Manipulation):
    """Another face of the batch in the place of the face: face replacement.

    The other face is the next picture of the batch, slightly scaled, its colours matched inside
    the region.

    Args:
        match_color: give the other face this face's mean and deviation in every channel.
        scale: of the other face, 0.8..1.25; a number or a pair.
        region: limits of `center_x`, `center_y`, `axis_x`, `axis_y` of the face's ellipse, in half
            sides, that differ from the default; numbers or pairs. `FIXED_REGION` is the evaluation
            protocol's.
        always: also outside of training.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`; as second argument `donors`, unmarked pictures of that shape.
        Without them the pictures themselves are the donors.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(FaceSwap()(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        match_color: bool = True,
        scale: float | tuple[float, float] = (0.95, 1.05),
        region: dict | None = None,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(region, always, seed, **kwargs)
        self._scale_limits = interval("scale", scale, 0.8, 1.25)
        self.match_color = match_color
        self.scale = scale

    def _renderer(self, images, donors, mask):
        scale = self.uniform(images, self._scale_limits)
        other = keras.ops.roll(images if donors is None else donors, 1, axis=0)
        windows = [
            (length, (1.0 - 1.0 / scale) * length / 2, length / scale)
            for length in images.shape[1:3]
        ]

        def render(x):
            face = apply_separable(other, *(crop_matrix(*window) for window in windows))
            return _match_color(face, x, mask) if self.match_color else face

        return render

    def get_config(self):
        return {**super().get_config(), "match_color": self.match_color, "scale": self.scale}


def _match_color(face, target, mask):
    ops = keras.ops
    weight = mask / ops.sum(mask, axis=(1, 2), keepdims=True)

    def moments(x):
        mean = ops.sum(weight * x, axis=(1, 2), keepdims=True)
        variance = ops.sum(weight * ops.square(x - mean), axis=(1, 2), keepdims=True)
        return mean, ops.sqrt(variance + 1e-4)

    # A renderer knows the colours, not the mark: no gradient through them.
    mean, deviation = moments(ops.stop_gradient(target))
    own_mean, own_deviation = moments(face)
    return ops.clip((face - own_mean) * (deviation / own_deviation) + mean, 0.0, 1.0)


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceRegenerate(_Manipulation):
    """The same face through a bottleneck: what an autoencoder of faces leaves of it.

    Args:
        scale: of the bottleneck, in (0, 1]; a number or a pair.
        sigma: of a blur in the small picture, pixels of the small picture.
        region: see `FaceSwap`.
        always: also outside of training.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(FaceRegenerate()(np.zeros((2, 32, 32, 3), "float32"), training=True).shape)
        (2, 32, 32, 3)
    """

    def __init__(
        self,
        scale: float | tuple[float, float] = (1 / 6, 1 / 3),
        sigma: float = 1.2,
        region: dict | None = None,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(region, always, seed, **kwargs)
        self._scale_limits = interval("scale", scale, 0.01, 1)
        self.scale = scale
        self.sigma = interval("sigma", sigma, 0.05, 100)[1]

    def _renderer(self, images, donors, mask):
        scale = self.uniform(images, self._scale_limits)

        def matrix(length):
            blur = blur_matrix(length, self.sigma / scale)
            return keras.ops.matmul(blur, round_trip_matrix(length, scale))

        return lambda x: apply_separable(x, matrix(x.shape[1]), matrix(x.shape[2]))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale, "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceReenact(_Manipulation):
    """The same face with another expression: a smooth random warp and a light re-rendering.

    Args:
        amplitude: standard deviation of the displacement at the knots of a 5x5 grid, as a part of
            the picture's side, 0..0.2; a number or a pair.
        scale: of the re-rendering, in (0, 1].
        region: see `FaceSwap`.
        always: also outside of training.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(FaceReenact()(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        amplitude: float | tuple[float, float] = (1 / 32, 1 / 16),
        scale: float = 0.5,
        region: dict | None = None,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(region, always, seed, **kwargs)
        self._amplitude_limits = interval("amplitude", amplitude, 0, 0.2)
        self.amplitude = amplitude
        self.scale = interval("scale", scale, 0.01, 1)[1]

    def _renderer(self, images, donors, mask):
        ops = keras.ops
        height, width = images.shape[1:3]
        amplitude = self.uniform(images, self._amplitude_limits)[:, None, None, None]
        knots = keras.random.normal((ops.shape(images)[0], 5, 5, 2), seed=self.seed_generator)
        shift = apply_separable(knots, _spline_matrix(height), _spline_matrix(width))
        sides = ops.convert_to_tensor([height, width], images.dtype)
        shift = ops.cast(shift, images.dtype) * amplitude * sides * mask
        down_up = [round_trip_matrix(length, self.scale) for length in (height, width)]
        return lambda x: apply_separable(_warp(x, shift), *down_up)

    def get_config(self):
        return {**super().get_config(), "amplitude": self.amplitude, "scale": self.scale}


def _spline_matrix(length, knots=5):
    """Catmull-Rom interpolation of `knots` samples, half-pixel centres, ends repeated."""
    centres = (np.arange(length) + 0.5) * knots / length - 0.5
    base = np.floor(centres).astype(int)
    matrix = np.zeros((length, knots), "float32")
    for offset in range(-1, 3):
        t = np.abs(centres - (base + offset))
        near = (1.5 * t - 2.5) * t * t + 1
        far = ((-0.5 * t + 2.5) * t - 4) * t + 2
        source = np.clip(base + offset, 0, knots - 1)
        np.add.at(matrix, (np.arange(length), source), np.where(t <= 1, near, far))
    return matrix


def _warp(x, shift):
    """Sample x at the pixel positions moved by `shift` (rows, columns), bilinearly."""
    ops = keras.ops
    height, width, channels = x.shape[1:]
    i = ops.arange(height, dtype=x.dtype)[:, None]
    j = ops.arange(width, dtype=x.dtype)
    row = ops.clip(shift[..., 0] + i, 0.0, height - 1.0)
    column = ops.clip(shift[..., 1] + j, 0.0, width - 1.0)
    top = ops.clip(ops.floor(row), 0.0, height - 2.0)
    left = ops.clip(ops.floor(column), 0.0, width - 2.0)
    down, right = (row - top)[..., None], (column - left)[..., None]
    corner = ops.cast(top * width + left, "int32")
    first = ops.arange(ops.shape(x)[0], dtype="int32") * (height * width)
    corner = corner + first[:, None, None]
    # One list of pixels for the batch: a gather along an axis of each image is far slower.
    flat = ops.reshape(x, (-1, channels))

    def pixels(offset):
        return ops.take(flat, corner + offset, axis=0)

    upper = pixels(0) * (1.0 - right) + pixels(1) * right
    lower = pixels(width) * (1.0 - right) + pixels(width + 1) * right
    return upper * (1.0 - down) + lower * down


# Rows and columns of eyes and mouth in aligned portraits, in half sides: centre, half height,
# half width.
_PARTS = ((-0.05, -0.22, 0.10, 0.17), (-0.05, 0.22, 0.10, 0.17), (0.42, 0.0, 0.12, 0.26))


@keras.saving.register_keras_serializable(package="keras_imaging")
class FaceInpaint(_Manipulation):
    """Eyes or mouth painted over: an edited attribute.

    One to three of the parts are filled, each image with its mean colour, a strong blur or noise.

    Args:
        region: see `FaceSwap`.
        always: also outside of training.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `region` is out of its range.
    Example:
        >>> tuple(FaceInpaint()(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        region: dict | None = None,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(region, always, seed, **kwargs)

    def _renderer(self, images, donors, mask):
        ops = keras.ops
        height, width = images.shape[1:3]
        u = ops.linspace(-1.0, 1.0, width, dtype=images.dtype)[None, None, :]
        v = ops.linspace(-1.0, 1.0, height, dtype=images.dtype)[None, :, None]
        # The first part to fill is drawn, each of the others with probability one half.
        first = ops.floor(self.uniform(images, (0.0, 2.9999)))
        boxes = 0.0
        for k, (cy, cx, half_height, half_width) in enumerate(_PARTS):
            also = self.uniform(images, (0.0, 1.0)) < 0.5
            used = ops.cast(ops.logical_or(ops.equal(first, k), also), images.dtype)
            grow = self.uniform(images, (0.8, 1.25))[:, None, None]
            inside = ops.logical_and(
                ops.abs(v - cy) <= half_height * grow, ops.abs(u - cx) <= half_width * grow
            )
            boxes = ops.maximum(boxes, ops.cast(inside, images.dtype) * used[:, None, None])
        boxes = boxes[..., None]
        kind = ops.floor(self.uniform(images, (0.0, 2.9999)))[:, None, None, None]
        noise = keras.random.uniform(
            ops.shape(images), -0.3, 0.3, dtype=images.dtype, seed=self.seed_generator
        )
        coarse = [round_trip_matrix(length, 1 / 16) for length in (height, width)]

        def render(x):
            total = ops.sum(boxes, axis=(1, 2), keepdims=True) + 1e-6
            mean = ops.sum(boxes * x, axis=(1, 2), keepdims=True) / total
            fill = ops.where(kind == 0, mean, apply_separable(x, *coarse))
            fill = ops.where(kind == 2, ops.clip(mean + noise, 0.0, 1.0), fill)
            return x + boxes * (fill - x)

        return render


@keras.saving.register_keras_serializable(package="keras_imaging")
class GlobalReencode(ResizeRoundTrip):
    """The whole picture through a bottleneck: a generator of full frames.

    Args:
        scale: of the bottleneck, in (0, 1]; a number or a pair.
        always: also outside of training.
        seed: of the scale.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `scale` is out of its range.
    Example:
        >>> tuple(GlobalReencode()(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self,
        scale: float | tuple[float, float] = 0.25,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(scale, always, seed, **kwargs)


# Rows and columns of parts of aligned portraits, in half sides: centre, half height, half width.
FACE_PARTS = {
    "eyes": (-0.07, 0.0, 0.15, 0.42),
    "nose": (0.17, 0.0, 0.15, 0.18),
    "mouth": (0.42, 0.0, 0.14, 0.28),
    "left half": (0.06, -0.26, 0.66, 0.26),
    "right half": (0.06, 0.26, 0.66, 0.26),
}


@keras.saving.register_keras_serializable(package="keras_imaging")
class FacePart(Distortion):
    """A part of the face is another face's, or went through a bottleneck: a partial manipulation.

    Each image has one of `FACE_PARTS` replaced, with a soft edge: half of them by that of the next
    unmarked picture, its colours matched, the others by its own after a resize to a quarter.

    Args:
        scale: of the bottleneck, in (0, 1].
        always: also outside of training.
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`; as second argument `donors`, see `FaceSwap`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `scale` is out of its range.
    Example:
        >>> tuple(FacePart()(np.zeros((2, 16, 16, 3), "float32"), training=True).shape)
        (2, 16, 16, 3)
    """

    def __init__(
        self, scale: float = 0.25, always: bool = False, seed: int | None = None, **kwargs
    ):
        super().__init__(always, seed, **kwargs)
        self.scale = interval("scale", scale, 0.01, 1)[1]

    def draw(self, images, donors=None):
        return self.draw_masked(images, donors)[0]

    def draw_masked(self, images: Tensor, donors: Tensor | None = None) -> tuple[Operation, Tensor]:
        """As `draw`, with the share of each pixel that is replaced, `(batch, height, width, 1)`.

        Args:
            images, donors: see `Distortion.draw`.
        """
        ops = keras.ops
        height, width = images.shape[1:3]
        parts = np.array(list(FACE_PARTS.values()), "float32")
        which = ops.cast(ops.floor(self.uniform(images, (0.0, len(parts) - 1e-3))), "int32")
        centre_y, centre_x, half_height, half_width = (
            ops.cast(ops.take(ops.convert_to_tensor(column), which), images.dtype)[:, None, None]
            for column in parts.T
        )
        grow = self.uniform(images, (0.85, 1.15))[:, None, None]
        u = ops.linspace(-1.0, 1.0, width, dtype=images.dtype)[None, None, :]
        v = ops.linspace(-1.0, 1.0, height, dtype=images.dtype)[None, :, None]
        # A soft rectangle: the further of the two distances from its edges, in half sides.
        inside = ops.minimum(
            half_height * grow - ops.abs(v - centre_y), half_width * grow - ops.abs(u - centre_x)
        )
        mask = ops.clip(0.5 + inside / 0.06, 0.0, 1.0)[..., None]
        other = ops.roll(images if donors is None else donors, 1, axis=0)
        swapped = ops.cast(self.uniform(images, (0.0, 1.0)) < 0.5, images.dtype)
        swapped = swapped[:, None, None, None]
        matrices = [round_trip_matrix(length, self.scale) for length in (height, width)]

        def replace(x):
            new = swapped * _match_color(other, x, mask + 1e-6)
            new = new + (1.0 - swapped) * apply_separable(x, *matrices)
            return x + mask * (new - x)

        return replace, mask

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
