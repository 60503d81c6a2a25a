"""Labels of tokens that a teacher gives: a store on disk, and batches that use it."""

import json
import math
import os
import pathlib
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from keras_imaging.data.classification import (
    ClassificationSampler,
    Picture,
    View,
    pixels,
    resized_whole,
)
from keras_imaging.data.files import replacing
from keras_imaging.data.mixing import mix_token_box

GUESSES = 5
_CARD = "token_labels.json"
_CHUNK = 32


def write_token_labels(
    folder: str | os.PathLike,
    pictures: Sequence[Picture],
    teacher: Callable[[np.ndarray], np.ndarray],
    image_size: int,
    name: str = "",
    progress: Callable[[int, int], None] | None = None,
    on_skip: Callable[[str], None] | None = None,
) -> dict:
    """Store what a classifier says of every part of every picture: its five largest logits.

    A store that was left unfinished is continued. It holds one record for each picture, in the
    order of the pictures: float16 logits and int32 numbers of classes, `(rows, columns, 5)`, and a
    fingerprint of the picture.

    Args:
        folder: of the store.
        pictures: uint8 arrays, paths of files or their bytes; each is seen whole, resized to a
            square.
        teacher: gives logits `(batch, rows, columns, classes)` of uint8 pictures
            `(batch, image_size, image_size, 3)`.
        image_size: side in pixels at which the teacher sees pictures.
        name: of the teacher, for the card.
        progress: called with the pictures done, and with all of them.
        on_skip: called with the message that names a picture that cannot be read, which black
            stands for, as no crop of it is ever drawn; None raises it.

    Returns:
        The card of the store.

    Raises:
        ValueError: if there is no picture, or the folder holds a store of other pictures, of
            another teacher or size.
        OSError: if it cannot be written.
    """
    if not len(pictures):
        raise ValueError("There are no pictures to label.")
    folder = pathlib.Path(folder)
    first = teacher(np.zeros((1, image_size, image_size, 3), "uint8"))
    rows, columns, classes = first.shape[1:]
    card = {
        "pictures": len(pictures),
        "classes": classes,
        "grid": [rows, columns],
        "guesses": min(GUESSES, classes),
        "teacher": name,
        "image_size": image_size,
        "done": 0,
    }
    arrays = _open_or_make(folder, card)
    while card["done"] < len(pictures):
        start = card["done"]
        chunk = list(pictures[start : start + _CHUNK])
        # A last chunk that is short is filled: another size would be compiled anew.
        logits = np.asarray(teacher(_batch(chunk, image_size, start, on_skip)))[: len(chunk)]
        if not np.isfinite(logits).all():
            raise ValueError(f"The teacher {name!r} gave logits that are not finite.")
        order = np.argsort(-logits, axis=-1, kind="stable")[..., : card["guesses"]]
        place = slice(start, start + len(chunk))
        arrays["classes"][place] = order
        arrays["logits"][place] = np.take_along_axis(logits, order, axis=-1)
        arrays["fingerprints"][place] = [fingerprint(picture) for picture in chunk]
        for array in arrays.values():
            array.flush()
        card["done"] = start + len(chunk)
        _write_card(folder, card)
        if progress is not None:
            progress(card["done"], len(pictures))
    return card


class TokenLabels:
    """A store of token labels, as `write_token_labels` made it.

    Args:
        folder: of the store.
        official_axis_order: exchange rows and columns of a crop, as the published code does, and
            not the map's: its labels of a crop are those of another part of the picture.

    Raises:
        ValueError: if there is no store, it is damaged or not finished.
    """

    def __init__(self, folder: str | os.PathLike, official_axis_order: bool = False):
        folder = pathlib.Path(folder)
        self.folder = folder
        self.card = _read_card(folder)
        self.official_axis_order = official_axis_order
        done, count = self.card["done"], self.card["pictures"]
        if done < count:
            raise ValueError(
                f"The token labels in {str(folder)!r} are not finished: {done} of {count} pictures "
                "are done. Give the same command once more, and it continues."
            )
        self._arrays = _open(folder, self.card, "r")

    def __getstate__(self):
        # A copy in another process opens the files itself.
        return {**self.__dict__, "_arrays": None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._arrays = _open(self.folder, self.card, "r")

    def check(self, pictures: Sequence[Picture], classes: int) -> None:
        """Raise ValueError unless the labels are of these pictures, in this order, and classes."""
        store = f"The token labels in {str(self.folder)!r}"
        if self.card["classes"] != classes:
            raise ValueError(
                f"{store} are of {self.card['classes']} classes, the network of {classes}."
            )
        if self.card["pictures"] != len(pictures):
            raise ValueError(
                f"{store} are of another data set: of {self.card['pictures']} pictures. Received "
                f"{len(pictures)} pictures."
            )
        for number, picture in enumerate(pictures):
            if fingerprint(picture) != self._arrays["fingerprints"][number]:
                raise ValueError(
                    f"{store} are of another data set: picture {number} of {len(pictures)} differs."
                )

    def labels(self, index: int, view: View, grid: tuple[int, int]) -> np.ndarray:
        """Labels of a crop and of its tokens.

        The five logits of each cell, 0 for the other classes, are averaged over the crop and over
        every token's part of it, and become probabilities.

        Args:
            index: of the picture.
            view: what the crop shows of it.
            grid: rows and columns of tokens.

        Returns:
            `(classes, 1 + tokens)`: of the crop, then of the tokens, row by row.
        """
        rows, columns = self.card["grid"]
        dense = np.zeros((rows, columns, self.card["classes"]), "float32")
        classes = np.asarray(self._arrays["classes"][index])
        logits = np.asarray(self._arrays["logits"][index], "float32")
        np.put_along_axis(dense, classes, logits, axis=-1)
        ends = (view.top, view.bottom), (view.left, view.right)
        if self.official_axis_order:
            ends = ends[::-1]
        parts = []
        for shape in ((1, 1), grid):
            down, across = (
                roi_weights(*span, cells, out)
                for span, cells, out in zip(ends, (rows, columns), shape, strict=True)
            )
            part = np.einsum("ij,jkc,lk->ilc", down, dense, across, optimize=True)
            part = part[:, ::-1] if view.mirrored else part
            parts.append(part.reshape(-1, part.shape[-1]))
        return _softmax(np.concatenate(parts)).T


class TokenLabelSampler:
    """Pictures, boxes of exchanged tokens, and labels, for `models.VOLOTraining`.

    Args:
        pictures: gives the crops.
        grid: rows and columns of tokens.
        mix_token: draw a box of tokens for each batch, see `mix_token_box`.
        labels: of tokens; None: the picture's label is that of its tokens.
        label_smoothing: part of every label that is spread over all classes, 0..1.

    Raises:
        ValueError: if the labels are of other pictures or classes, or what is asked for does not go
            together.

    Example:
        >>> examples = [(np.zeros((32, 32, 3), "uint8"), 7)]
        >>> pictures = ClassificationSampler(examples, 10, 32, batch_size=4, crop="padded")
        >>> inputs, labels = TokenLabelSampler(pictures, (4, 4)).batch(0)
        >>> inputs["image"].shape, inputs["box"].shape, labels.shape
        ((4, 32, 32, 3), (4, 4), (4, 10))
    """

    def __init__(
        self,
        pictures: ClassificationSampler,
        grid: tuple[int, int],
        mix_token: bool = True,
        labels: TokenLabels | None = None,
        label_smoothing: float = 0.0,
    ):
        if pictures.mixing is not None and (mix_token or labels is not None):
            raise ValueError(
                "Mixup and CutMix go neither with mixed tokens nor with labels of tokens. Received "
                f"mix_token={mix_token} and {'no' if labels is None else 'such'} labels."
            )
        if labels is not None:
            labels.check(pictures.pictures, pictures.classes)
        self.pictures = pictures
        self.grid = tuple(grid)
        self.mix_token = mix_token
        self.labels = labels
        self.label_smoothing = label_smoothing
        self.batch_size = pictures.batch_size
        self.on_skip = pictures.on_skip

    def __getstate__(self):
        # What a copy in another process cannot read, its pictures remember.
        return {**self.__dict__, "on_skip": None}

    def batch(
        self, step: int, rows: slice = slice(None)
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Batch number `step`, or those `rows` of it.

        Returns:
            `image` and, where tokens are mixed, `box`, the same for all rows; and labels,
            `(rows, classes)`, or `(rows, classes, 2 + tokens)`: see `losses.TokenLabelLoss`.
        """
        if self.labels is None:
            if self.pictures.mixing is None:
                images, indices, _ = self.pictures.drawn(step, rows)
                labels = self.pictures.targets(indices)
            else:
                images, labels = self.pictures.batch(step, rows)
        else:
            images, indices, views = self.pictures.drawn(step, rows)
            truths = self.pictures.targets(indices)
            labels = np.stack(
                [
                    np.concatenate([truth[:, None], self.labels.labels(*what, self.grid)], axis=1)
                    for truth, *what in zip(truths, indices, views, strict=True)
                ]
            )
        spread = np.float32(self.label_smoothing)
        labels = (1 - spread) * labels + spread / self.pictures.classes
        inputs = {"image": images}
        if self.mix_token:
            box = mix_token_box(*self.grid, self.pictures.batch_generator(step))
            inputs["box"] = np.tile(np.array(box, "int32"), (len(images), 1))
        return inputs, labels.astype("float32")


def roi_weights(low: float, high: float, cells: int, out: int) -> np.ndarray:
    """One axis of RoI-Align: the share of every cell in every output, `(out, cells)`.

    As torchvision has it with `aligned=False` and a box less half a cell: samples, at most one cell
    apart, are interpolated and averaged.

    Args:
        low, high: ends of the box, in parts of the axis.
        cells: along the axis.
        out: how many parts the box is divided into.
    """
    start = low * cells - 0.5
    length = max((high - low) * cells, 1.0)
    samples = math.ceil(length / out)
    places = (np.arange(out * samples) + 0.5) / (out * samples) * length + start
    inside = (places >= -1) & (places <= cells)
    places = np.clip(places, 0, cells - 1)
    below = np.floor(places).astype("int64")
    above = np.minimum(below + 1, cells - 1)
    weights = np.zeros((out, cells))
    row = np.arange(out * samples) // samples
    np.add.at(weights, (row, below), inside * (1 - (places - below)) / samples)
    np.add.at(weights, (row, above), inside * (places - below) / samples)
    return weights


def fingerprint(picture: Picture) -> int:
    """32 bits of a picture: an array's pixels, a file's name, folder and size, a file's bytes."""
    if isinstance(picture, bytes):
        return zlib.crc32(picture)
    if isinstance(picture, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(picture).tobytes())
    path = pathlib.Path(picture)
    try:
        size = path.stat().st_size
    except OSError:
        size = "missing"
    return zlib.crc32(f"{path.parent.name}/{path.name} {size}".encode())


def _batch(pictures, image_size, first, on_skip):
    images = np.zeros((_CHUNK, image_size, image_size, 3), "uint8")
    for row, picture in enumerate(pictures):
        try:
            image = pixels(picture, f"picture {first + row}")
        except ValueError as error:
            if on_skip is None:
                raise
            on_skip(str(error))
        else:
            images[row] = resized_whole(image, image_size)
    return images


def _softmax(logits):
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def _open_or_make(folder, card):
    """The arrays of a store; a new one, or one to be continued, whose `done` the card gets."""
    if (folder / _CARD).is_file():
        found = _read_card(folder)
        for key in card:
            if key != "done" and found[key] != card[key]:
                raise ValueError(
                    f"{str(folder)!r} holds token labels with {key} = {found[key]!r}. Received "
                    f"{key} = {card[key]!r}; choose another folder."
                )
        card["done"] = found["done"]
        return _open(folder, card, "r+")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{str(folder)!r} holds other files; choose another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (dtype, shape) in _layout(card).items()
    }
    _write_card(folder, card)
    return arrays


def _layout(card):
    shape = (card["pictures"], *card["grid"], card["guesses"])
    return {
        "logits": ("float16", shape),
        "classes": ("int32", shape),
        "fingerprints": ("uint32", shape[:1]),
    }


def _open(folder, card, mode):
    arrays = {}
    for name, (dtype, shape) in _layout(card).items():
        path = folder / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"Cannot read token labels {str(path)!r}: {error}") from error
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(
                f"Cannot read token labels {str(path)!r}: expected {dtype} {shape}, received "
                f"{array.dtype} {array.shape}"
            )
        arrays[name] = array
    return arrays


def _read_card(folder):
    path = folder / _CARD
    if not path.is_file():
        raise ValueError(
            f"There are no token labels in {str(folder)!r}; make them with `keras-imaging "
            "token-labels`."
        )
    try:
        card = json.loads(path.read_bytes())
        known = {name: card[name] for name in ("pictures", "classes", "grid", "guesses", "done")}
        return {**card, **known}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"Cannot read token labels {str(path)!r}: {error}") from error


def _write_card(folder, card):
    with replacing(folder / _CARD) as file:
        file.write((json.dumps(card, indent=2) + "\n").encode())
