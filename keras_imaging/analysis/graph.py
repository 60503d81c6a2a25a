"""A network as a dictionary: its activations as atoms, and the linear maps between them."""

import dataclasses
import itertools
from collections.abc import Callable

import keras
import numpy as np

from keras_imaging.analysis.interpreter import Block, interpret
from keras_imaging.analysis.kernels import Reshape, Weight
from keras_imaging.analysis.linear_maps import Grid, LinearMaps
from keras_imaging.analysis.sizes import macs, parameters


@dataclasses.dataclass(frozen=True)
class FrameGraph:
    """Activations and the maps that lead to them; no numbers.

    Attributes:
        name: of the model.
        input: the input as a block without maps.
        blocks: one for each nonlinearity, in the order of the pass: its name, channels, grid, and
            maps as `pieces` of the blocks before.
        remarks: what was replaced, a sentence each.
        parameters: of the whole model.
        macs: multiplications with a weight for one input; None where a side is unknown.
        has_weights: whether there is a model that has numbers.
    """

    name: str
    input: Block
    blocks: tuple[Block, ...]
    remarks: tuple[str, ...]
    parameters: int
    macs: int | None
    has_weights: bool

    @property
    def is_chain(self) -> bool:
        """Whether every block reads the one before and no other."""
        return all(
            {piece.source for piece in block.maps.pieces} == {number - 1}
            for number, block in enumerate(self.blocks)
        )

    @property
    def consumed(self) -> set[int]:
        """Numbers of the blocks that another reads."""
        return {piece.source for block in self.blocks for piece in block.maps.pieces} - {-1}

    def block(self, number: int) -> Block:
        """A block; -1 is the input."""
        return self.input if number == -1 else self.blocks[number]

    def positions(self, number: int) -> float:
        """Units of one channel of a block: for each unit of the input's grid, or for each input
        where some block is a vector.
        """
        grid = self.block(number).grid
        return 1.0 if grid.stride is None else self._area / (grid.stride[0] * grid.stride[1])

    @property
    def _area(self):
        if all(block.grid.stride is not None for block in self.blocks):
            return 1.0
        height, width = self.input.grid.size
        return 1.0 if self.input.grid.stride is None else float(height * width)

    def __str__(self):
        lines = [f"{self.name}: {len(self.blocks)} blocks of atoms"]
        for number in range(-1, len(self.blocks)):
            block = self.block(number)
            sources = ", ".join(
                self.block(source).name
                for source in sorted({piece.source for piece in block.maps.pieces})
            )
            line = f"  {block.name}: {block.channels} channels"
            if block.grid.stride not in (None, (1, 1)):
                line += f", stride {block.grid.stride}"
            lines.append(line + (f", from {sources}" if number >= 0 else ""))
        return "\n".join(lines)


def deep_frame_graph(
    model: keras.Model | Callable[[], keras.Model] | list[int],
    pooling: str = "average",
    unknown: str = "raise",
    include_head: bool = False,
) -> FrameGraph:
    """The atoms of a network and the maps between them.

    Linear layers between two nonlinearities become one map. Biases and dropout do not matter; the
    last layer without a nonlinearity, or with softmax or sigmoid, is left out.

    Args:
        model: a functional or sequential model of dense layers, convolutions, normalizations, sums,
            concatenations, poolings and elementwise nonlinearities; nested models and layers that
            have a method `lay_open` are laid open. Or a function that builds one: it is called in a
            Keras session of its own, in which no weight is allocated. Or the widths of a chain of
            dense layers, the input's first.
        pooling: `"average"` takes max pooling for average pooling, with a remark; `"raise"`
            refuses it.
        unknown: `"raise"`, or `"identity"`: other layers that keep the shape count as identity,
            with a remark.
        include_head: count the last layer as a block.

    Raises:
        ValueError: on a model that is not one graph from one input to one output, has no
            nonlinearity, or holds a layer that is not known; the message names it.

    Example:
        >>> print(deep_frame_graph([3072, 64, 32, 64]))
        3072-64-32-64: 3 blocks of atoms
          input: 3072 channels
          layer 1: 64 channels, from input
          layer 2: 32 channels, from layer 1
          layer 3: 64 channels, from layer 2
    """
    for name, value, known in (
        ("pooling", pooling, ("average", "raise")),
        ("unknown", unknown, ("raise", "identity")),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    if isinstance(model, list | tuple):
        return chain_graph(model)
    if not isinstance(model, keras.Model) and callable(model):
        with keras.StatelessScope():
            try:
                graph = deep_frame_graph(model(), pooling, unknown, include_head)
            finally:
                # Weights are allocated at the end of a scope, unless they are forgotten.
                keras.utils.clear_session(free_memory=False)
        return dataclasses.replace(graph, has_weights=False)
    source, blocks, remarks = interpret(model, LinearMaps, pooling, unknown, include_head)
    size = parameters(model), macs(model)
    return FrameGraph(model.name, source, tuple(blocks), tuple(remarks), *size, True)


def chain_graph(widths: list[int]) -> FrameGraph:
    """The graph of a chain of dense layers that exists as widths only.

    Raises:
        ValueError: if there are fewer than two widths, or one is below 1.
    """
    whole = [isinstance(n, int | np.integer) and not isinstance(n, bool) for n in widths]
    if len(widths) < 2 or not all(whole) or min(widths) < 1:
        raise ValueError(
            "Expected the input's size and at least one width, integers of at least 1. Received: "
            f"{list(widths)}"
        )
    grid = Grid(None, (1, 1))
    source = Block("input", widths[0], grid, LinearMaps(widths[0], grid, ()))
    blocks = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        layer = DenseShape(f"layer {number + 1}")
        kernel = layer.kernel_of(inputs, outputs)
        maps = LinearMaps.source(number - 1, inputs, grid).convolved(kernel, None, (0, 0), (1, 1))
        blocks.append(Block(layer.name, outputs, grid, maps))
    products = sum(a * b for a, b in itertools.pairwise(widths))
    size = products + sum(widths[1:]), products
    return FrameGraph("-".join(map(str, widths)), source, tuple(blocks), (), *size, False)


@dataclasses.dataclass(eq=False)
class DenseShape:
    """A dense layer of which only the shape is known."""

    name: str

    def kernel_of(self, inputs: int, outputs: int):
        """Its kernel, to be drawn or optimized."""
        weight = Weight(self, "kernel", (inputs, outputs), inputs)
        return Reshape(weight, (1, 1, inputs, outputs))
