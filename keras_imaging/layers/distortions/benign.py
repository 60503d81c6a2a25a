"""What happens to honest pictures on their way: compression, scaling, cropping, noise."""

import keras
import numpy as np

from keras_imaging.layers.distortions.base import Distortion, interval, restored
from keras_imaging.ops.jpeg import check_jpeg_mode, jpeg_round_trip, straight_through
from keras_imaging.ops.separable import (
    apply_separable,
    blur_matrix,
    crop_matrix,
    resize_matrix,
    round_trip_matrix,
)

_LUMA = np.array([0.299, 0.587, 0.114], "float32")


@keras.saving.register_keras_serializable(package="keras_imaging")
class JPEG(Distortion):
    """Write as JPEG and read again, as libjpeg does, see `ops.jpeg_round_trip`.

    Args:
        quality: 1..100, an integer or a pair; from a pair every image draws its own.
        subsampling: `"420"` or `"444"`.
        rounding: `"ste"`, `"cubic"` or `"none"`.
        always: also outside of training.
        seed: of the quality.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`, float, 0..1.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> layer = JPEG(quality=75, always=True)
        >>> tuple(layer(np.zeros((1, 17, 30, 3), "float32")).shape)
        (1, 17, 30, 3)
    Reference:
        ITU-T T.81; libjpeg.
    """

    def __init__(
        self,
        quality: int | tuple[int, int] = (50, 95),
        subsampling: str = "420",
        rounding: str = "ste",
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        check_jpeg_mode(subsampling, rounding)
        self._limits = interval("quality", quality, 1, 100)
        self.quality = quality
        self.subsampling = subsampling
        self.rounding = rounding

    def draw(self, images, donors=None):
        low, high = self._limits
        # Rounding down gives every integer of low..high the same chance.
        quality = keras.ops.floor(self.uniform(images, (low, high + 1 - 1e-4)))
        return lambda x: jpeg_round_trip(x, quality, self.subsampling, self.rounding)

    def get_config(self):
        return {
            **super().get_config(),
            "quality": self.quality,
            "subsampling": self.subsampling,
            "rounding": self.rounding,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class GaussianBlur(Distortion):
    """Gaussian blur of radius ceil(3 sigma), the border reflected.

    Args:
        sigma: pixels, positive; a number or a pair, from which every image draws its own.
        always: also outside of training.
        seed: of sigma.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`, sides longer than the radius.
    Output shape:
        as the input.
    Raises:
        ValueError: if `sigma` is out of its range or its radius exceeds a side.
    Example:
        >>> tuple(GaussianBlur(1.0)(np.zeros((1, 8, 9, 3), "float32"), training=True).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        sigma: float | tuple[float, float] = (0.4, 1.2),
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        self._limits = interval("sigma", sigma, 0.05, 1000)
        self.sigma = sigma

    def draw(self, images, donors=None):
        height, width = images.shape[1:3]
        radius = int(np.ceil(3 * self._limits[1]))
        if radius >= min(height, width):
            raise ValueError(
                f"GaussianBlur expected sides longer than its radius of {radius} pixels. "
                f"Received height {height} and width {width}."
            )
        sigma = self.uniform(images, self._limits)
        return lambda x: apply_separable(x, blur_matrix(height, sigma), blur_matrix(width, sigma))

    def get_config(self):
        return {**super().get_config(), "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="keras_imaging")
class ResizeRoundTrip(Distortion):
    """Shrink with antialiasing and enlarge to the old size, both bilinear.

    Args:
        scale: in (0, 1]; a number or a pair, from which every image draws its own.
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
        >>> tuple(ResizeRoundTrip(0.5)(np.zeros((1, 8, 9, 3), "float32"), training=True).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        scale: float | tuple[float, float] = (0.5, 0.95),
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        self._limits = interval("scale", scale, 0.01, 1)
        self.scale = scale

    def draw(self, images, donors=None):
        height, width = images.shape[1:3]
        scale = self.uniform(images, self._limits)
        return lambda x: apply_separable(
            x, round_trip_matrix(height, scale), round_trip_matrix(width, scale)
        )

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_imaging")
class CropResize(Distortion):
    """Cut out a window at random and bring it to the old size, bilinearly.

    Args:
        keep: side of the window as a part of the picture's, in (0, 2]; above 1 the picture is
            shrunk and its border repeated; a number or a pair, from which every image draws its
            own.
        shift: furthest that the window may leave the picture on a side, as a part of the
            picture's, in [0, 1).
        always: also outside of training.
        seed: of the window.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `keep` or `shift` is out of its range.
    Example:
        >>> tuple(CropResize(0.9)(np.zeros((1, 8, 9, 3), "float32"), training=True).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        keep: float | tuple[float, float] = (0.8, 1.0),
        shift: float = 0.0,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        if not 0 <= shift < 1:
            raise ValueError(f"`shift` must be in [0, 1). Received: shift={shift}")
        self._limits = interval("keep", keep, 0.01, 2)
        self.keep = keep
        self.shift = shift

    def draw(self, images, donors=None):
        keep = self.uniform(images, self._limits)
        matrices = []
        for length in images.shape[1:3]:
            place = self.uniform(images, (0.0, 1.0))
            start = length * ((1.0 - keep) * place + self.shift * (2.0 * place - 1.0))
            matrices.append((length, start, keep * length))
        return lambda x: apply_separable(x, *(crop_matrix(*window) for window in matrices))

    def get_config(self):
        return {**super().get_config(), "keep": self.keep, "shift": self.shift}


@keras.saving.register_keras_serializable(package="keras_imaging")
class GaussianNoise(Distortion):
    """Independent normal noise on every sample, then a clip to 0..1.

    Args:
        stddev: 0..1, where 1 is white; a number or a pair, from which every image draws its own.
        always: also outside of training.
        seed: of the noise.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `stddev` is out of its range.
    Example:
        >>> tuple(GaussianNoise(0.02)(np.zeros((1, 8, 9, 3), "float32"), training=True).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        stddev: float | tuple[float, float] = (0.01, 0.03),
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        self._limits = interval("stddev", stddev, 0, 1)
        self.stddev = stddev

    def draw(self, images, donors=None):
        stddev = self.uniform(images, self._limits)[:, None, None, None]
        noise = keras.random.normal(
            keras.ops.shape(images), dtype=images.dtype, seed=self.seed_generator
        )
        return lambda x: keras.ops.clip(x + stddev * noise, 0.0, 1.0)

    def get_config(self):
        return {**super().get_config(), "stddev": self.stddev}


@keras.saving.register_keras_serializable(package="keras_imaging")
class ColorJitter(Distortion):
    """Brightness, contrast, saturation and hue, then a clip to 0..1; drawn for every image.

    Brightness multiplies the picture, contrast its distance from the mean grey, saturation the
    distance of each pixel from its own grey; hue turns that distance in the chroma plane.

    Args:
        brightness: the factor is in 1 - brightness .. 1 + brightness; 0..1.
        contrast: likewise.
        saturation: likewise.
        hue: largest turn, either way, as a part of the circle; 0..0.5.
        always: also outside of training.
        seed: of the factors.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(ColorJitter(hue=0)(np.zeros((1, 8, 9, 3), "float32"), training=True).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.3,
        hue: float = 0.02,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        self.brightness = interval("brightness", brightness, 0, 1)[1]
        self.contrast = interval("contrast", contrast, 0, 1)[1]
        self.saturation = interval("saturation", saturation, 0, 1)[1]
        self.hue = interval("hue", hue, 0, 0.5)[1]

    def draw(self, images, donors=None):
        def factor(reach):
            return self.uniform(images, (1.0 - reach, 1.0 + reach))[:, None, None, None]

        brightness, contrast = factor(self.brightness), factor(self.contrast)
        saturation = factor(self.saturation)
        angle = 2 * np.pi * (factor(self.hue) - 1.0)
        return lambda x: _recolour(x, brightness, contrast, saturation, angle)

    def get_config(self):
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "hue": self.hue,
        }


def _recolour(x, brightness, contrast, saturation, angle):
    ops = keras.ops
    x = brightness * x
    grey = ops.sum(x * ops.convert_to_tensor(_LUMA, x.dtype), axis=-1, keepdims=True)
    mean = ops.mean(grey, axis=(1, 2), keepdims=True)
    x, grey = mean + contrast * (x - mean), mean + contrast * (grey - mean)
    # (B - Y) / 1.772 and (R - Y) / 1.402 are the chroma plane, in which hue is an angle.
    u = (x[..., 2:] - grey) / 1.772 * saturation
    v = (x[..., :1] - grey) / 1.402 * saturation
    u, v = ops.cos(angle) * u - ops.sin(angle) * v, ops.sin(angle) * u + ops.cos(angle) * v
    green = -0.344136286 * u - 0.714136286 * v
    return ops.clip(grey + ops.concatenate([1.402 * v, green, 1.772 * u], axis=-1), 0.0, 1.0)


@keras.saving.register_keras_serializable(package="keras_imaging")
class Quantize8(Distortion):
    """Round to multiples of 1/255, half up; the gradient passes as if nothing had happened.

    Args:
        always: also outside of training; there is nothing random.
        seed: unused.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: on another shape.
    Example:
        >>> float(Quantize8()(np.full((1, 1, 1, 3), 0.301, "float32"))[0, 0, 0, 0] * 255)
        77.0
    """

    def __init__(self, always: bool = True, seed: int | None = None, **kwargs):
        super().__init__(always, seed, **kwargs)

    def draw(self, images, donors=None):
        return quantize8


def quantize8(images):
    """Round to multiples of 1/255, half up, with the gradient of the identity.

    Args:
        images: any shape, 0..1.
    """
    return straight_through(images, keras.ops.floor(images * 255.0 + 0.5) / 255.0)


@keras.saving.register_keras_serializable(package="keras_imaging")
class Screenshot(Distortion):
    """A picture that was shown, captured and sent on: resize, gamma, JPEG, crop.

    Args:
        scale: of the resize, in (0, 1], see `ResizeRoundTrip`.
        gamma: exponent, positive; a number or a pair, from which every image draws its own.
        quality: of the JPEG, 1..100.
        keep: of the crop, in (0, 1], see `CropResize`.
        always: also outside of training.
        seed: of all draws.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if an argument is out of its range.
    Example:
        >>> tuple(Screenshot()(np.zeros((1, 16, 16, 3), "float32"), training=True).shape)
        (1, 16, 16, 3)
    """

    def __init__(
        self,
        scale: float | tuple[float, float] = (0.6, 1.0),
        gamma: float | tuple[float, float] = (0.9, 1.1),
        quality: int | tuple[int, int] = (70, 95),
        keep: float | tuple[float, float] = (0.95, 1.0),
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        self._gamma_limits = interval("gamma", gamma, 0.1, 10)
        self.gamma = gamma
        seeds = [None] * 3 if seed is None else [seed + 1, seed + 2, seed + 3]
        self.resize = ResizeRoundTrip(scale, seed=seeds[0], dtype=self.dtype_policy)
        self.jpeg = JPEG(quality, seed=seeds[1], dtype=self.dtype_policy)
        self.crop = CropResize(keep, seed=seeds[2], dtype=self.dtype_policy)

    def build(self, images_shape, donors_shape=None):
        for part in (self.resize, self.jpeg, self.crop):
            part.build(images_shape)

    def draw(self, images, donors=None):
        gamma = self.uniform(images, self._gamma_limits)[:, None, None, None]
        resize, jpeg, crop = (part.draw(images) for part in (self.resize, self.jpeg, self.crop))

        def capture(x):
            # The slope of a power is infinite at black.
            x = keras.ops.maximum(resize(x), 1e-3) ** gamma
            return crop(jpeg(x))

        return capture

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.resize.scale,
            "gamma": self.gamma,
            "quality": self.jpeg.quality,
            "keep": self.crop.keep,
        }


@keras.saving.register_keras_serializable(package="keras_imaging")
class Enlarged(Distortion):
    """What happens to a picture that is published larger than the network sees it.

    The picture is enlarged bilinearly and rounded to 8 bits, changed there, rounded again and
    shrunk with antialiasing: as a mark is, that is stamped on a photograph of any size.

    Args:
        factor: how many times as large, an integer of at least 1.
        change: a distortion of the large picture; None for none.
        always: also outside of training.
        seed: unused; the change has its own.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        `(batch, height, width, 3)`.
    Output shape:
        as the input.
    Raises:
        ValueError: if `factor` is less than 1.
    Example:
        >>> layer = Enlarged(2, JPEG(75), always=True)
        >>> tuple(layer(np.zeros((1, 8, 9, 3), "float32")).shape)
        (1, 8, 9, 3)
    """

    def __init__(
        self,
        factor: int,
        change: Distortion | None = None,
        always: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(always, seed, **kwargs)
        if factor != int(factor) or factor < 1:
            raise ValueError(f"`factor` must be an integer of at least 1. Received: {factor}")
        self.factor = int(factor)
        self.change = restored(change)

    def build(self, images_shape, donors_shape=None):
        if self.change is not None:
            self.change.build(self._large(images_shape))

    def draw(self, images, donors=None):
        sides = images.shape[1:3]
        large = self._large(images.shape)[1:3]
        up = [resize_matrix(*pair) for pair in zip(sides, large, strict=True)]
        down = [resize_matrix(*pair) for pair in zip(large, sides, strict=True)]
        change = None
        if self.change is not None:
            # Of the size that the change will see: drawing looks at nothing but the shape.
            shape = (keras.ops.shape(images)[0], *large, images.shape[3])
            change = self.change.draw(keras.ops.broadcast_to(images[:, :1, :1], shape))

        def publish(x):
            x = quantize8(keras.ops.clip(apply_separable(x, *up), 0.0, 1.0))
            if change is not None:
                x = quantize8(keras.ops.clip(change(x), 0.0, 1.0))
            return apply_separable(x, *down)

        return publish

    def _large(self, shape):
        batch, height, width, channels = shape
        return (batch, self.factor * height, self.factor * width, channels)

    def get_config(self):
        change = self.change and keras.saving.serialize_keras_object(self.change)
        return {**super().get_config(), "factor": self.factor, "change": change}
