"""Operators too coarse for int8."""

import pathlib
import re

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_imaging.export.inputs import Batch, Shapes
from keras_imaging.export.samples import fit_batch
from keras_imaging.silence import Silence

# Decibels of signal over rounding that every tensor must keep, so that after several of them 30 are
# left.
_LEAST_SNR = 36.0

# An interpreter that keeps all tensors warns that this is for debugging only.
KEEPS_ALL_TENSORS = Silence(module=r"ai_edge_litert\.")


# Of the values of a tensor that is cut, this part lies below its range, and as much above.
_TAIL = 1e-4


def clipped_ranges(
    float_file: pathlib.Path, shapes: Shapes, samples: list[Batch], pattern: str
) -> dict[str, tuple[float, float]]:
    """Ranges without their tails, by name, of what operators compute whose names fit.

    Args:
        float_file: a float32 file.
        shapes: of its inputs, without batch.
        samples: float32 batches of one.
        pattern: regular expression of names.
    """
    values = {}
    for runner, names, _ in _runs(float_file, shapes, samples):
        for index, name in names.items():
            if re.search(pattern, name):
                values.setdefault(name, []).append(runner.get_tensor(index).ravel())
    tails = [100 * _TAIL, 100 * (1 - _TAIL)]
    return {
        name: tuple(np.percentile(np.concatenate(parts), tails).tolist())
        for name, parts in values.items()
    }


def coarse_operators(float_file: pathlib.Path, shapes: Shapes, samples: list[Batch]) -> list[str]:
    """Names of what those operators compute that would lose too much in 8 bits.

    255 steps cover the range of a tensor, and rounding adds a twelfth of a squared step to its mean
    square. A peak far above all other values makes the steps wide. Where what an operator reads or
    computes then keeps less than 36 dB, it is named.

    Args:
        float_file: a float32 file.
        shapes: of its inputs, without batch.
        samples: float32 batches of one.
    """
    ranges, powers = {}, {}
    for run in _runs(float_file, shapes, samples):
        runner, names, operators = run
        for index in names:
            values = runner.get_tensor(index)
            if values.size and values.dtype == np.float32:
                low, high = ranges.setdefault(index, np.zeros(2))
                ranges[index] = np.array([min(low, values.min()), max(high, values.max())])
                powers.setdefault(index, []).append(np.mean(np.square(values, dtype="float64")))

    def coarse(index):
        if not powers.get(index):
            return False
        step = np.ptp(ranges[index]) / 255
        return np.mean(powers[index]) < 10 ** (_LEAST_SNR / 10) * step**2 / 12

    return [
        names[op["outputs"][0]]
        for op in operators
        if any(coarse(index) for index in [*op["inputs"], *op["outputs"]])
    ]


def _runs(float_file, shapes, samples):
    """The interpreter after each sample, the names of what operators compute, and the operators."""
    with KEEPS_ALL_TENSORS:
        runner = Interpreter(str(float_file), experimental_preserve_all_tensors=True)
    runner.allocate_tensors()
    run = runner.get_signature_runner(next(iter(runner.get_signature_list())))
    operators = runner._get_ops_details()
    names = {tensor["index"]: tensor["name"] for tensor in runner.get_tensor_details()}
    computed = {index: names[index] for op in operators for index in op["outputs"]}
    for sample in samples:
        run(**{name: fit_batch(sample[name], shape) for name, shape in shapes.items()})
        yield runner, computed, operators
