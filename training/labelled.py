"""Labelled pictures from folders, arrays and tensorflow-datasets."""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.images import list_images, named_errors, open_image
from keras_imaging.training.sources import tfds_builder, tfds_examples


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Pictures and their classes.

    Attributes:
        class_names: in the order of the labels.
        examples: pairs of a picture (a uint8 array or the path of a file) and its label.
    """

    class_names: list[str]
    examples: Iterator[tuple[np.ndarray | pathlib.Path, int]]

    def in_order_of(self, class_names: list[str]) -> "LabelledPictures":
        """The same pictures, labelled by the order of other names.

        Args:
            class_names: those of a network; some may be missing here.

        Raises:
            ValueError: naming the classes that the network does not know.
        """
        unknown = sorted(set(self.class_names) - set(class_names))
        if unknown:
            raise ValueError(
                f"Expected the classes of the training data, {_few(class_names)}. Received the "
                f"unknown {_few(unknown)}"
            )
        numbers = [class_names.index(name) for name in self.class_names]
        examples = ((picture, numbers[label]) for picture, label in self.examples)
        return LabelledPictures(list(class_names), examples)


def _few(names):
    return f"{names[:5]}" if len(names) <= 5 else f"{names[:5]} and {len(names) - 5} more"


def labelled_pictures(
    source: str | os.PathLike, on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """Labelled pictures of any source.

    Args:
        source: a folder with one subfolder for each class; an `.npz` file with `x`, uint8
            `(n, height, width, 3)`, and `y`, integers; or `tfds:NAME` or `tfds:NAME:SPLIT` of
            tensorflow-datasets (the split is `train` unless it is named).
        on_skip: see `labelled_folder`.

    Raises:
        ValueError: if there are no such data, or they are of another kind.
    """
    name = str(source)
    if name.startswith("tfds:"):
        return labelled_tfds(*name.split(":")[1:3])
    if name.endswith(".npz"):
        return labelled_arrays(source)
    return labelled_folder(source, on_skip)


def labelled_folder(
    folder: str | os.PathLike, on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """The pictures of a folder with one subfolder for each class, in the order of their names.

    The pictures stay files, each opened now and decoded whenever it is drawn: the folder may be
    larger than the memory.

    Args:
        folder: a directory.
        on_skip: called with the message that names an unreadable file; None raises it.

    Raises:
        ValueError: if it is no folder, has no subfolder, or one of them holds no picture; on an
            unreadable file without `on_skip`.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(
            "Expected a folder with one subfolder for each class, an .npz file or tfds:NAME. "
            f"Received: {str(folder)!r}"
        )
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise ValueError(f"Expected one subfolder for each class in {str(folder)!r}.")
    paths = [list_images(subfolder, recursive=True) for subfolder in classes]

    def read():
        for label, pictures in enumerate(paths):
            for path in pictures:
                try:
                    with named_errors(path), open_image(path):
                        pass
                except ValueError as error:
                    if on_skip is None:
                        raise
                    on_skip(str(error))
                else:
                    yield path, label

    return LabelledPictures([path.name for path in classes], read())


def labelled_arrays(path: str | os.PathLike) -> LabelledPictures:
    """The pictures `x` and labels `y` of an `.npz` file; classes are named by their numbers.

    Raises:
        ValueError: naming the file, if it cannot be read or holds something else.
    """
    arrays = read_arrays(path, ("x", "y"))
    images, labels = arrays["x"], arrays["y"].reshape(-1)
    right = images.dtype == np.uint8 and images.ndim in (3, 4) and labels.dtype.kind in "iu"
    if not right or len(images) != len(labels) or not len(labels) or labels.min() < 0:
        raise ValueError(
            "Expected x, uint8 (n, height, width, channels), and y, n labels from 0 on. Received "
            f"x {images.dtype} {images.shape}, y {labels.dtype} {labels.shape} in {str(path)!r}"
        )
    names = [str(number) for number in range(int(labels.max()) + 1)]
    return LabelledPictures(names, zip(images, map(int, labels), strict=True))


def labelled_tfds(name: str, split: str = "train") -> LabelledPictures:
    """A split of a tensorflow-datasets data set with the features `image` and `label`.

    The pictures are kept in memory.

    Raises:
        ValueError: if tensorflow-datasets is not installed, knows no such data set, or it has other
            features or no such split.
    """
    builder = tfds_builder(name)
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not hasattr(features["label"], "names"):
        raise ValueError(
            "Expected a data set with the features 'image' and 'label'. "
            f"Received {name!r} with {sorted(features)}."
        )
    # The splits of a data set that was not prepared yet are not known.
    if builder.info.splits and split not in builder.info.splits:
        raise ValueError(
            f"Expected a split of {name!r}: {sorted(builder.info.splits)}. Received: {split!r}"
        )
    examples = ((e["image"], int(e["label"])) for e in tfds_examples(builder, split))
    return LabelledPictures(list(features["label"].names), examples)
