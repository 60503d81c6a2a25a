"""Logs of a run: a CSV table and TensorBoard events."""

import csv
import io
import pathlib

import keras

from keras_imaging.data.files import replacing


def write_csv(path: pathlib.Path, records: list[dict]) -> None:
    """Write `records` whole, so that a run that was resumed has no line twice."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    with replacing(path) as file:
        text = io.TextIOWrapper(file, newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(records)
        text.detach()


class TensorBoardLog:
    """Scalars by training step; nothing where the backend is not TensorFlow."""

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._writer = None

    def write(self, record: dict) -> None:
        """Write the figures of one record.

        Raises:
            OSError: if they cannot be written.
        """
        if keras.backend.backend() != "tensorflow":
            return
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        try:
            with self._writer.as_default(record["step"]):
                for name, value in record.items():
                    if name != "step":
                        tf.summary.scalar(name, value)
            self._writer.flush()
        except tf.errors.OpError as error:  # TensorFlow's, when the disk is full
            reason = error.message.strip().splitlines()[0]
            raise OSError(f"Cannot write to {self._folder}: {reason}") from error
