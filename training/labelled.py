"""Labelled pictures from folders, arrays and tensorflow-datasets."""

import os
from collections.abc import Callable

from keras_imaging.data.labelled import LabelledPictures, labelled_arrays, labelled_folder
from keras_imaging.training.sources import tfds_builder, tfds_examples


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
