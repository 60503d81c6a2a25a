"""Score segmenters: mean intersection over union."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from keras_imaging.data.classification import Picture
from keras_imaging.data.segmentation import IGNORED, read_example
from keras_imaging.inference.segmentation import segment


@dataclass(frozen=True)
class SegmentationScores:
    """Result of `evaluate_segmentation`.

    Attributes:
        mean_iou: mean over the classes that occur in truth or result, 0..1, of all their pixels in
            both over all in either.
        pixel_accuracy: part of the pixels whose class is right.
        iou: of each class; NaN where it does not occur.
        images: how many pictures there were.
    """

    mean_iou: float
    pixel_accuracy: float
    iou: list[float]
    images: int

    def to_dict(self) -> dict:
        """Plain numbers, as for JSON."""
        return asdict(self)


def evaluate_segmentation(
    model: Callable, examples: Iterable[tuple[Picture, Picture]], classes: int, **settings
) -> SegmentationScores:
    """Score a segmenter on whole pictures.

    Args:
        model: as of `inference.segment`.
        examples: pairs of a picture and its mask, uint8 arrays or paths of files; pixels of 255 in
            a mask do not count.
        classes: how many there are.
        **settings: of `inference.segment`.

    Raises:
        ValueError: if there is no picture or nothing in the masks, or on a picture or mask that
            does not fit.

    Example:
        >>> from keras_imaging.data import segmentation_scenes
        >>> model = keras_imaging.models.PyramidSegmenter("volo_small_64", classes=5)
        >>> examples = zip(*segmentation_scenes(1, (64, 64)))
        >>> 0 <= evaluate_segmentation(model, examples, 5).mean_iou <= 1
        True
    """
    counts, images = np.zeros((classes, classes), "int64"), 0
    for image, mask in examples:
        picture, truth = read_example(image, mask, classes)
        counts += confusion(truth, segment(model, picture, **settings), classes)
        images += 1
    if not counts.sum():
        raise ValueError("There is no pixel with a class to score.")
    iou = iou_of(counts)
    return SegmentationScores(
        float(np.nanmean(iou)), float(np.trace(counts) / counts.sum()), iou.tolist(), images
    )


def confusion(truth: np.ndarray, result: np.ndarray, classes: int) -> np.ndarray:
    """How many pixels of each true class (rows) got each class (columns); 255 in truth is left out.

    Example:
        >>> confusion(np.array([[0, 1, 255]]), np.array([[0, 0, 1]]), 2).tolist()
        [[1, 0], [1, 0]]
    """
    known = truth != IGNORED
    pairs = truth[known].astype("int64") * classes + result[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou_of(counts: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, NaN where it is in neither.

    Args:
        counts: see `confusion`.
    """
    both = np.diag(counts).astype("float64")
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
