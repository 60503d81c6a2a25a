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

from keras_imaging.export.inputs import as_batches, call, input_shapes, is_image
from keras_imaging.export.runtime import LiteRTModel, operators
from keras_imaging.export.samples import enlarges
from keras_imaging.export.source import resolve_model
from keras_imaging.metrics import psnr


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` found. `rich.print` shows it as a table.

    Attributes:
        path: the file.
        size_bytes: of the file.
        input, output: name of the type and, of integers, scale and zero point; of several inputs
            or outputs, by name.
        input_shape: with the batch, None where a side is free; of several inputs, by name.
        operators: how many of each.
        delegate_partitions: parts that XNNPACK took; 1 is best.
        outside_delegate: operators that it left out, by name.
        images: number of inputs compared.
        max_error, rms_error: against Keras, over all outputs.
        psnr_keras: dB against Keras, mean over inputs and outputs; infinite if equal. The peak is 1
            for pictures of super-resolution networks, else the range of Keras' output.
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
    input_shape: tuple | dict
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
    measured_shape: tuple | dict
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
    data: Iterable,
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
        data: inputs of the file's shape, images float, uint8 or uint16; dictionaries of them by
            name for several inputs.
        truth: what the outputs should be, in the same order; for super-resolution networks.
        threads: of the interpreter.
        runs: timed runs, fewer if they are slow.
        timed_size: height and width of the images for which latency and memory hold, in a file
            that takes any; None for those of the first input.

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
    batches = as_batches(data, input_shapes(model), "data")
    for batch in batches:
        _check_shapes(batch, file.input_shapes, path)
    pictures = enlarges(model)
    # One row for each input, one column for each output.
    results = [[_output(y, pictures) for y in file.run(batch)] for batch in batches]
    expected = [[_output(y, pictures) for y in call(model, batch)] for batch in batches]
    pairs = [
        pair
        for own, keras_own in zip(results, expected, strict=True)
        for pair in zip(own, keras_own, strict=True)
    ]
    errors = np.concatenate(
        [(own.astype("float64") - keras_own).ravel() for own, keras_own in pairs]
    )
    peaks = [1.0] * len(expected[0])
    if not pictures:
        peaks = [max(np.ptp(y) for y in column) for column in zip(*expected, strict=True)]
    scores = _against_truth(pairs, truth, model) if truth is not None else (None, None)
    partitions, left_out = file.partitions()
    timed_shapes = {name: list(x.shape) for name, x in batches[0].items()}
    if timed_size is not None:
        for shape in timed_shapes.values():
            shape[1:-1] = timed_size if is_image(shape[1:]) else shape[1:-1]
    return Report(
        path=str(path),
        size_bytes=pathlib.Path(path).stat().st_size,
        input=_describe(file.inputs),
        output=_describe(file.outputs),
        input_shape=_only(file.input_shapes),
        operators=dict(collections.Counter(name for name, _ in operators(path)).most_common()),
        delegate_partitions=partitions,
        outside_delegate=left_out,
        images=len(batches),
        max_error=float(np.abs(errors).max()),
        rms_error=float(np.sqrt(np.mean(np.square(errors)))),
        psnr_keras=float(
            np.mean(
                [
                    _psnr(*pair, peak)
                    for own, keras_own in zip(results, expected, strict=True)
                    for *pair, peak in zip(own, keras_own, peaks, strict=True)
                ]
            )
        ),
        psnr_truth=scores[0],
        keras_psnr_truth=scores[1],
        threads=threads,
        measured_shape=_only({name: tuple(shape) for name, shape in timed_shapes.items()}),
        **_measure(path, threads, runs, timed_shapes),
    )


def _check_shapes(batch, shapes, path):
    for name, x in batch.items():
        shape = shapes.get(name)
        if shape is None:
            raise ValueError(f"{path} has the inputs {list(shapes)}. Received: {list(batch)}")
        if any(side not in (None, own) for side, own in zip(shape, x.shape, strict=True)):
            raise ValueError(
                f"{path} takes inputs of shape {shape[1:]}. Received `data` of shape {x.shape[1:]}."
            )


def _only(by_name):
    """The value of the only name, or all."""
    return next(iter(by_name.values())) if len(by_name) == 1 else by_name


def _psnr(own, keras_own, peak):
    # Metrics are of images; other outputs are images of one row.
    images = [y if y.ndim == 3 else y.reshape(1, -1, 1) for y in (own, keras_own)]
    return psnr(*images, max_val=peak)


def _output(y, pictures):
    y = np.asarray(y)[0]
    return np.clip(y, 0, 1) if pictures else y


def _against_truth(pairs, truth, model):
    shape = pairs[0][0].shape
    truth = [batch["truth"][0] for batch in as_batches(truth, {"truth": shape}, "truth")]
    if not enlarges(model) or [t.shape for t in truth] != [own.shape for own, _ in pairs]:
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


def _measure(path, threads, runs, shapes):
    command = [sys.executable, "-m", "keras_imaging.export.measure", str(path)]
    arguments = [str(threads), str(runs), json.dumps(shapes)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{path} cannot be timed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


def _describe(ends):
    if len(ends) == 1:
        return _describe_type(*ends.values())
    return "; ".join(f"{name} {_describe_type(details)}" for name, details in ends.items())


def _describe_type(details):
    name = np.dtype(details["dtype"]).name
    scale, zero_point = details["quantization"]
    if not scale:
        return name
    steps = f"1/{1 / scale:.0f}" if abs(scale * 255 - 1) < 1e-6 else f"{scale:.4g}"
    return f"{name}, scale {steps}, zero point {zero_point}"


def _sides(shape):
    if isinstance(shape, dict):
        return "; ".join(f"{name} {_sides(own)}" for name, own in shape.items())
    return " x ".join("any" if side is None else str(side) for side in shape)


def _counts(counts):
    return ", ".join(f"{count} {name}" for name, count in counts.items())
