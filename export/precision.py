"""Operators too coarse for int8."""

import pathlib

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
    with KEEPS_ALL_TENSORS:
        runner = Interpreter(str(float_file), experimental_preserve_all_tensors=True)
    runner.allocate_tensors()
    signature = next(iter(runner.get_signature_list()))
    run = runner.get_signature_runner(signature)
    operators = runner._get_ops_details()
    names = {tensor["index"]: tensor["name"] for tensor in runner.get_tensor_details()}
    computed = {index for op in operators for index in op["outputs"]}
    ranges = {index: np.zeros(2) for index in computed}
    powers = {index: [] for index in computed}
    for sample in samples:
        run(**{name: fit_batch(sample[name], shape) for name, shape in shapes.items()})
        for index in computed:
            values = runner.get_tensor(index)
            if values.size and values.dtype == np.float32:
                low, high = ranges[index]
                ranges[index] = np.array([min(low, values.min()), max(high, values.max())])
                powers[index].append(np.mean(np.square(values, dtype="float64")))

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
