"""Labelled pictures from folders, arrays, TFRecord files and tensorflow-datasets."""

import functools
import glob
import os
from collections.abc import Callable, Sequence

from keras_imaging.data.labelled import LabelledPictures, labelled_arrays, labelled_folder
from keras_imaging.data.tfrecords import TFRecordPictures
from keras_imaging.training.sources import leave_gpu_to_backend, tfds_builder

TFDS = "tfds:"
TFRECORD = "tfrecord:"


def labelled_pictures(
    source: str | os.PathLike, on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """Labelled pictures of any source, at random access.

    Args:
        source: a folder with one subfolder for each class; an `.npz` file with `x`, uint8
            `(n, height, width, 3)`, `y`, integers, and perhaps `classes`, names; `tfrecord:GLOB`,
            files with the features `image/encoded` and `image/class/label`; or `tfds:NAME` or
            `tfds:NAME:SPLIT` of tensorflow-datasets (the split is `train` unless it is named).
        on_skip: called with the message that names a picture when it cannot be read, once; None
            raises it.

    Raises:
        ValueError: if there are no such data, or they are of another kind.
    """
    name = str(source)
    if name.startswith(TFDS):
        return labelled_tfds(*name.split(":")[1:3], on_skip=on_skip)
    if name.startswith(TFRECORD):
        return labelled_tfrecords(name.removeprefix(TFRECORD), on_skip)
    if name.endswith(".npz"):
        return labelled_arrays(source)
    return labelled_folder(source, on_skip)


def labelled_tfrecords(
    pattern: str, on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """Pictures of TFRecord files in ImageNet's layout, see `data.tfrecords.TFRecordPictures`.

    Args:
        pattern: such as `"imagenet/train-*"`.
        on_skip: see `labelled_pictures`.

    Raises:
        ValueError: if there is no such file, one is damaged, or a record has other features.
    """
    paths = [path for path in glob.glob(pattern) if os.path.isfile(path)]
    if not paths:
        raise ValueError(f"There is no file {pattern!r}.")
    pictures = TFRecordPictures(paths, on_skip)
    return LabelledPictures(pictures.class_names, pictures)


def labelled_tfds(
    name: str, split: str = "train", on_skip: Callable[[str], None] | None = None
) -> LabelledPictures:
    """A split of a tensorflow-datasets data set with the features `image` and `label`.

    It is prepared, if it is not yet, in the format array_record, whose records can be read in any
    order; pictures stay encoded until they are drawn.

    Raises:
        ValueError: if tensorflow-datasets is not installed, knows no such data set, or it has other
            features, no such split, or was prepared in another format.
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
    return LabelledPictures(list(features["label"].names), _TFDSPictures(name, split, on_skip))


class _TFDSPictures(Sequence):
    """Pairs of the bytes of a picture's file and its label, by number."""

    # Not known before they are read.
    labels = None

    def __init__(self, data_set, split, on_skip):
        self.on_skip = on_skip
        self._data_set = data_set
        self._split = split

    def __len__(self):
        return len(self._source)

    def __getitem__(self, index):
        example = self._source[index]
        return bytes(example["image"]), int(example["label"])

    def name(self, index):
        """Which picture it is."""
        return f"{TFDS}{self._data_set}:{self._split}, picture {index}"

    def __getstate__(self):
        # Another process opens the files anew.
        return {name: value for name, value in self.__dict__.items() if name != "_source"}

    @functools.cached_property
    def _source(self):
        # Opened when the first picture is asked for: a strategy must be made before any op.
        import tensorflow_datasets as tfds

        leave_gpu_to_backend()
        builder = tfds_builder(self._data_set)
        if not builder.is_prepared():
            builder = tfds_builder(self._data_set, file_format="array_record")
            builder.download_and_prepare()
        try:
            skip = {"image": tfds.decode.SkipDecoding()}
            return builder.as_data_source(split=self._split, decoders=skip)
        except NotImplementedError as error:
            raise ValueError(
                f"{self._data_set!r} was prepared in a format that is read from its beginning "
                f"only. Convert it: tfds convert_format --dataset_dir={builder.data_dir} "
                "--out_file_format=array_record"
            ) from error
