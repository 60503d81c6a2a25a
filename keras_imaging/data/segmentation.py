"""Pictures whose every pixel has a class: files, arrays, generated scenes, training batches."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.classification import Picture, pixels, standardized
from keras_imaging.data.files import replacing
from keras_imaging.data.images import list_images, named_errors, open_image
from keras_imaging.picture_size import size_text

# What a mask says where it says nothing.
IGNORED = 255

_SCALES = (0.5, 2.0)
# So that no class fills a crop, if it can be helped; a few draws.
_LARGEST_SHARE = 0.9
_DRAWS = 5


@dataclasses.dataclass(frozen=True)
class SegmentedPictures:
    """Pictures and their masks.

    Attributes:
        class_names: in the order of the numbers in the masks.
        examples: pairs of a picture and its mask, uint8 arrays or paths of files.
    """

    class_names: list[str]
    examples: Iterator[tuple[Picture, Picture]]


def segmented_pictures(
    source: str | os.PathLike,
    on_skip: Callable[[str], None] | None = None,
    scene_side: int = 64,
    seed: int = 0,
) -> SegmentedPictures:
    """Pictures with masks, of a folder or an `.npz` file, or generated.

    Args:
        source: a folder with `images`, pictures; `masks`, a PNG of class numbers of the same name
            for each, 255 where there is none; and `classes.txt`, a name of a class a line. Or an
            `.npz` file with `x`, uint8 `(n, height, width, 3)`, and `y`, uint8 `(n, height,
            width)`; its classes are named by their numbers. Or `scenes:COUNT`, see
            `segmentation_scenes`.
        on_skip: called with the message that names an unreadable file; None raises it.
        scene_side: of generated scenes, in pixels.
        seed: of generated scenes.

    Raises:
        ValueError: if there are no such data; on an unreadable file without `on_skip`.
    """
    if is_generated(source):
        return _generated(str(source), scene_side, seed)
    if str(source).endswith(".npz"):
        return _of_arrays(source)
    folder = pathlib.Path(source)
    names = folder / "classes.txt"
    if not all((folder / part).is_dir() for part in ("images", "masks")) or not names.is_file():
        raise ValueError(
            "Expected a folder with `images`, `masks` and `classes.txt`, an .npz file with x and "
            f"y, or scenes:COUNT. Received: {str(source)!r}"
        )
    class_names = [line.strip() for line in names.read_text().splitlines() if line.strip()]
    if not class_names:
        raise ValueError(f"Expected a name of a class a line in {str(names)!r}.")
    paths = list_images(folder / "images")

    def read():
        for path in paths:
            mask = folder / "masks" / f"{path.stem}.png"
            try:
                with named_errors(path), open_image(path) as image:
                    size = image.size
                _check_mask(mask, size, path, len(class_names))
            except ValueError as error:
                if on_skip is None:
                    raise
                on_skip(str(error))
            else:
                yield path, mask

    return SegmentedPictures(class_names, read())


def is_generated(source: str | os.PathLike) -> bool:
    """Whether a source is `scenes:COUNT`, and no file."""
    return str(source).startswith("scenes:")


def read_mask(mask: Picture) -> np.ndarray:
    """The class numbers of a mask, uint8 `(height, width)`.

    Args:
        mask: an array, or the path of a PNG of grey levels or with a palette, whose values or
            indices are the classes.

    Raises:
        ValueError: naming the file, if it cannot be read or holds colours.
    """
    if isinstance(mask, np.ndarray):
        return mask
    path = pathlib.Path(mask)
    if not path.is_file():
        raise ValueError(f"There is no mask {str(path)!r}.")
    with named_errors(path), open_image(path) as image:
        if image.mode not in ("L", "P", "1"):
            raise ValueError(
                f"expected a PNG of class numbers, grey or with a palette; it holds {image.mode} "
                "colours, of which none is a number"
            )
        return np.array(image, "uint8")


def write_mask(path: str | os.PathLike, mask: np.ndarray) -> None:
    """Write class numbers as a PNG whose palette shows every class in its colour.

    Args:
        path: ends with .png.
        mask: uint8 `(height, width)`.
    """
    image = Image.fromarray(np.ascontiguousarray(mask, "uint8"))
    image.putpalette(class_colours(256).ravel().tolist())
    with replacing(path) as stream:
        image.save(stream, "png")


def class_colours(classes: int) -> np.ndarray:
    """A colour for each class, well apart from those before it; uint8 `(classes, 3)`.

    The bits of a number become bits of the three colours, the lowest first: 0 is black, 1 red.
    """
    numbers = np.arange(classes)
    colours = np.zeros((classes, 3), "int64")
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (numbers >> channel & 1) << (7 - place)
        numbers = numbers >> 3
    return colours.astype("uint8")


def overlay(image: np.ndarray, mask: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """A picture under the colours of its classes.

    Args:
        image: uint8 `(height, width, 3)`.
        mask: uint8 `(height, width)`.
        strength: of the colours, 0..1; class 0 stays as it is.
    """
    part = np.float32(strength) * (mask != 0)[..., None]
    mixed = (1 - part) * image + part * class_colours(256)[mask]
    return (mixed + 0.5).astype("uint8")


class SegmentationSampler:
    """Random crops of pictures and their masks, resized, mirrored or not.

    Every epoch takes each picture once, in a new order. Row r of batch k depends on the seed, k and
    r alone.

    Args:
        examples: pairs of a picture and its mask, uint8 arrays or paths of files that are read
            whenever they are drawn.
        classes: how many there are; 255 in a mask is none.
        image_size: side of a crop in pixels.
        batch_size: crops in a (global) batch.
        scales: smallest and largest enlargement of the pictures.
        seed: of the random choices.

    Raises:
        ValueError: if there is no picture, or an argument is out of its range; when it is drawn,
            if a mask is of another size than its picture, or of other classes.

    Example:
        >>> images, masks = segmentation_scenes(4, (32, 32))
        >>> sampler = SegmentationSampler(zip(images, masks), 5, 32, batch_size=2)
        >>> x, y = sampler.batch(0)
        >>> x.shape, y.shape, y.dtype.name
        ((2, 32, 32, 3), (2, 32, 32), 'int32')
    """

    def __init__(
        self,
        examples: Iterable[tuple[Picture, Picture]],
        classes: int,
        image_size: int,
        batch_size: int,
        scales: tuple[float, float] = _SCALES,
        seed: int = 0,
    ):
        self._examples = list(examples)
        if not self._examples:
            raise ValueError("There are no training pictures.")
        if not 0 < scales[0] <= scales[1]:
            raise ValueError(f"`scales` must be positive and in order. Received: scales={scales}")
        if not 1 <= classes <= IGNORED:
            raise ValueError(f"`classes` must be in 1..{IGNORED}. Received: classes={classes}")
        self.classes = classes
        self.image_size = image_size
        self.batch_size = batch_size
        self.scales = tuple(scales)
        self.seed = seed
        self._threads = ThreadPoolExecutor()

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it.

        Returns:
            Crops, standardized float32 `(rows, image_size, image_size, 3)`, and their classes,
            int32 `(rows, image_size, image_size)`.
        """
        numbers = range(self.batch_size)[rows]
        drawn = self._threads.map(lambda row: self._row(step, row), numbers)
        images, masks = zip(*drawn, strict=True)
        return np.stack(images), np.stack(masks).astype("int32")

    def _row(self, step, row):
        epoch, place = divmod(step * self.batch_size + row, len(self._examples))
        order = np.random.default_rng((self.seed, epoch, 0, 1)).permutation(len(self._examples))
        image, mask = read_example(*self._examples[order[place]], self.classes)
        return self._crop(image, mask, np.random.default_rng((self.seed, step, row)))

    def _crop(self, image, mask, rng):
        size = self.image_size
        scale = np.exp(rng.uniform(*np.log(self.scales)))
        for _ in range(_DRAWS):
            place = self._place(mask.shape, scale, rng)
            classes = _resized(mask, *place, Image.Resampling.NEAREST)
            counts = np.bincount(classes[classes != IGNORED], minlength=1)
            if counts.max() <= _LARGEST_SHARE * classes.size:
                break
        pixels_ = standardized(_resized(image, *place, Image.Resampling.BILINEAR))
        # Where the picture ends: the mean colour, of no class.
        whole = np.zeros((size, size, 3), "float32")
        labels = np.full((size, size), IGNORED, "uint8")
        whole[: len(pixels_), : pixels_.shape[1]] = pixels_
        labels[: len(classes), : classes.shape[1]] = classes
        if rng.random() < 0.5:
            whole, labels = whole[:, ::-1], labels[:, ::-1]
        return whole, labels

    def _place(self, shape, scale, rng):
        """A box of a picture, left, top, right, bottom, and the size that it becomes."""
        sides = [min(self.image_size / scale, side) for side in shape]
        starts = [rng.uniform(0, side - part) for side, part in zip(shape, sides, strict=True)]
        (top, left), (high, wide) = starts, sides
        size = [min(round(part * scale), self.image_size) for part in (wide, high)]
        return (left, top, left + wide, top + high), [max(1, side) for side in size]


def read_example(image: Picture, mask: Picture, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture as RGB and its mask, both uint8, checked.

    Raises:
        ValueError: if one cannot be read, they differ in size, or the mask has other classes.
    """
    named = "" if isinstance(mask, np.ndarray) else f" in {str(mask)!r}"
    picture, numbers = pixels(image), read_mask(mask)
    _check_sizes(numbers.shape, picture.shape[:2], named)
    _check_classes(numbers, classes, named)
    return picture, numbers


def segmentation_scenes(
    count: int, size: tuple[int, int], classes: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scenes of textured shapes, and the class of every pixel: data that need no labelling.

    On a ground of soft noise (class 0) lie discs, boxes and triangles of two colours each. What
    they are filled with is their class: stripes down, stripes across, a chequerboard, dots. Their
    colours, places and sizes say nothing.

    Args:
        count: how many.
        size: height and width.
        classes: 2..5, with the ground.
        seed: of the scenes.

    Returns:
        uint8 `(count, height, width, 3)` and uint8 `(count, height, width)`.

    Raises:
        ValueError: if `classes` is out of its range.
    """
    if not 2 <= classes <= 1 + len(_TEXTURES):
        raise ValueError(
            f"`classes` must be in 2..{1 + len(_TEXTURES)}. Received: classes={classes}"
        )
    scenes = [_scene(size, classes, np.random.default_rng((seed, k))) for k in range(count)]
    images, masks = zip(*scenes, strict=True)
    return np.stack(images), np.stack(masks)


def _scene(size, classes, rng):
    height, width = size
    y, x = np.mgrid[:height, :width].astype("float32")
    soft = rng.normal(0, 1, (height // 8 + 2, width // 8 + 2))
    soft = Image.fromarray(soft.astype("float32")).resize((width, height), Image.Resampling.BICUBIC)
    image = rng.uniform(60, 200, 3) + 25 * np.array(soft)[..., None]
    mask = np.zeros(size, "uint8")
    shorter = min(size)
    for _ in range(rng.integers(2, 6)):
        kind = int(rng.integers(1, classes))
        inside = _SHAPES[rng.integers(len(_SHAPES))](
            y - rng.uniform(0, height), x - rng.uniform(0, width), shorter, rng
        )
        dark, light = rng.uniform(0, 110, 3), rng.uniform(145, 255, 3)
        period = rng.integers(3, 6)
        pattern = _TEXTURES[kind - 1](y + rng.integers(9), x + rng.integers(9), period)
        image = np.where(inside[..., None], np.where(pattern[..., None], light, dark), image)
        mask = np.where(inside, np.uint8(kind), mask)
    image = image + rng.normal(0, 6, image.shape)
    return np.clip(image + 0.5, 0, 255).astype("uint8"), mask


def _disc(y, x, shorter, rng):
    radii = rng.uniform(0.15, 0.35, 2) * shorter
    return (y / radii[0]) ** 2 + (x / radii[1]) ** 2 < 1


def _box(y, x, shorter, rng):
    sides = rng.uniform(0.14, 0.32, 2) * shorter
    return (np.abs(y) < sides[0]) & (np.abs(x) < sides[1])


def _triangle(y, x, shorter, rng):
    side = rng.uniform(0.25, 0.45) * shorter
    return (y < side / 2) & (np.abs(x) < (y + side / 2) * 0.7)


_SHAPES = (_disc, _box, _triangle)
_SCENE_CLASSES = ("ground", "stripes down", "stripes across", "chequers", "dots")
_TEXTURES = (
    lambda y, x, period: x % (2 * period) < period,
    lambda y, x, period: y % (2 * period) < period,
    lambda y, x, period: (y // period + x // period) % 2 < 1,
    lambda y, x, period: (y % (2 * period) < period) & (x % (2 * period) < period),
)


def _generated(source, side, seed):
    count = source.partition(":")[2]
    if not count.isdigit() or not int(count):
        raise ValueError(f"Expected scenes:COUNT. Received: {source!r}")
    images, masks = segmentation_scenes(int(count), (side, side), len(_SCENE_CLASSES), seed)
    return SegmentedPictures(list(_SCENE_CLASSES), zip(images, masks, strict=True))


def _of_arrays(path):
    arrays = read_arrays(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    right = x.dtype == y.dtype == np.uint8 and x.ndim == 4 and y.shape == x.shape[:3] and len(x)
    if not right:
        raise ValueError(
            "Expected x, uint8 (n, height, width, channels), and y, uint8 (n, height, width). "
            f"Received x {x.dtype} {x.shape}, y {y.dtype} {y.shape} in {str(path)!r}"
        )
    known = y[y != IGNORED]
    count = int(known.max()) + 1 if known.size else 1
    return SegmentedPictures([str(k) for k in range(count)], zip(x, y, strict=True))


def _check_mask(mask, size, picture, classes):
    numbers = read_mask(mask)
    _check_sizes(numbers.shape, size[::-1], f" in {str(mask)!r}")
    _check_classes(numbers, classes, f" in {str(mask)!r}")


def _check_sizes(mask, picture, named):
    # A picture may be stored on its side; it is turned when it is read.
    if tuple(mask) != tuple(picture):
        raise ValueError(
            f"Expected a mask of the size of its picture, {size_text(*picture)}. Received "
            f"{size_text(*mask)}{named}"
        )


def _check_classes(numbers, classes, named):
    known = numbers[numbers != IGNORED]
    if known.size and known.max() >= classes:
        raise ValueError(
            f"Expected class numbers 0 ... {classes - 1}, or {IGNORED}. Received {known.max()}"
            f"{named}"
        )


def _resized(array, box, size, how):
    picture = Image.fromarray(np.ascontiguousarray(array))
    return np.asarray(picture.resize(size, how, box=box))
