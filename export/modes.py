"""All quantizations of a network side by side.

    python -m keras_imaging.export.modes rdidn_x2 --data Set5 --calibration DIR --json modes.json

Every picture of --data is shrunk and rounded to 8 bits, as the inputs of phones are, enlarged by
each file and by Keras, and compared with the original (luma, for networks of one channel). The
pictures of --calibration are inputs as they are.
"""

import argparse
import json
import pathlib
import tempfile
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.data.degradations import low_resolution, luma
from keras_imaging.data.images import list_images, read_image
from keras_imaging.export.litert import to_litert
from keras_imaging.export.source import resolve_model
from keras_imaging.export.verification import Report, verify


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

    Args:
        model: a super-resolution network, the name of a preset, or the path of a `.keras` file.
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
        small.append(np.clip(np.floor(255 * low + 0.5), 0, 255).astype("uint8"))
        truth.append(high)
    reports = {}
    with tempfile.TemporaryDirectory() as folder:
        for mode in modes:
            path = pathlib.Path(folder) / f"{mode or 'float32'}.tflite"
            to_litert(model, path, mode, (None, None, channels), calibration)
            reports[path.stem] = verify(model, path, small, truth, threads, runs, timed_size)
    return reports


def main() -> None:
    """Print a table; with --json also write the reports."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="name of a preset, or a .keras file")
    parser.add_argument("--data", required=True, help="folder of sharp pictures")
    parser.add_argument("--calibration", help="folder of pictures; the sample picture if missing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=pathlib.Path, help="file to write")
    arguments = parser.parse_args()

    model = resolve_model(arguments.model)
    pictures = [read_image(path) for path in list_images(arguments.data)]
    calibration = None
    if arguments.calibration:
        inputs = [read_image(path) for path in list_images(arguments.calibration)]
        calibration = [luma(x) if model.input_shape[-1] == 1 else np.atleast_3d(x) for x in inputs]
    reports = compare_modes(model, pictures, calibration, threads=arguments.threads)
    print("mode       MB     PSNR     lost   to Keras     ms   CPU ms   memory MB")
    for mode, report in reports.items():
        print(
            f"{mode:8s} {report.size_bytes / 1e6:5.2f} {report.psnr_truth:8.3f} "
            f"{report.keras_psnr_truth - report.psnr_truth:8.3f} {report.psnr_keras:10.2f} "
            f"{report.latency_ms:6.0f} {report.cpu_ms:8.0f} {report.peak_memory_bytes / 1e6:11.1f}"
        )
    if arguments.json:
        rows = {mode: report.to_dict() for mode, report in reports.items()}
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
