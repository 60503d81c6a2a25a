"""Score classifiers."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from keras_imaging.data.classification import Picture, central_crop, standardized


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
        examples: pairs of a picture (a uint8 array or the path of a file) and its label.
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
    examples = iter(examples)
    while chunk := list(itertools.islice(examples, batch_size)):
        images = np.zeros((batch_size, image_size, image_size, 3), "uint8")
        for row, (picture, _) in enumerate(chunk):
            images[row] = central_crop(picture, image_size, crop)
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
