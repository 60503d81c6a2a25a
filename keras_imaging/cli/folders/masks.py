"""The mask of each picture: one for all, or of a folder the one with its name."""

import pathlib

from keras_imaging.cli.folders.places import Folder, Url, place_of


class Masks:
    """Where the masks of pictures are.

    Args:
        place: path or URL of a mask for all pictures, or of a folder with a mask for each, called
            as the picture, with any suffix.

    Raises:
        ValueError: if there is nothing.
    """

    def __init__(self, place: pathlib.Path | Url):
        self._folder, self._one, self._names = Folder(place), None, {}
        if self._folder.exists():
            for name in self._folder.names():
                self._names.setdefault(pathlib.PurePath(name).stem, name)
            return
        parent, _, self._one = str(place).rpartition("/")
        self._folder = Folder(place_of(parent or "."))
        if not (self._folder.exists() and self._one in self._folder.names()):
            raise ValueError(f"There is no file or folder {str(place)!r}.")

    def of(self, picture: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
        """The mask of a picture, as a file of this machine.

        Args:
            picture: whose mask.
            scratch: folder for a copy, where one is needed.

        Raises:
            ValueError: if it has none.
        """
        name = self._one or self._names.get(picture.stem)
        if name is None:
            raise ValueError(f"{picture.name!r} has no mask in {str(self._folder)!r}.")
        return self._folder.fetch(name, scratch)
