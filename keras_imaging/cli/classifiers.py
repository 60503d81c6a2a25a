"""A trained classifier with what its card says: class names, size and crop."""

import enum
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from keras_imaging.cli.quiet import quiet_start

if TYPE_CHECKING:
    import keras


class Crop(enum.StrEnum):
    """See `keras_imaging.data.central_crop`."""

    resized = "resized"
    padded = "padded"


ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Side of the picture's middle that the network sees, in pixels.",
        min=1,
        show_default="as the card says, else the network's own, else 224",
    ),
]
CropOption = Annotated[
    Crop | None,
    typer.Option(
        help="As in training. padded: the largest square in the middle of the picture; resized: "
        "7/8 of it.",
        show_default="as the card says, else resized",
    ),
]


class Classifier(NamedTuple):
    """A network, and how pictures become its input."""

    model: "keras.Model"
    name: str
    class_names: list[str] | None
    image_size: int
    crop: str


def load_classifier(
    weights: str | None, image_size: int | None = None, crop: Crop | None = None
) -> Classifier:
    """A trained classifier.

    Args:
        weights: see `models.load`; None takes the first that is shipped.
        image_size: instead of the card's.
        crop: instead of the card's.

    Raises:
        ValueError: if there is none, or it is no classifier of pictures.
    """
    with quiet_start():
        from keras_imaging import models
    if weights is None:
        shipped = models.names_for("classification")
        if not shipped:
            raise ValueError(
                "No classifier is shipped. Train one with `keras-imaging train resnet_rs`, or "
                "`keras-imaging convert` a published one, and give it as --weights."
            )
        weights = shipped[0]
    model = models.load(weights, task="classification")
    card = models.card_of(weights)
    recipe = card.get("recipe", {})
    own = model.input_shape[1]
    size = image_size or recipe.get("image_size") or own or 224
    if own not in (None, size):
        raise ValueError(f"{weights} takes pictures of {own} pixels. Received: --image-size {size}")
    return Classifier(
        model,
        pathlib.Path(weights).name,
        card.get("class_names"),
        size,
        str(crop or recipe.get("crop", Crop.resized)),
    )


def readable(paths: list[pathlib.Path], read: list, skipped: dict[str, str]) -> Iterator:
    """The pictures of files; what cannot be read is left out.

    Args:
        paths: of the files.
        read: gets the paths of those that are given.
        skipped: gets the reasons why others are not, by their names.
    """
    from keras_imaging.data.classification import pixels

    for path in paths:
        try:
            picture = pixels(path)
        except ValueError as error:
            skipped[str(path)] = f"{path}: {error}" if str(path) not in str(error) else str(error)
        else:
            read.append(path)
            yield picture
