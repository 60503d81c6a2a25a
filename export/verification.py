"""Compare a LiteRT file with its model, and measure it."""

import collections
import dataclasses
import json
import math
import pathlib
import subprocess
import sys
from collections.abc import Iterable

import keras
import numpy as np

from keras_imaging.export.runtime import LiteRTModel, operators
from keras_imaging.export.samples import as_inputs, is_enhancer
from keras_imaging.export.source import resolve_model
from keras_imaging.metrics import psnr


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found. `rich.print` shows it as a table.

    Attributes:
        path: the file.
        size_bytes: of the file.
        input, output: name of the type and, of integers, scale and zero point.
        input_shape: None where a side is free.
        operators: how many of each.
        delegate_partitions: parts that XNNPACK took; 1 is best.
        outside_delegate: operators that it left out, by name.
        images: number of inputs compared.
        max_error, rms_error: against Keras.
        psnr_keras: dB against Keras, mean over the inputs; infinite if equal.
        psnr_truth, keras_psnr_truth: dB of the file and of Keras against the truth, if given.
        threads: of the interpreter.
        latency_ms, cpu_ms: median time of a run, and of the processors in it.
        measured_shape: of the input for which latency and memory hold.
        peak_memory_bytes: what loading and running added to the process; None where unknown.
    """

    path: str
    size_bytes: int
    input: str
    output: str
    input_shape: tuple
    operators: dict[str, int]
    delegate_partitions: int
    outside_delegate: dict[str, int]
    images: int
    max_error: float
    rms_error: float
    psnr_keras: float
    psnr_truth: float | None
    keras_psnr_truth: float | None
    threads: int
    latency_ms: float
    cpu_ms: float
    measured_shape: tuple
    peak_memory_bytes: int | None

    def to_dict(self) -> dict:
        """Plain numbers and strings; the infinite PSNR of equal outputs is None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def to_json(self) -> str:
        """One JSON object."""
        return json.dumps(self.to_dict(), indent=2)

    def __rich__(self):
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_header=False)
        table.add_column(style="bold")
        table.add_column()
        for label, text in self._rows():
            table.add_row(label, escape(text))
        return table

    def _rows(self):
        yield "file", f"{self.path} ({self.size_bytes / 1e6:.2f} MB)"
        yield "input", f"{_sides(self.input_shape)}, {self.input}"
        yield "output", self.output
        yield "operators", _counts(self.operators)
        left_out = f"; left out: {_counts(self.outside_delegate)}" if self.outside_delegate else ""
        yield "XNNPACK", f"{self.delegate_partitions} partition(s){left_out}"
        yield "error", f"largest {self.max_error:.2g}, RMS {self.rms_error:.2g}"
        yield "PSNR to Keras", f"{self.psnr_keras:.2f} dB, {self.images} input(s)"
        if self.psnr_truth is not None:
            drop = self.keras_psnr_truth - self.psnr_truth
            yield (
                "PSNR to truth",
                f"{self.psnr_truth:.3f} dB; Keras {self.keras_psnr_truth:.3f} dB, {drop:+.3f} lost",
            )
        yield (
            "latency",
            f"{self.latency_ms:.1f} ms ({self.cpu_ms:.1f} ms of processor time) at "
            f"{_sides(self.measured_shape)}, {self.threads} thread(s)",
        )
        if self.peak_memory_bytes is not None:
            yield "peak memory", f"{self.peak_memory_bytes / 1e6:.1f} MB"


def verify(
    model: keras.Model | str | pathlib.Path,
    path: str | pathlib.Path,
    data: Iterable[np.ndarray],
    truth: Iterable[np.ndarray] | None = None,
    threads: int = 1,
    runs: int = 20,
    timed_size: tuple[int, int] | None = None,
) -> Report:
    """Run a LiteRT file and its model on the same inputs.

    The outputs of super-resolution networks are compared as pictures: clipped to 0..1, and against
    the truth rounded to 8 bits and without `scale` pixels at each border. Latency and memory are
    measured in a process of their own.

    Args:
        model: a Keras model, the name of a preset, or the path of a `.keras` file.
        path: the `.tflite` file.
        data: inputs `(height, width, channels)`, float, uint8 or uint16; of the file's size, if
            that is fixed.
        truth: what the outputs should be, in the same order; for super-resolution networks.
        threads: of the interpreter.
        runs: timed runs, fewer if they are slow.
        timed_size: height and width for which latency and memory hold, in a file that takes any;
            None for those of the first input.

    Raises:
        ValueError: if there is no input, one does not fit the file, or `truth` does not fit `data`.

    Example:
        >>> to_litert("rdidn_small_x2", "small.tflite")
        >>> rich.print(verify("rdidn_small_x2", "small.tflite", [picture[..., None]]))
    """
    model = resolve_model(model)
    if threads < 1 or runs < 1:
        raise ValueError(
            f"`threads` and `runs` must be at least 1. Received: threads={threads}, runs={runs}"
        )
    file = LiteRTModel(path, threads)
    inputs = as_inputs(data, file.input_shape[-1], "data")
    for x in inputs:
        _check_size(x, file.input_shape, path)
    pictures = is_enhancer(model)
    pairs = [
        (_output(file(x[None]), pictures), _output(model(x[None], training=False), pictures))
        for x in inputs
    ]
    errors = [own.astype("float64") - keras_own for own, keras_own in pairs]
    peak = 1.0 if pictures else max(np.ptp(keras_own) for _, keras_own in pairs)
    scores = _against_truth(pairs, truth, model) if truth is not None else (None, None)
    partitions, left_out = file.partitions()
    timed_shape = (*(timed_size or inputs[0].shape[:2]), inputs[0].shape[-1])
    return Report(
        path=str(path),
        size_bytes=pathlib.Path(path).stat().st_size,
        input=_describe(file.input),
        output=_describe(file.output),
        input_shape=file.input_shape,
        operators=dict(collections.Counter(name for name, _ in operators(path)).most_common()),
        delegate_partitions=partitions,
        outside_delegate=left_out,
        images=len(inputs),
        max_error=float(max(np.abs(error).max() for error in errors)),
        rms_error=float(np.sqrt(np.mean([np.mean(np.square(error)) for error in errors]))),
        psnr_keras=float(np.mean([psnr(*pair, max_val=peak) for pair in pairs])),
        psnr_truth=scores[0],
        keras_psnr_truth=scores[1],
        threads=threads,
        measured_shape=(1, *timed_shape),
        **_measure(path, threads, runs, timed_shape),
    )


def _check_size(x, shape, path):
    if any(side not in (None, own) for side, own in zip(shape[1:], x.shape, strict=True)):
        raise ValueError(
            f"{path} takes inputs of shape {shape[1:]}. Received `data` of shape {x.shape}."
        )


def _output(y, pictures):
    y = np.asarray(y)[0]
    return np.clip(y, 0, 1) if pictures else y


def _against_truth(pairs, truth, model):
    truth = as_inputs(truth, pairs[0][0].shape[-1], "truth")
    if not is_enhancer(model) or [t.shape for t in truth] != [own.shape for own, _ in pairs]:
        raise ValueError(
            "Expected `truth` of the shapes of the outputs, "
            f"{[own.shape for own, _ in pairs]}, of a super-resolution network. Received: "
            f"{[t.shape for t in truth]}"
        )
    rows = [
        [psnr(_bytes(y), _bytes(t), border=model.scale) for y in pair]
        for pair, t in zip(pairs, truth, strict=True)
    ]
    return tuple(float(mean) for mean in np.mean(rows, axis=0))


def _bytes(x):
    # Floating-point sums of what was an integer come out just below it.
    return np.floor(np.clip(x, 0, 1).astype("float64") * 255 + 0.5 + 1e-4)


def _measure(path, threads, runs, shape):
    command = [sys.executable, "-m", "keras_imaging.export.measure", str(path)]
    arguments = [str(number) for number in (threads, runs, *shape[:2])]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{path} cannot be timed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def _describe(details):
    name = np.dtype(details["dtype"]).name
    scale, zero_point = details["quantization"]
    if not scale:
        return name
    steps = f"1/{1 / scale:.0f}" if abs(scale * 255 - 1) < 1e-6 else f"{scale:.4g}"
    return f"{name}, scale {steps}, zero point {zero_point}"


def _sides(shape):
    return " x ".join("any" if side is None else str(side) for side in shape)


def _counts(counts):
    return ", ".join(f"{count} {name}" for name, count in counts.items())
