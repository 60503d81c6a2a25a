"""Labelled pictures from folders and arrays."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np

from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.images import list_images, named_errors, open_image


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Pictures and their classes.

    Attributes:
        class_names: in the order of the labels.
        examples: pairs of a picture (a uint8 array or the path of a file) and its label.
    """

    class_names: list[str]
    examples: Iterator[tuple[np.ndarray | pathlib.Path, int]]

    def numbered(self, class_names: list[str]) -> Iterator:
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
        numbers = [number_of[name] for name in self.class_names]
        return ((picture, numbers[label]) for picture, label in self.examples)


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
            f"Expected a folder with one subfolder for each class. Received: {str(folder)!r}"
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
    """The pictures `x` and labels `y` of an `.npz` file.

    Classes have the names in `classes`, a text for each, if the file has such; else their numbers.

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
    # What would have to be unpickled is no text.
    with np.load(path, allow_pickle=False) as file, contextlib.suppress(ValueError):
        if "classes" in file and file["classes"].dtype.kind == "U":
            names = file["classes"].reshape(-1).tolist()
    if len(names) <= labels.max():
        raise ValueError(
            f"Expected a name for each of the classes 0 ... {labels.max()} in `classes`. Received "
            f"{len(names)} in {str(path)!r}"
        )
    return LabelledPictures(names, zip(images, map(int, labels), strict=True))
