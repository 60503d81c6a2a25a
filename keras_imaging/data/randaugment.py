"""RandAugment on pictures of 8 bits: with the strengths of the paper's code, and with timm's."""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

OPERATIONS = (
    "autocontrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
    "solarize_add",
)
TIMM_OPERATIONS = tuple(name for name in OPERATIONS if name != "cutout")
FILLS = ("grey", "reflect")
_GREY = 128
# Brightness of a colour, as BT.601 weighs it.
_LUMA = np.array([0.2989, 0.5870, 0.1140], "float32")
# From 0..1 to 8 bits, where what is behind the point is cut off.
_TO_BYTES = 255.5
_SIGNED = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


class RandAugment:
    """A few of 16 operations on a picture, drawn at random, at one strength.

    With L = magnitude / 10: rotation by 30 L degrees, shear by 0.3 L, translation by `translate` L
    pixels, all of random sign; colour, contrast, brightness and sharpness by a factor of
    1.8 L + 0.1; the upper int(4 L) bits; inversion of pixels from 256 L on; 110 L more in dark
    pixels; a grey square of 80 L pixels. Pixels are taken from the nearest neighbour.

    Args:
        num_ops: operations in a row, each drawn by itself.
        magnitude: strength, 0 or more; 10 for pictures up to 160 pixels, 15 up to 320.
        translate: pixels at magnitude 10. The paper's code has 100, the Model Garden's
            experiments have 10.
        fill: what enters where nothing was: `"grey"` (the paper's code) or `"reflect"` (the Model
            Garden's).
        solarize_wrap: take the threshold of `solarize` modulo 256, as the reference does: at 10
            every pixel is inverted, and not none.
        operations: that are drawn from, of `OPERATIONS`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> augment = RandAugment(magnitude=10)
        >>> picture = np.zeros((32, 32, 3), "uint8")
        >>> augment(picture, np.random.default_rng((0, 5, 3))).shape
        (32, 32, 3)

    Reference:
        Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search
        Space", NeurIPS 2020; strengths: the code of Bello et al., "Revisiting ResNets", 2021.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: float = 10,
        translate: float = 100,
        fill: str = "grey",
        solarize_wrap: bool = False,
        operations: tuple[str, ...] = OPERATIONS,
    ):
        for name, value in (("num_ops", num_ops), ("magnitude", magnitude)):
            if value < 0:
                raise ValueError(f"`{name}` must be 0 or more. Received: {name}={value}")
        if fill not in FILLS:
            raise ValueError(f"`fill` must be one of {FILLS}. Received: fill={fill!r}")
        unknown = set(operations) - set(OPERATIONS)
        if unknown or not operations:
            raise ValueError(
                f"`operations` must be of {OPERATIONS}. Received: operations={operations}"
            )
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.translate = translate
        self.fill = fill
        self.solarize_wrap = solarize_wrap
        self.operations = tuple(operations)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture after `num_ops` operations.

        Args:
            image: uint8, `(height, width, 3)`.
            rng: where the operations are drawn from; the same one draws the same.

        Raises:
            ValueError: if the picture is not of 8 bits and three channels.
        """
        for number in rng.integers(len(self.operations), size=self.num_ops):
            image = self.apply(self.operations[number], image, rng)
        return image

    def apply(
        self, operation: str, image: np.ndarray, rng: np.random.Generator, sign: int | None = None
    ) -> np.ndarray:
        """One operation.

        Args:
            operation: of `OPERATIONS`.
            image: uint8, `(height, width, 3)`.
            rng: for signs and places.
            sign: 1 or -1 instead of a random one.

        Raises:
            ValueError: on another operation or picture.
        """
        _check_operation(operation, OPERATIONS, image)
        level = self.magnitude / 10
        if operation in _SIGNED:
            if sign is None:
                sign = 1 if rng.random() < 0.5 else -1
            return self._moved(operation, image, sign * level)
        if operation == "cutout":
            return _cutout(image, int(40 * level), rng)
        if operation == "posterize":
            return _posterize(image, int(4 * level))
        if operation == "solarize":
            threshold = int(256 * level)
            threshold = threshold % 256 if self.solarize_wrap else min(threshold, 256)
            return np.where(image < threshold, image, 255 - image)
        if operation == "solarize_add":
            return _solarize_add(image, int(110 * level))
        if operation == "contrast":
            return _contrast(image, 1.8 * level + 0.1)
        if operation in _BLENDS:
            return _blend(_BLENDS[operation](image), image, 1.8 * level + 0.1)
        return _WITHOUT_STRENGTH[operation](image)

    def _moved(self, operation, image, level):
        rows, columns = image.shape[:2]
        transforms = {
            "shear_x": (1, 0.3 * level, 0, 0, 1, 0),
            "shear_y": (1, 0, 0, 0.3 * level, 1, 0),
            "translate_x": (1, 0, self.translate * level, 0, 1, 0),
            "translate_y": (1, 0, 0, 0, 1, self.translate * level),
        }
        if operation != "rotate":
            return _sampled(image, transforms[operation], self.fill)
        cos, sin = (f(math.radians(30 * level)) for f in (math.cos, math.sin))
        # Around the centre.
        right, bottom = columns - 1, rows - 1
        x = (right - (cos * right - sin * bottom)) / 2
        y = (bottom - (sin * right + cos * bottom)) / 2
        return _sampled(image, (cos, -sin, x, sin, cos, y), self.fill)


class TimmRandAugment:
    """RandAugment as timm has it, of growing variants: `rand-m9-mstd0.5-inc1`.

    Of each operation drawn it is drawn, too, whether it is done, and how strongly: L / 10 with L
    normal around `magnitude`, cut to 0..10. With L: rotation by 30 L degrees, shear by 0.3 L,
    translation by 0.45 L of the side, of random sign; colour, contrast, brightness and sharpness by
    a factor of 1 + 0.9 L or 1 - 0.9 L, at least 0.1; the upper 4 - int(4 L) bits; inversion of
    pixels from 256 - int(256 L) on; 110 L more in dark pixels. Pixels are interpolated, linearly or
    by cubics, at random; the mean colour enters where nothing was.

    Args:
        num_ops: operations in a row, each drawn by itself.
        magnitude: mean strength, 0..10.
        magnitude_std: deviation of the strengths.
        probability: that a drawn operation is done, 0..1.
        fill: colour that enters.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> augment = TimmRandAugment(magnitude=9)
        >>> picture = np.zeros((32, 32, 3), "uint8")
        >>> augment(picture, np.random.default_rng((0, 5, 3))).shape
        (32, 32, 3)

    Reference:
        Cubuk et al., "RandAugment", NeurIPS 2020; R. Wightman, "PyTorch Image Models",
        `timm.data.auto_augment`.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: float = 9.0,
        magnitude_std: float = 0.5,
        probability: float = 0.5,
        fill: tuple[int, int, int] = (124, 116, 104),
    ):
        for name, value in (("num_ops", num_ops), ("magnitude_std", magnitude_std)):
            if value < 0:
                raise ValueError(f"`{name}` must be 0 or more. Received: {name}={value}")
        for name, value, top in (("magnitude", magnitude, 10), ("probability", probability, 1)):
            if not 0 <= value <= top:
                raise ValueError(f"`{name}` must be in 0..{top}. Received: {name}={value}")
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.magnitude_std = magnitude_std
        self.probability = probability
        self.fill = tuple(fill)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture after up to `num_ops` operations.

        Args:
            image: uint8, `(height, width, 3)`.
            rng: where all is drawn from; the same one draws the same.

        Raises:
            ValueError: if the picture is not of 8 bits and three channels.
        """
        for number in rng.integers(len(TIMM_OPERATIONS), size=self.num_ops):
            if rng.random() < self.probability:
                strength = rng.normal(self.magnitude, self.magnitude_std)
                sign = 1 if rng.random() < 0.5 else -1
                cubic = bool(rng.random() < 0.5)
                image = self.apply(TIMM_OPERATIONS[number], image, strength, sign, cubic)
        return image

    def apply(
        self, operation: str, image: np.ndarray, strength: float, sign: int = 1, cubic: bool = False
    ) -> np.ndarray:
        """One operation.

        Args:
            operation: of `TIMM_OPERATIONS`.
            image: uint8, `(height, width, 3)`.
            strength: is cut to 0..10.
            sign: 1 or -1.
            cubic: interpolate pixels by cubics, not linearly.

        Raises:
            ValueError: on another operation or picture.
        """
        _check_operation(operation, TIMM_OPERATIONS, image)
        level = min(max(strength, 0.0), 10.0) / 10
        picture = Image.fromarray(np.ascontiguousarray(image))
        if operation in _SIGNED:
            return np.array(self._moved(operation, picture, sign * level, cubic))
        if operation == "posterize":
            return _posterize(image, 4 - int(4 * level))
        if operation == "solarize":
            return np.array(ImageOps.solarize(picture, 256 - int(256 * level)))
        if operation == "solarize_add":
            return _solarize_add(image, int(110 * level))
        if operation in _ENHANCERS:
            factor = max(0.1, 1.0 + sign * 0.9 * level)
            return np.array(_ENHANCERS[operation](picture).enhance(factor))
        return np.array(getattr(ImageOps, operation)(picture))

    def _moved(self, operation, picture, level, cubic):
        how = {
            "resample": Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR,
            "fillcolor": self.fill,
        }
        if operation == "rotate":
            return picture.rotate(30 * level, **how)
        width, height = picture.size
        transforms = {
            "shear_x": (1, 0.3 * level, 0, 0, 1, 0),
            "shear_y": (1, 0, 0, 0.3 * level, 1, 0),
            "translate_x": (1, 0, 0.45 * level * width, 0, 1, 0),
            "translate_y": (1, 0, 0, 0, 1, 0.45 * level * height),
        }
        affine = Image.Transform.AFFINE
        return picture.transform(picture.size, affine, transforms[operation], **how)


def _check_operation(operation, operations, image):
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            "Expected a picture (height, width, 3) of uint8. Received "
            f"{image.dtype} of shape {image.shape}"
        )
    if operation not in operations:
        raise ValueError(
            f"`operation` must be one of {operations}. Received: operation={operation!r}"
        )


def _solarize_add(image, added):
    """More light in the darker half of all values."""
    lighter = np.minimum(image.astype("int32") + added, 255).astype("uint8")
    return np.where(image < 128, lighter, image)


def _sampled(image, transform, fill):
    """Pixel (x, y) of the result is the nearest to (a x + b y + c, d x + e y + f)."""
    a, b, c, d, e, f = np.array(transform, "float32")
    rows, columns = image.shape[:2]
    y, x = np.mgrid[:rows, :columns].astype("float32")
    x, y = a * x + b * y + c, d * x + e * y + f
    if fill == "reflect":
        x, y = _reflected(x, columns), _reflected(y, rows)
    # Halves away from zero, unlike NumPy's rounding.
    x, y = (np.copysign(np.floor(np.abs(v) + np.float32(0.5)), v).astype("int64") for v in (x, y))
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    taken = image[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)]
    return taken if fill == "reflect" else np.where(inside[..., None], taken, np.uint8(_GREY))


def _reflected(places, length):
    """As a mirror at both ends does: d c b a | a b c d | d c b a."""
    places = np.where(places < 0, -places - 1, places) % (2 * length)
    return np.where(places > length - 1, np.maximum(2 * length - places - 1, 0), places)


def _autocontrast(image):
    low, high = (f(image, axis=(0, 1)).astype("float32") for f in (np.min, np.max))
    scale = np.float32(255) / np.maximum(high - low, 1)
    stretched = np.clip(image * scale - low * scale, 0, 255).astype("uint8")
    return np.where(high > low, stretched, image)


def _equalize(image):
    channels = []
    for channel in np.moveaxis(image, -1, 0):
        histogram = np.bincount(channel.ravel(), minlength=256)
        step = (histogram.sum() - histogram[histogram > 0][-1]) // 255
        if step:
            table = (np.cumsum(histogram) + step // 2) // step
            table = np.clip(np.concatenate([[0], table[:-1]]), 0, 255).astype("uint8")
            channel = table[channel]
        channels.append(channel)
    return np.stack(channels, axis=-1)


def _posterize(image, bits):
    shift = max(8 - bits, 0)
    # By way of wider numbers: a shift by all 8 bits is 0.
    return (image.astype("uint16") >> shift << shift).astype("uint8")


def _cutout(image, half, rng):
    rows, columns = image.shape[:2]
    y, x = rng.integers(rows), rng.integers(columns)
    image = image.copy()
    image[max(0, y - half) : y + half, max(0, x - half) : x + half] = _GREY
    return image


def _contrast(image, factor):
    """Away from each channel's mean."""
    x = image.astype("float32") / np.float32(255)
    mean = x.mean(axis=(0, 1), dtype="float32")
    x = (x - mean) * np.float32(factor) + mean
    return np.clip(x * np.float32(_TO_BYTES), 0, 255).astype("uint8")


def _grey(image):
    luma = image.astype("float32") @ (_LUMA * np.float32(_TO_BYTES / 255))
    return np.repeat(np.floor(luma)[..., None], 3, axis=-1)


def _black(image):
    return np.zeros(image.shape, "float32")


def _smooth(image):
    """Inside: a weighted mean with the eight neighbours; the border as it is."""
    result = image.astype("float32")
    if min(image.shape[:2]) > 2:
        rows, columns = (n - 2 for n in image.shape[:2])
        total = np.zeros((rows, columns, 3), "float32")
        for top in range(3):
            for left in range(3):
                weight = np.float64(np.float32(5 if top == left == 1 else 1) / np.float32(13))
                # Rounded once, as a fused multiplication and addition is.
                total = weight * result[top : top + rows, left : left + columns] + total
                total = total.astype("float32")
        result[1:-1, 1:-1] = np.floor(total)
    return result


def _blend(other, image, factor):
    """From `other` at factor 0 through the picture at 1 beyond it."""
    blended = other + np.float32(factor) * (image.astype("float32") - other)
    return np.clip(blended, 0, 255).astype("uint8")


_BLENDS = {"color": _grey, "brightness": _black, "sharpness": _smooth}
_WITHOUT_STRENGTH = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "invert": lambda image: 255 - image,
}
_ENHANCERS = {
    "color": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "brightness": ImageEnhance.Brightness,
    "sharpness": ImageEnhance.Sharpness,
}
