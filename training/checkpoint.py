"""Read and write checkpoints, whole or not at all."""

import json
import os
import pathlib
import re
import sys
import zlib
from collections.abc import Iterable

import keras
import numpy as np

import keras_imaging
from keras_imaging.data.arrays import load_npz
from keras_imaging.data.files import replacing

_KEPT = 2

# Arrays by number, and since then by the path of their variable.
_FORMATS = (1, 2)
_NUMBERED = re.compile(r"\d{4}")
_NUMBER = re.compile(r"_\d+(?=_|$)")
_STATE = "state"
_NAMED = 5


def write(
    folder: str | os.PathLike,
    step: int,
    variables: list,
    state: dict,
    further: dict[str, np.ndarray] | None = None,
) -> None:
    """Write `checkpoint-STEP.npz`; keep the last two.

    The file appears under its name only when it is complete and on the disk. It says by which
    versions it was written, and of each array the type, the shape and a checksum.

    Args:
        folder: of the run.
        step: training steps done.
        variables: of model and optimizer.
        state: JSON-able values that `read` gives back.
        further: arrays to store beside, by name.

    Raises:
        OSError: if it cannot be written; the older checkpoints stay.
    """
    folder = pathlib.Path(folder)
    values = map(keras.ops.convert_to_numpy, variables)
    arrays = {**dict(zip(variable_names(variables), values, strict=True)), **(further or {})}
    backend = keras.backend.backend()
    written = {
        **state,
        "format": _FORMATS[-1],
        "versions": {
            "keras_imaging": keras_imaging.__version__,
            "keras": keras.__version__,
            backend: sys.modules[backend].__version__,
        },
        "arrays": {name: _described(array) for name, array in arrays.items()},
    }
    with replacing(folder / f"checkpoint-{step:08d}.npz") as file:
        np.savez(file, **{_STATE: np.frombuffer(json.dumps(written).encode(), "uint8")}, **arrays)
    for old in _files(folder)[:-_KEPT]:
        old.unlink(missing_ok=True)


def read(folder: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict] | None:
    """Arrays by name and state of the newest checkpoint that is whole, or None.

    Arrays of checkpoints from before they had names are called by their numbers.
    """
    for path in reversed(_files(folder)):
        try:
            # Every member carries a CRC, so a torn or damaged file cannot be read to its end.
            arrays = load_npz(path)
            state = json.loads(bytes(arrays.pop(_STATE)).decode())
        except (ValueError, KeyError, RecursionError):
            continue
        if isinstance(state, dict):
            return arrays, state
    return None


def restore(
    variables: list, arrays: dict[str, np.ndarray], state: dict, folder: str | os.PathLike
) -> None:
    """Assign the arrays of a checkpoint to variables, all or none.

    Raises:
        ValueError: if they are of another model or optimizer: some are missing, unknown, of another
            type or shape, exchanged, or not finite.
    """
    numbered = all(map(_NUMBERED.fullmatch, arrays))
    names, missing, unknown = sorted(arrays), [], []
    if not numbered:
        names, missing, unknown = _names_in(arrays, variables)
    if missing or unknown or len(names) != len(variables):
        what = [f"it lacks {_few(missing)}"] if missing else []
        what += [f"it has the unknown {_few(unknown)}"] if unknown else []
        what = what or [f"it holds {len(arrays)} arrays, expected {len(variables)}"]
        raise _foreign(folder, " and ".join(what))
    for variable, name in zip(variables, names, strict=True):
        array = arrays[name]
        expected = (keras.backend.standardize_dtype(variable.dtype), tuple(variable.shape))
        if (array.dtype.name, array.shape) != expected:
            raise _foreign(
                folder,
                f"{name} is {array.dtype.name} {array.shape}, expected {expected[0]} {expected[1]}",
            )
        if not numbered and _described(array) != state.get("arrays", {}).get(name):
            raise _foreign(folder, f"the values of {name} are not those that were written")
        if not np.isfinite(array).all():
            raise ValueError(f"The checkpoint in {folder} is damaged: {name} is not finite.")
    for variable, name in zip(variables, names, strict=True):
        variable.assign(arrays[name])


def _names_in(arrays, variables):
    """How a checkpoint calls the arrays of variables; which it lacks, and which are unknown."""
    names = variable_names(variables)
    if set(names) == set(arrays):
        return names, [], []
    ours = dict(zip(_in_order_of_appearance(names), names, strict=True))
    theirs = dict(zip(_in_order_of_appearance(arrays), arrays, strict=True))
    missing = [name for plain, name in ours.items() if plain not in theirs]
    unknown = [name for plain, name in theirs.items() if plain not in ours]
    return [theirs.get(plain, "") for plain in ours], missing, unknown


def check_state(state: dict, folder: str | os.PathLike, fields: Iterable[str]) -> None:
    """Refuse the state of a checkpoint that is not what this version writes.

    Args:
        state: from `read`.
        folder: of the run.
        fields: that must be there; what came with later formats may be missing in earlier ones.

    Raises:
        ValueError: if fields are missing, or it is of a later format.
    """
    if state.get("format", 1) not in _FORMATS:
        version = dict(state.get("versions", {})).get("keras_imaging", "another version")
        raise ValueError(
            f"The checkpoint in {folder} was written by keras_imaging {version} in a format that "
            f"{keras_imaging.__version__} does not know."
        )
    missing = set(fields) - set(state)
    if missing:
        raise ValueError(f"The checkpoint in {folder} is damaged: it lacks {_few(missing)}.")


def variable_names(variables: list) -> list[str]:
    """The paths of variables; equal ones get a number too."""
    counts, names = {}, []
    for path in (variable.path for variable in variables):
        counts[path] = counts.get(path, 0) + 1
        names.append(path if counts[path] == 1 else f"{path}#{counts[path]}")
    return names


def _in_order_of_appearance(names):
    """Names whose numbers say how many like them came before.

    Keras numbers the names that it makes up through a process: `dense_7` is `dense` elsewhere, and
    the optimizer's variables are called after them.
    """
    seen, plain = {}, []
    for name in names:
        parts = []
        for part in name.split("/"):
            stem = _NUMBER.sub("", part)
            numbers = seen.setdefault(stem, {})
            parts.append(f"{stem}_{numbers.setdefault(part, len(numbers))}")
        plain.append("/".join(parts))
    return plain


def has_checkpoint(folder: str | os.PathLike) -> bool:
    """Whether there is one, whole or not."""
    return bool(_files(folder))


def _described(array):
    return [array.dtype.name, list(array.shape), zlib.crc32(np.ascontiguousarray(array))]


def _foreign(folder, what):
    return ValueError(f"The checkpoint in {folder} is of another model or optimizer: {what}.")


def _few(names):
    names = sorted(map(str, names))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _files(folder):
    return sorted(pathlib.Path(folder).glob("checkpoint-*.npz"))
