"""All quantizations of a super-resolution network side by side."""

import pathlib
import tempfile
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.export.litert import to_litert
from keras_imaging.export.source import resolve_model
from keras_imaging.export.verification import Report, verify
from keras_imaging.inference.pictures import from_unit


def compare_modes(
    model: keras.Model | str | pathlib.Path,
    pictures: Iterable[np.ndarray],
    calibration: Iterable[np.ndarray] | None = None,
    modes: tuple = (None, "float16", "dynamic", "int8", "int16x8"),
    timed_size: tuple[int, int] = (180, 320),
    threads: int = 1,
    runs: int = 10,
) -> dict[str, Report]:
    """One report for each quantization; that of None is called "float32".

    Every picture is shrunk and rounded to 8 bits, as the inputs of phones are, enlarged by each
    file and by Keras, and compared with the original (luma, for networks of one channel).

    Args:
        model: a super-resolution network, or what `models.load` takes.
        pictures: sharp ones, uint8, as `read_image` gives them.
        calibration: as in `to_litert`.
        modes: quantizations to compare.
        timed_size, threads, runs: as in `verify`.
    """
    model = resolve_model(model)
    channels = model.input_shape[-1]
    small, truth = [], []
    for picture in pictures:
        picture = luma(picture)[..., None] if channels == 1 else np.atleast_3d(picture)
        low, high = low_resolution(picture, model.scale)
        small.append(from_unit(low, "uint8"))
        truth.append(high)
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in modes:
            path = pathlib.Path(folder) / f"{mode or 'float32'}.tflite"
            to_litert(model, path, mode, (None, None, channels), calibration)
            reports[path.stem] = verify(model, path, small, truth, threads, runs, timed_size)
    return reports
