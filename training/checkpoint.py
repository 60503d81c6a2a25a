"""Read and write checkpoints, whole or not at all."""

import json
import os
import pathlib
import zipfile

import keras
import numpy as np

from keras_imaging.data.files import replacing

_KEPT = 2


def write(folder: str | os.PathLike, step: int, variables: list, state: dict) -> None:
    """Write `checkpoint-STEP.npz`; keep the last two.

    The file appears under its name only when it is complete and on the disk.

    Args:
        folder: of the run.
        step: training steps done.
        variables: of model and optimizer.
        state: JSON-able values that `read` gives back.

    Raises:
        OSError: if it cannot be written; the older checkpoints stay.
    """
    folder = pathlib.Path(folder)
    arrays = {f"{i:04d}": keras.ops.convert_to_numpy(v) for i, v in enumerate(variables)}
    with replacing(folder / f"checkpoint-{step:08d}.npz") as file:
        np.savez(file, state=np.frombuffer(json.dumps(state).encode(), "uint8"), **arrays)
    for old in _files(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


def read(folder: str | os.PathLike) -> tuple[list[np.ndarray], dict] | None:
    """Arrays and state of the newest checkpoint that is whole, or None."""
    for path in reversed(_files(folder)):
        try:
            # Every member carries a CRC, so a torn or damaged file cannot be read to its end.
            with np.load(path) as file:
                state = json.loads(bytes(file["state"]).decode())
                return [file[name] for name in sorted(set(file.files) - {"state"})], state
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
    return None


def restore(variables: list, arrays: list[np.ndarray], folder: str | os.PathLike) -> None:
    """Assign `arrays` to `variables`.

    Raises:
        ValueError: if their number or shapes differ.
    """
    shapes = [tuple(v.shape) for v in variables]
    if shapes != [a.shape for a in arrays]:
        raise ValueError(
            f"The checkpoint in {folder} is of another model or optimizer: it holds {len(arrays)} "
            f"arrays, expected {len(shapes)} of other shapes."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _files(folder):
    return sorted(pathlib.Path(folder).glob("checkpoint-*.npz"))
