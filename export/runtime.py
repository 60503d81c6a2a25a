"""Read and run LiteRT files."""

import collections
import pathlib
import re

import numpy as np

try:
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter
except ModuleNotFoundError as error:
    raise ImportError(
        'LiteRT files need the extra "export": pip install "keras-imaging[export]"'
    ) from error

_BUILTIN_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}


class LiteRTModel:
    """A LiteRT file as a function of float arrays.

    Inputs of integer files are quantized and their outputs dequantized, so that every file is
    called alike.

    Args:
        path: a `.tflite` file.
        threads: of the interpreter.

    Raises:
        ValueError: if it is no LiteRT file; the message names it.
    """

    def __init__(self, path: str | pathlib.Path, threads: int = 1):
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(f"{path} cannot be run by LiteRT: {reason}") from error

    @property
    def inputs(self) -> dict[str, dict]:
        """Details of each input by name: shape, dtype, quantization."""
        return self._ends("inputs", self._interpreter.get_input_details())

    @property
    def outputs(self) -> dict[str, dict]:
        """Details of each output by name, in the order of the model's outputs."""
        return self._ends("outputs", self._interpreter.get_output_details())

    def _ends(self, side, details):
        # The interpreter has its own order, and its own names of the tensors.
        signatures = self._interpreter._get_full_signature_list()
        if not signatures:
            return {end["name"]: end for end in details}
        indices = next(iter(signatures.values()))[side]
        by_index = {end["index"]: end for end in details}
        return {name: by_index[indices[name]] for name in sorted(indices, key=_natural)}

    @property
    def input(self) -> dict:
        """Details of the first input."""
        return next(iter(self.inputs.values()))

    @property
    def output(self) -> dict:
        """Details of the first output."""
        return next(iter(self.outputs.values()))

    @property
    def input_shapes(self) -> dict[str, tuple]:
        """Shape of each input with its batch of 1, None where the file takes any size."""
        return {
            name: tuple(None if n < 0 else int(n) for n in details["shape_signature"])
            for name, details in self.inputs.items()
        }

    @property
    def input_shape(self) -> tuple:
        """Shape of the first input."""
        return next(iter(self.input_shapes.values()))

    def set_inputs(self, batch: dict[str, np.ndarray]) -> None:
        """Put float batches in place, resizing the inputs where the file allows it."""
        for name, details in self.inputs.items():
            if tuple(details["shape"]) != batch[name].shape:
                shape = batch[name].shape
                self._interpreter.resize_tensor_input(details["index"], shape, strict=True)
                self._interpreter.allocate_tensors()
        for name, details in self.inputs.items():
            self._interpreter.set_tensor(details["index"], _quantize(batch[name], details))

    def invoke(self) -> None:
        """Run on the inputs that were set."""
        self._interpreter.invoke()

    def run(self, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
        """All outputs for a batch of each input."""
        self.set_inputs(batch)
        self.invoke()
        return [
            _dequantize(self._interpreter.get_tensor(details["index"]), details)
            for details in self.outputs.values()
        ]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The first output for a batch of the first input: all there are in most files."""
        return self.run({next(iter(self.inputs)): x})[0]

    def partitions(self) -> tuple[int, dict[str, int]]:
        """Parts that the XNNPACK delegate took, and the operators it left out, by name.

        An operator is left out if an output depends on it other than through a delegate.
        """
        nodes = self._interpreter._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        producer = {}
        # Delegates come last and take over the tensors that the operators inside them produced.
        for node in nodes:
            producer.update({int(tensor): node for tensor in node["outputs"]})
        left_out, visited = collections.Counter(), set()
        wanted = [int(details["index"]) for details in self.outputs.values()]
        while wanted:
            node = producer.get(wanted.pop())
            if node is None or node["index"] in visited:
                continue
            visited.add(node["index"])
            wanted.extend(int(tensor) for tensor in node["inputs"])
            if node["op_name"] != "DELEGATE":
                left_out[node["op_name"]] += 1
        return len(delegates), dict(left_out)


def _natural(name):
    """Sorts output_10 after output_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _quantize(x, details):
    scale, zero_point = details["quantization"]
    if not scale:
        return x.astype(details["dtype"])
    limits = np.iinfo(details["dtype"])
    steps = np.floor(x / scale + 0.5) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(details["dtype"])


def _dequantize(y, details):
    scale, zero_point = details["quantization"]
    return (y.astype("float32") - zero_point) * np.float32(scale) if scale else y


def operators(path: str | pathlib.Path) -> list[tuple[str, str]]:
    """(operator, tensor that it writes) of every operator in a file, in order.

    Tensors bear the names of the layers that they come from.
    """
    model = schema.ModelT.InitFromPackedBuf(pathlib.Path(path).read_bytes(), 0)
    found = []
    for graph in model.subgraphs:
        for operator in graph.operators:
            name = _operator_name(model.operatorCodes[operator.opcodeIndex])
            found.append((name, graph.tensors[operator.outputs[0]].name.decode()))
    return found


def convolution_kernels(path: str | pathlib.Path) -> list[np.ndarray]:
    """Kernels of the convolutions of a file in order, `(height, width, channels, filters)`.

    As the file computes with them: those of integers times their scales. For
    `analysis.network_lipschitz_bound`, which takes a chain of kernels.

    Args:
        path: a `.tflite` file of one graph.
    """
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    graph = schema.ModelT.InitFromPackedBuf(pathlib.Path(path).read_bytes(), 0)
    kernels = []
    for operator in graph.subgraphs[0].operators:
        if _operator_name(graph.operatorCodes[operator.opcodeIndex]) != "CONV_2D":
            continue
        index = int(operator.inputs[1])
        values = interpreter.get_tensor(index).astype("float64")
        scales = details[index]["quantization_parameters"]["scales"]
        if len(scales):
            # Their zero points are 0.
            values = values * scales.astype("float64").reshape(-1, 1, 1, 1)
        kernels.append(values.transpose(1, 2, 3, 0))
    return kernels


def _operator_name(code):
    if code.customCode:
        return code.customCode.decode()
    # Old codes stand in a byte of their own, and the new field is 0 then.
    return _BUILTIN_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def check_builtin_operators(path: str | pathlib.Path) -> None:
    """Refuse a file with operators that the builtin runtime of phones does not have.

    Raises:
        ValueError: naming the operators and the tensors, and so the layers, that they compute.
    """
    builtin = set(_BUILTIN_NAMES.values()) - {"CUSTOM"}
    foreign = [f"{op} (computes {tensor})" for op, tensor in operators(path) if op not in builtin]
    if foreign:
        advice = "Replace the layers that they stand for."
        if any("FFT" in op or "Complex" in op for op, _ in operators(path)):
            advice = 'Give the Fourier layers that they stand for fft_method="matmul".'
        raise ValueError(
            "The model needs operators that are not built into LiteRT, so phones refuse it: "
            f"{', '.join(foreign)}. {advice}"
        )
