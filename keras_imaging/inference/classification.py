"""Classify real pictures, or take a network's features of them."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from keras_imaging.data.classification import Picture, central_crop, standardized


class Guess(NamedTuple):
    """What a picture may show.

    Attributes:
        label: number of the class.
        name: of the class; its number where no names are known.
        probability: 0..1; of all classes together 1.
    """

    label: int
    name: str
    probability: float


def classify(
    pictures: Iterable[Picture],
    model: Callable,
    image_size: int = 224,
    crop: str = "resized",
    class_names: list[str] | None = None,
    top: int = 5,
) -> Iterator[list[Guess]]:
    """The likeliest classes of the middle of each picture, the likeliest first.

    Args:
        pictures: uint8 arrays or paths of files.
        model: gives logits, such as `models.ResNetRS`; takes what its `prepare` makes of uint8
            pictures `(batch, image_size, image_size, 3)`, without one standardized pictures.
        image_size: side in pixels.
        crop: see `data.central_crop`.
        class_names: in the order of the labels.
        top: guesses of each picture, at most; one at least.

    Raises:
        ValueError: on a picture of a wrong type or size, or if there are other names than classes.

    Example:
        >>> model = keras_imaging.models.load("runs/pets")
        >>> [guesses] = classify(["cat.jpg"], model, class_names=["cat", "dog"])
        >>> guesses[0].name
        'cat'
    """
    if top < 1:
        raise ValueError(f"`top` must be at least 1. Received: top={top}")
    for logits in computed(pictures, model, image_size, crop):
        if class_names is not None and len(class_names) != len(logits):
            raise ValueError(
                f"Expected {len(logits)} class names. Received {len(class_names)}: "
                f"{class_names[:5]}"
            )
        odds = np.exp(logits.astype("float64") - logits.max())
        probabilities = odds / odds.sum()
        order = np.argsort(-probabilities, kind="stable")[:top]
        yield [
            Guess(int(k), str(k) if class_names is None else class_names[k], float(p))
            for k, p in zip(order, probabilities[order], strict=True)
        ]


def computed(
    pictures: Iterable[Picture],
    model: Callable,
    image_size: int,
    crop: str = "resized",
    prepare: Callable | None = None,
    batch_size: int = 16,
) -> Iterator[np.ndarray]:
    """What a network makes of the middle of each picture.

    Args:
        pictures: see `classify`.
        model: of one output.
        image_size: see `classify`.
        crop: see `classify`.
        prepare: from uint8 pictures to the network's input; None takes the network's own.
        batch_size: pictures that are computed together.
    """
    # `predict_on_batch` compiles on every backend, and keeps what it compiled.
    call = getattr(model, "predict_on_batch", model)
    prepare = prepare or getattr(model, "prepare", standardized)
    pictures = iter(pictures)
    while chunk := list(itertools.islice(pictures, batch_size)):
        images = np.zeros((batch_size, image_size, image_size, 3), "uint8")
        for row, picture in enumerate(chunk):
            images[row] = central_crop(picture, image_size, crop)
        # A last batch that is short is filled: another size would be compiled anew.
        yield from np.asarray(call(prepare(images)))[: len(chunk)]
