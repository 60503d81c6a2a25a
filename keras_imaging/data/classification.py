"""Labelled pictures whose every batch is a function of the seed and the step."""

import math
import pathlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from keras_imaging.data.images import read_image
from keras_imaging.data.levels import to_eight_bits
from keras_imaging.data.patches import with_channels
from keras_imaging.picture_size import size_text

# Of the colours of ImageNet's photographs, 0..1; what classifiers are trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

CROPS = ("resized", "padded")

_AREA = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)
_SHORTER_SIDE = 256 / 224

Picture = np.ndarray | pathlib.Path


class ClassificationSampler:
    """Random crops of labelled pictures, mirrored or not.

    Every epoch takes each picture once, in a new order. Row r of batch k depends on the seed, k and
    r alone, so a run continues, or is divided among workers, without keeping any state.

    Args:
        examples: pairs of a picture and its label, 0 ... classes - 1. A picture is a uint8 array,
            grey or colour, or the path of a file, which is read whenever it is drawn.
        classes: how many there are.
        image_size: side of a crop in pixels.
        batch_size: crops in a (global) batch.
        crop: `"resized"` (8 to 100 % of the picture, width 3/4 to 4/3 of the height, resized) or
            `"padded"` (a picture of exactly `image_size` pixels, shifted by up to an eighth of its
            side; the mean colour enters from outside).
        seed: of the random choices.
        augment: changes a uint8 picture at random, such as `RandAugment`; it is given the generator
            of the picture's row.

    Raises:
        ValueError: if there is no picture, one is of a wrong type or size, or an argument is out of
            its range.

    Example:
        >>> examples = [(np.zeros((32, 32, 3), "uint8"), 7)]
        >>> sampler = ClassificationSampler(examples, 10, 32, batch_size=4, crop="padded")
        >>> images, targets = sampler.batch(0)
        >>> images.shape, targets.argmax(axis=-1)
        ((4, 32, 32, 3), array([7, 7, 7, 7]))
    """

    def __init__(
        self,
        examples: Iterable[tuple[Picture, int]],
        classes: int,
        image_size: int,
        batch_size: int,
        crop: str = "resized",
        seed: int = 0,
        augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
    ):
        check_crop(crop)
        self.augment = augment
        self.classes = classes
        self.image_size = image_size
        self.batch_size = batch_size
        self.crop = crop
        self.seed = seed
        self._pictures, labels = [], []
        for picture, label in examples:
            self._pictures.append(picture)
            labels.append(label)
        if not labels:
            raise ValueError("There are no training pictures.")
        self._labels = np.asarray(labels, "int64")
        if self._labels.min() < 0 or self._labels.max() >= classes:
            raise ValueError(
                f"Expected labels 0 ... {classes - 1}. Received labels {self._labels.min()} ... "
                f"{self._labels.max()}"
            )
        self._orders = {}
        # Decoders work side by side.
        self._threads = ThreadPoolExecutor()
        # A picture that does not fit shows here, not in a worker.
        self._crop(pixels(self._pictures[0]), np.random.default_rng(0))

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it; float32.

        Returns:
            Crops, standardized, `(rows, image_size, image_size, 3)`, and targets, 1 at the label
            and 0 elsewhere, `(rows, classes)`.
        """
        numbers = range(self.batch_size)[rows]
        chosen = [self._number(step * self.batch_size + row) for row in numbers]

        def row(number, index):
            rng = np.random.default_rng((self.seed, step, number))
            return self._crop(pixels(self._pictures[index]), rng)

        images = np.stack(list(self._threads.map(row, numbers, chosen)))
        return images, np.eye(self.classes, dtype="float32")[self._labels[chosen]]

    def _number(self, position):
        """Which picture stands at a position of the endless sequence."""
        epoch, place = divmod(position, len(self._pictures))
        order = self._orders.get(epoch)
        if order is None:
            # One entry more than those of rows: no row draws the same numbers.
            rng = np.random.default_rng((self.seed, epoch, 0, 1))
            order = rng.permutation(len(self._pictures))
            # Batches are made side by side: another thread may need the latest one still.
            kept = {n: self._orders[n] for n in sorted(self._orders)[-1:]}
            self._orders = {**kept, epoch: order}
        return order[place]

    def _crop(self, image, rng):
        if self.crop == "padded":
            image = _shifted(
                standardized(self._augmented(_exact(image, self.image_size), rng)), rng
            )
        else:
            image = standardized(self._augmented(_part(image, self.image_size, rng), rng))
        return image[:, ::-1] if rng.random() < 0.5 else image

    def _augmented(self, image, rng):
        return image if self.augment is None else self.augment(image, rng)


def standardized(images: np.ndarray) -> np.ndarray:
    """uint8 pictures as classifiers take them: 0..1, less the mean colour, over its deviation.

    Args:
        images: `(..., 3)`, uint8.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: if the pictures are not uint8.
    """
    if images.dtype != "uint8":
        raise ValueError(f"Expected uint8 pictures. Received dtype {images.dtype}.")
    scale = 1 / (255 * np.asarray(STD, "float64"))
    shift = np.asarray(MEAN) / np.asarray(STD)
    return images * scale.astype("float32") - shift.astype("float32")


def central_crop(picture: Picture, image_size: int, crop: str = "resized") -> np.ndarray:
    """What an evaluation looks at: the middle of a picture.

    Args:
        picture: a uint8 array or the path of a file.
        image_size: side in pixels.
        crop: `"resized"` (the shorter side becomes 256 / 224 of `image_size`, then the centre is
            cut out) or `"padded"` (the picture itself, which must have this size).

    Returns:
        uint8 `(image_size, image_size, 3)`.

    Raises:
        ValueError: on a wrong type or size.
    """
    check_crop(crop)
    image = pixels(picture)
    if crop == "padded":
        return _exact(image, image_size)
    side = min(image.shape[:2]) / _SHORTER_SIDE
    top, left = ((n - side) / 2 for n in image.shape[:2])
    return _resized(image, image_size, (left, top, left + side, top + side))


def pixels(picture: Picture) -> np.ndarray:
    """uint8 RGB of an array or a file."""
    image = picture if isinstance(picture, np.ndarray) else read_image(picture)
    return with_channels(to_eight_bits(image) if image.dtype == np.uint16 else image, 3)


def check_crop(crop: str) -> None:
    """Raise ValueError unless `crop` is one of `CROPS`."""
    if crop not in CROPS:
        raise ValueError(f"`crop` must be one of {CROPS}. Received: crop={crop!r}")


def _exact(image, image_size):
    if image.shape[:2] != (image_size, image_size):
        raise ValueError(
            f'crop="padded" takes pictures of {image_size} x {image_size} pixels. Received one of '
            f'{size_text(*image.shape[:2])}; crop="resized" takes any.'
        )
    return image


def _shifted(image, rng):
    """Zero, the mean colour of a standardized picture, enters at two sides."""
    side = len(image)
    reach = side // 8
    top, left = rng.integers(2 * reach + 1, size=2)
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    return padded[top : top + side, left : left + side]


def _part(image, image_size, rng):
    """A random part of a picture, resized; the middle if ten draws do not fit into it."""
    rows, columns = image.shape[:2]
    for _ in range(10):
        area = rows * columns * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= columns and height <= rows:
            left, top = rng.uniform(0, columns - width), rng.uniform(0, rows - height)
            return _resized(image, image_size, (left, top, left + width, top + height))
    side = min(rows, columns)
    left, top = (columns - side) / 2, (rows - side) / 2
    return _resized(image, image_size, (left, top, left + side, top + side))


def _resized(image, image_size, box):
    # Pillow's bilinear antialiases, and is what classifiers are trained and scored with.
    picture = Image.fromarray(np.ascontiguousarray(image))
    size = (image_size, image_size)
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=box))
