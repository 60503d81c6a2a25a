"""Labelled pictures at random access: of folders, and of arrays."""

import array
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.images import list_images

Example = tuple[np.ndarray | bytes | pathlib.Path, int]


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Pictures and their classes.

    Attributes:
        class_names: in the order of the labels.
        examples: pairs of a picture (a uint8 array, the path of a file, or a file's bytes) and its
            label, by number. They may have `name(number)`, for messages, `labels`, of all, and
            `on_skip`, see `labelled_folder`.
    """

    class_names: list[str]
    examples: Sequence[Example]

    def numbered(self, class_names: list[str]) -> Sequence[Example]:
        """The examples with the labels that other data give to the same names.

        Args:
            class_names: of the other data, such as those that a network was trained on.

        Raises:
            ValueError: if a class is not among them.
        """
        # Arrays have no names, and the last classes may not occur in them.
        unknown = sorted(set(self.class_names) - set(class_names))
        if unknown:
            raise ValueError(
                f"Expected the classes of the training data. Received the unknown {unknown[:5]}"
            )
        number_of = {name: label for label, name in enumerate(class_names)}
        return _Numbered(self.examples, [number_of[name] for name in self.class_names])


class _Numbered(Sequence):
    """Examples with other labels."""

    def __init__(self, examples, numbers):
        self._examples = examples
        self._numbers = np.asarray(numbers, "int32")
        self.on_skip = getattr(examples, "on_skip", None)
        labels = getattr(examples, "labels", None)
        self.labels = None if labels is None else self._numbers[labels]

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        picture, label = self._examples[index]
        return picture, int(self._numbers[label])

    def name(self, index):
        return name_of(self._examples, index)


class RelabelledPictures(Sequence):
    """The pictures of some examples with other labels, such as the guesses of a network.

    Args:
        examples: pairs of a picture and a label, which is passed over.
        labels: as many numbers of classes, or probabilities `(pictures, classes)`.

    Raises:
        ValueError: if there are more or fewer labels than pictures.
    """

    def __init__(self, examples: Sequence[Example], labels: np.ndarray):
        self.labels = np.asarray(labels)
        if self.labels.ndim not in (1, 2) or len(self.labels) != len(examples):
            raise ValueError(
                f"Expected a label, or probabilities, for each of {len(examples)} pictures. "
                f"Received {self.labels.shape}"
            )
        self._examples = examples
        self.on_skip = getattr(examples, "on_skip", None)

    def __len__(self):
        return len(self._examples)

    def __getitem__(self, index):
        label = self.labels[index]
        return self._examples[index][0], label if self.labels.ndim == 2 else int(label)

    def name(self, index: int) -> str:
        """Which picture it is."""
        return name_of(self._examples, index)


class FolderPictures(Sequence):
    """Pairs of the path of a picture and its label, by number.

    Names are kept as one block of bytes, some 30 bytes a picture; no file is opened.

    Args:
        folder: with one subfolder for each class.
        class_names: of the subfolders, in the order of the labels.
        on_skip: see `labelled_folder`.

    Raises:
        ValueError: if a subfolder holds no picture.

    Attributes:
        labels: of all pictures.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        class_names: list[str],
        on_skip: Callable[[str], None] | None = None,
    ):
        self.on_skip = on_skip
        self._folder = pathlib.Path(folder)
        self._classes = list(class_names)
        names, ends, labels = bytearray(), array.array("Q"), array.array("i")
        for label, name in enumerate(self._classes):
            subfolder = self._folder / name
            for path in list_images(subfolder, recursive=True):
                names += os.fsencode(path)[len(os.fsencode(subfolder)) + 1 :]
                ends.append(len(names))
                labels.append(label)
        self._names = bytes(names)
        self._ends = np.asarray(ends)
        self.labels = np.asarray(labels)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index) -> tuple[pathlib.Path, int]:
        index = range(len(self))[index]
        first = int(self._ends[index - 1]) if index else 0
        name = os.fsdecode(self._names[first : int(self._ends[index])])
        label = int(self.labels[index])
        return self._folder / self._classes[label] / name, label

    def name(self, index: int) -> str:
        """Path of a picture."""
        return str(self[index][0])


class ArrayPictures(Sequence):
    """Pairs of a picture in memory and its label, by number.

    Args:
        images: uint8 `(n, height, width, channels)` or `(n, height, width)`.
        labels: n integers.
        name: of the data, for messages.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, name: str):
        self.labels = labels
        self._images = images
        self._name = name

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index) -> tuple[np.ndarray, int]:
        return self._images[index], int(self.labels[index])

    def name(self, index: int) -> str:
        """Which picture it is."""
        return f"{self._name}, picture {index}"


def name_of(examples: Sequence[Example], index: int) -> str:
    """What to call a picture in a message."""
    if hasattr(examples, "name"):
        return examples.name(index)
    picture, _ = examples[index]
    return str(picture) if isinstance(picture, os.PathLike) else f"picture {index}"


def labelled_folder(
    folder: str | os.PathLike, on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """The pictures of a folder with one subfolder for each class, in the order of their names.

    The pictures stay files, each opened when it is drawn: the folder may be larger than the memory.

    Args:
        folder: a directory.
        on_skip: called with the message that names a picture when it cannot be read, once; None
            raises it.

    Raises:
        ValueError: if it is no folder, has no subfolder, or one of them holds no picture.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"Expected a folder with one subfolder for each class. Received: {str(folder)!r}"
        )
    classes = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not classes:
        raise ValueError(f"Expected one subfolder for each class in {str(folder)!r}.")
    return LabelledPictures(classes, FolderPictures(folder, classes, on_skip))


def labelled_arrays(path: str | os.PathLike) -> LabelledPictures:
    """The pictures `x` and labels `y` of an `.npz` file.

    Its `classes`, strings in the order of the labels, name the classes; without, their numbers do.

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
    names = _class_names(path, int(labels.max()) + 1)
    return LabelledPictures(names, ArrayPictures(images, labels, str(path)))


def _class_names(path, number):
    with np.load(path, allow_pickle=False) as file:
        if "classes" not in file.files:
            return [str(label) for label in range(number)]
        names = file["classes"]
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names)) < max(len(names), number):
        raise ValueError(
            f"Expected `classes`, {number} or more names, in {str(path)!r}. Received "
            f"{names.dtype} {names.shape}"
        )
    return names.tolist()
