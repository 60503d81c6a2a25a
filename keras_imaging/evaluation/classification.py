"""Score classifiers."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from keras_imaging.data.classification import Picture, central_crop, pixels, standardized
from keras_imaging.data.labelled import name_of


@dataclass(frozen=True)
class ClassificationScores:
    """Result of `evaluate_classification`.

    Attributes:
        top1: part of the pictures, 0..1, whose label is the first guess.
        top5: ... is among the first five guesses.
        images: how many pictures there were.
    """

    top1: float
    top5: float
    images: int

    def to_dict(self) -> dict:
        """Plain numbers, as for JSON."""
        return asdict(self)


def evaluate_classification(
    model: Callable,
    examples: Iterable[tuple[Picture, int]],
    image_size: int,
    crop: str = "resized",
    batch_size: int = 64,
) -> ClassificationScores:
    """Score a classifier on the middle of each picture.

    Args:
        model: gives logits, such as `models.FFCResNet`; takes what its `prepare` makes of uint8
            pictures `(batch, image_size, image_size, 3)`, without one standardized pictures.
        examples: pairs of a picture (a uint8 array, the path of a file, or its bytes) and its
            label. If they have `on_skip`, see `data.labelled`, a picture that cannot be read is
            told to it and left out.
        image_size: side in pixels.
        crop: see `data.central_crop`.
        batch_size: pictures that are computed together.

    Returns:
        The scores.

    Raises:
        ValueError: if there is no picture, or on one of a wrong type or size.

    Example:
        >>> from keras_imaging.models import FFCResNet
        >>> model = FFCResNet(10, width=16, stem="small", classes=10)
        >>> examples = [(np.zeros((32, 32, 3), "uint8"), 7)]
        >>> evaluate_classification(model, examples, 32, crop="padded").images
        1
    """
    # `predict_on_batch` compiles on every backend, and keeps what it compiled.
    call = getattr(model, "predict_on_batch", model)
    prepare = getattr(model, "prepare", standardized)
    ranks = []
    cropped = _cropped(examples, image_size, crop)
    while chunk := list(itertools.islice(cropped, batch_size)):
        images = np.zeros((batch_size, image_size, image_size, 3), "uint8")
        images[: len(chunk)] = [image for image, _ in chunk]
        # A last batch that is short is filled: another size would be compiled anew.
        logits = np.asarray(call(prepare(images)))[: len(chunk)]
        labels = np.array([label for _, label in chunk])
        own = np.take_along_axis(logits, labels[:, None], axis=-1)
        # What is not less counts against it: equal guesses are no knowledge, nor are NaNs.
        ranks.append(logits.shape[-1] - 1 - (logits < own).sum(axis=-1))
    if not ranks:
        raise ValueError("There are no pictures to score.")
    ranks = np.concatenate(ranks)
    return ClassificationScores(float((ranks < 1).mean()), float((ranks < 5).mean()), len(ranks))


def _cropped(examples, image_size, crop):
    """Crops and labels."""
    on_skip = getattr(examples, "on_skip", None)
    if not isinstance(examples, Sequence):
        for picture, label in examples:
            yield central_crop(picture, image_size, crop), label
        return
    for number in range(len(examples)):
        try:
            picture, label = examples[number]
            image = pixels(picture, name_of(examples, number))
        except ValueError as error:
            if on_skip is None:
                raise
            on_skip(str(error))
        else:
            yield central_crop(image, image_size, crop), label
