"""Read and run LiteRT files."""

import collections
import pathlib

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
        path: a `.tflite` file of one input and one output.
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
    def input(self) -> dict:
        """Details of the input: name, shape, dtype, quantization."""
        return self._interpreter.get_input_details()[0]

    @property
    def output(self) -> dict:
        """Details of the output."""
        return self._interpreter.get_output_details()[0]

    @property
    def input_shape(self) -> tuple:
        """Shape of the input, with None where the file takes any size."""
        return tuple(None if n < 0 else int(n) for n in self.input["shape_signature"])

    def set_input(self, x: np.ndarray) -> None:
        """Put a float batch in place, resizing the input where the file allows it."""
        if tuple(self.input["shape"]) != x.shape:
            self._interpreter.resize_tensor_input(self.input["index"], x.shape, strict=True)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self.input["index"], _quantize(x, self.input))

    def invoke(self) -> None:
        """Run on the input that was set."""
        self._interpreter.invoke()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.set_input(x)
        self.invoke()
        return _dequantize(self._interpreter.get_tensor(self.output["index"]), self.output)

    def partitions(self) -> tuple[int, dict[str, int]]:
        """Parts that the XNNPACK delegate took, and the operators it left out, by name.

        An operator is left out if the output depends on it other than through a delegate.
        """
        nodes = self._interpreter._get_ops_details()
        delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
        producer = {}
        # Delegates come last and take over the tensors that the operators inside them produced.
        for node in nodes:
            producer.update({int(tensor): node for tensor in node["outputs"]})
        left_out, visited = collections.Counter(), set()
        wanted = [int(self.output["index"])]
        while wanted:
            node = producer.get(wanted.pop())
            if node is None or node["index"] in visited:
                continue
            visited.add(node["index"])
            wanted.extend(int(tensor) for tensor in node["inputs"])
            if node["op_name"] != "DELEGATE":
                left_out[node["op_name"]] += 1
        return len(delegates), dict(left_out)


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
        raise ValueError(
            "The model needs operators that are not built into LiteRT, so phones refuse it: "
            f"{', '.join(foreign)}. Replace the layers that they stand for."
        )
