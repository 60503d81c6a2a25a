"""Labelled pictures whose every batch is a function of the seed and the step."""

import itertools
import math
import pathlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_imaging.data.images import decode_image, plain_jpeg, read_image
from keras_imaging.data.labelled import name_of
from keras_imaging.data.levels import to_eight_bits
from keras_imaging.data.mixing import PictureMixing
from keras_imaging.data.patches import with_channels
from keras_imaging.data.random_erasing import randomly_erased
from keras_imaging.picture_size import size_text

# Of the colours of ImageNet's photographs, 0..1; what classifiers are trained with.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# Of bytes: standardized they are value * SCALE - SHIFT.
SCALE = (1 / (255 * np.array(STD))).astype("float32")
SHIFT = (np.array(MEAN) / np.array(STD)).astype("float32")

CROPS = ("resized", "padded")
INTERPOLATIONS = ("bilinear", "bicubic", "random")

_AREA = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)
# Of a picture, in parts of the side of its middle.
SHORTER_SIDE = 256 / 224

# What samplers that came from another process could not read.
_skipped = []

# An array, the path of a file, or a file's bytes.
Picture = np.ndarray | pathlib.Path | bytes


class View(NamedTuple):
    """What a crop shows of its picture.

    Attributes:
        top, left, bottom, right: of the crop, in parts of the picture's sides; a shifted crop
            reaches outside of 0..1.
        mirrored: left and right.
    """

    top: float
    left: float
    bottom: float
    right: float
    mirrored: bool


class Drawn(NamedTuple):
    """Crops before their targets are made: see `ClassificationSampler.drawn`."""

    images: np.ndarray
    indices: list[int]
    views: list[View]


class ClassificationSampler:
    """Random crops of labelled pictures, mirrored or not.

    Every epoch takes each picture once, in a new order. Row r of batch k depends on the seed, k and
    r alone, so a run continues, or is divided among workers, without keeping any state.

    Args:
        examples: pairs of a picture and its label, 0 ... classes - 1, or the probabilities of all
            classes. A picture is a uint8 array, grey or colour, the path of a file, or its bytes.
            Of a sequence, such as `data.labelled.FolderPictures`, nothing is read before it is
            drawn; what has no length becomes a list. If it has `on_skip`, a picture that cannot be
            read is told to it, once, and the next that can takes its place; else it is an error.
        classes: how many there are.
        image_size: side of a crop in pixels.
        batch_size: crops in a (global) batch.
        crop: `"resized"` (8 to 100 % of the picture, width 3/4 to 4/3 of the height, resized) or
            `"padded"` (a picture of exactly `image_size` pixels, shifted by up to an eighth of its
            side; the mean colour enters from outside).
        seed: of the random choices.
        augment: changes a uint8 picture at random, such as `RandAugment`; it is given the generator
            of the picture's row.
        interpolation: of resized crops: `"bilinear"`, `"bicubic"`, or `"random"`, either of them.
        erasing: probability that a box of a crop is noise, see `data.randomly_erased`.
        mixing: mixes neighbours, such as `PictureMixing`; the batch is even then.
        as_bytes: give crops as uint8, a quarter of the size, which classifiers standardize where
            they compute. Padded, erased and mixed crops, which bytes do not hold, stay float32.

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
        interpolation: str = "bilinear",
        erasing: float = 0.0,
        mixing: PictureMixing | None = None,
        as_bytes: bool = False,
    ):
        check_crop(crop)
        if interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"`interpolation` must be one of {INTERPOLATIONS}. Received: "
                f"interpolation={interpolation!r}"
            )
        if not 0 <= erasing <= 1:
            raise ValueError(f"`erasing` must be in 0..1. Received: erasing={erasing}")
        if mixing is not None and batch_size % 2:
            raise ValueError(
                f"Pictures are mixed in pairs. Received an odd batch: batch_size={batch_size}"
            )
        self.augment = augment
        self.interpolation = interpolation
        self.erasing = erasing
        self.mixing = mixing
        self.classes = classes
        self.image_size = image_size
        self.batch_size = batch_size
        self.crop = crop
        self.seed = seed
        are_bytes = crop == "resized" and not erasing and mixing is None
        self.image_dtype = "uint8" if as_bytes and are_bytes else "float32"
        self._examples = examples if isinstance(examples, Sequence) else list(examples)
        self._count = len(self._examples)
        if not self._count:
            raise ValueError("There are no training pictures.")
        self._labels = _labels_of(self._examples, classes)
        self.on_skip = getattr(self._examples, "on_skip", None)
        self._broken = {}
        self._orders = {}
        # Decoders work side by side.
        self._threads = ThreadPoolExecutor()
        # A picture that does not fit shows here, not in a worker.
        self._crop(self._read(0)[0], np.random.default_rng(0))

    def __getstate__(self):
        # A copy in another process works in that process' own thread, and remembers what it skips.
        on_skip = None if self.on_skip is None else _remember
        return {**self.__dict__, "_threads": None, "on_skip": on_skip}

    @property
    def labels(self) -> np.ndarray:
        """Of all pictures, in the order in which they came; -1 where they are not known yet."""
        return self._labels

    @property
    def pictures(self) -> Sequence[Picture]:
        """All pictures, in the order in which they came."""
        return PicturesOf(self._examples)

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it.

        Returns:
            Crops, standardized float32 or, see `as_bytes`, uint8, `(rows, image_size, image_size,
            3)`, and targets, float32, 1 at the label and 0 elsewhere, `(rows, classes)`; or a
            mixture of two such.
        """
        if self.mixing is None:
            images, indices, _ = self.drawn(step, rows)
            return images, self.targets(indices)
        numbers = range(self.batch_size)[rows]
        # Whole pairs, of which some rows may belong to others.
        first, last = min(numbers) // 2 * 2, max(numbers) // 2 * 2 + 2
        images, indices, _ = self.drawn(step, slice(first, last))
        images, targets = self.mixing(images, self.targets(indices), self.batch_generator(step))
        own = [number - first for number in numbers]
        return images[own], targets[own]

    def drawn(self, step: int, rows: slice = slice(None)) -> Drawn:
        """Crops of a batch, which pictures they are of, and what they show of them."""
        numbers = range(self.batch_size)[rows]
        chosen = [int(self._number(step * self.batch_size + row)) for row in numbers]

        images = np.empty((len(numbers), self.image_size, self.image_size, 3), self.image_dtype)

        def row(place, index):
            image, index = self._read(index)
            rng = np.random.default_rng((self.seed, step, numbers[place]))
            return index, self._crop(image, rng, images[place])

        run = map if self._threads is None else self._threads.map
        indices, views = zip(*run(row, range(len(numbers)), chosen), strict=True)
        return Drawn(images, list(indices), list(views))

    def targets(self, indices: list[int]) -> np.ndarray:
        """1 at the label of each picture and 0 elsewhere, float32 `(rows, classes)`.

        Args:
            indices: of pictures that were drawn.
        """
        labels = self._labels[indices]
        if labels.ndim == 2:
            return labels.astype("float32")
        targets = np.zeros((len(labels), self.classes), "float32")
        targets[np.arange(len(labels)), labels] = 1
        return targets

    def _read(self, index):
        """Pixels of a picture, or of the next one that can be read, and which one it is."""
        for place in itertools.chain(range(index, self._count), range(index)):
            if place in self._broken:
                continue
            try:
                picture, label = self._examples[place]
                image = _decoded(picture, name_of(self._examples, place))
            except ValueError as error:
                if self.on_skip is None:
                    raise
                reason = str(error)
                # Of several threads that find it, one tells.
                if self._broken.setdefault(place, reason) is reason:
                    self.on_skip(reason)
                continue
            if np.ndim(label) == 0 and not 0 <= label < self.classes:
                raise ValueError(
                    f"Expected labels 0 ... {self.classes - 1}. Received {label} of "
                    f"{name_of(self._examples, place)}"
                )
            self._labels[place] = label
            return image, place
        raise ValueError(f"None of the {self._count} training pictures can be read.")

    def batch_generator(self, step: int) -> np.random.Generator:
        """What is drawn once for all rows of a batch comes from here."""
        # One entry more than those of rows, and another than those of epochs.
        return np.random.default_rng((self.seed, step, 0, 2))

    def _number(self, position):
        """Which picture stands at a position of the endless sequence."""
        epoch, place = divmod(position, self._count)
        # As it is now: another thread may exchange it.
        orders = self._orders
        if epoch not in orders:
            # One entry more than those of rows: no row draws the same numbers.
            rng = np.random.default_rng((self.seed, epoch, 0, 1))
            order = rng.permutation(self._count).astype("int32")
            self._orders = orders = {**{n: orders[n] for n in sorted(orders)[-1:]}, epoch: order}
        return orders[epoch][place]

    def _crop(self, image, rng, out=None):
        """Put a crop into `out`; its view."""
        if self.crop == "padded":
            image = _exact(np.asarray(image), self.image_size)
            image, box = _shifted(standardized(self._augmented(image, rng)), rng)
            mirrored = bool(rng.random() < 0.5)
            image = image[:, ::-1] if mirrored else image
        else:
            rows, columns = _sides(image)
            left, top, right, bottom = part = _random_part(rows, columns, rng)
            bicubic = self.interpolation == "bicubic"
            if self.interpolation == "random":
                bicubic = rng.random() < 0.5
            image = self._augmented(_resized(image, self.image_size, part, bicubic), rng)
            box = (top / rows, left / columns, bottom / rows, right / columns)
            mirrored = bool(rng.random() < 0.5)
            # As bytes, of which there are fewer.
            image = _mirrored(image) if mirrored else image
            if self.image_dtype == "float32":
                image = standardized(image, out)
        if self.erasing:
            image = randomly_erased(image, self.erasing, rng)
        if out is not None and image is not out:
            out[:] = image
        return View(*box, mirrored)

    def _augmented(self, image, rng):
        return image if self.augment is None else self.augment(image, rng)


def take_skipped() -> list[str]:
    """What samplers that came from another process could not read since this was called last."""
    taken, _skipped[:] = list(_skipped), []
    return taken


def _remember(reason):
    _skipped.append(reason)


class PicturesOf(Sequence):
    """The picture of each pair of examples.

    Args:
        examples: pairs of a picture and its label.
    """

    def __init__(self, examples):
        self._examples = examples

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self._examples[place][0] for place in range(len(self))[index]]
        return self._examples[index][0]


def _labels_of(examples, classes):
    """Labels of all pictures, checked; -1 where they are not known before they are read."""
    if hasattr(examples, "labels"):
        labels = examples.labels
        if labels is None:
            return np.full(len(examples), -1, "int32")
    else:
        labels = [label for _, label in examples]
    labels = np.array(labels)
    if labels.ndim == 2:
        near_one = np.abs(labels.sum(axis=1) - 1) < 1e-2
        if labels.shape[1] != classes or not near_one.all() or labels.min() < 0:
            raise ValueError(
                f"Expected probabilities of {classes} classes. Received labels {labels.shape}, "
                f"sums {labels.sum(axis=1).min():.3g} ... {labels.sum(axis=1).max():.3g}"
            )
    elif labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"Expected labels 0 ... {classes - 1}. Received labels {labels.min()} ... "
            f"{labels.max()}"
        )
    return labels


def standardized(images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """uint8 pictures as classifiers take them: 0..1, less the mean colour, over its deviation.

    Args:
        images: `(..., 3)`, uint8.
        out: where to put the result, float32, contiguous; None makes an array.

    Returns:
        float32 of the same shape.

    Raises:
        ValueError: if the pictures are not uint8.
    """
    if images.dtype != "uint8":
        raise ValueError(f"Expected uint8 pictures. Received dtype {images.dtype}.")
    # Whole rows at once: three channels alone would be a slow inner loop.
    rows = images.reshape(*images.shape[:-2], -1) if images.ndim > 1 else images
    repeats = rows.shape[-1] // 3
    values = None if out is None else out.reshape(rows.shape)
    values = np.multiply(rows, np.tile(SCALE, repeats), out=values)
    values -= np.tile(SHIFT, repeats)
    return values.reshape(images.shape) if out is None else out


def central_crop(picture: Picture, image_size: int, crop: str = "resized") -> np.ndarray:
    """What an evaluation looks at: the middle of a picture.

    Args:
        picture: a uint8 array, the path of a file, or its bytes.
        image_size: side in pixels.
        crop: as in training: `"resized"` (the shorter side becomes 256 / 224 of `image_size`, then
            the centre is cut out) or `"padded"` (the shorter side becomes `image_size`: a picture
            of this size stays as it is).

    Returns:
        uint8 `(image_size, image_size, 3)`.

    Raises:
        ValueError: if it cannot be read, or `crop` is unknown.
    """
    check_crop(crop)
    image = pixels(picture)
    if crop == "padded" and image.shape[:2] == (image_size, image_size):
        return image
    side = min(image.shape[:2]) / (1 if crop == "padded" else SHORTER_SIDE)
    top, left = ((n - side) / 2 for n in image.shape[:2])
    return _resized(image, image_size, (left, top, left + side, top + side))


def resized_whole(image: np.ndarray, image_size: int) -> np.ndarray:
    """A whole uint8 picture, made a square of `image_size` pixels."""
    rows, columns = image.shape[:2]
    return _resized(image, image_size, (0, 0, columns, rows))


def pixels(picture: Picture, name: str = "the picture") -> np.ndarray:
    """uint8 RGB of an array or a file; `name` is what errors call the bytes of one.

    Raises:
        ValueError: if it cannot be read.
    """
    if isinstance(picture, np.ndarray):
        image = picture
    elif isinstance(picture, bytes):
        image = decode_image(picture, name)
    else:
        image = read_image(picture)
    return with_channels(to_eight_bits(image) if image.dtype == np.uint16 else image, 3)


def _decoded(picture, name):
    """As `pixels`, or Pillow's image of a plain JPEG."""
    image = None if isinstance(picture, np.ndarray) else plain_jpeg(picture, name)
    return pixels(picture, name) if image is None else image


def _sides(image):
    return image.shape[:2] if isinstance(image, np.ndarray) else image.size[::-1]


def _mirrored(image):
    mirrored = Image.fromarray(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(mirrored)


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
    box = tuple(float(n - reach) / side for n in (top, left, top + side, left + side))
    return padded[top : top + side, left : left + side], box


def _random_part(rows, columns, rng):
    """Left, top, right, bottom of a random part; of the middle if ten draws do not fit."""
    for _ in range(10):
        area = rows * columns * rng.uniform(*_AREA)
        aspect = math.exp(rng.uniform(*np.log(_ASPECT)))
        width, height = math.sqrt(area * aspect), math.sqrt(area / aspect)
        if width <= columns and height <= rows:
            left, top = rng.uniform(0, columns - width), rng.uniform(0, rows - height)
            return left, top, left + width, top + height
    side = min(rows, columns)
    left, top = (columns - side) / 2, (rows - side) / 2
    return left, top, left + side, top + side


def _resized(image, image_size, box, bicubic=False):
    # Pillow's filters antialias, and are what classifiers are trained and scored with.
    is_array = isinstance(image, np.ndarray)
    picture = Image.fromarray(np.ascontiguousarray(image)) if is_array else image
    size = (image_size, image_size)
    how = Image.Resampling.BICUBIC if bicubic else Image.Resampling.BILINEAR
    return np.asarray(picture.resize(size, how, box=box))
