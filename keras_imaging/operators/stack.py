"""Operators one above the other: K x = (A x, B x, ...)."""

import keras

from keras_imaging.operators.linear_operator import LinearOperator


class Stack(LinearOperator):
    """K x = [A_1 x, A_2 x, ...], K^H [y_1, y_2, ...] = A_1^H y_1 + A_2^H y_2 + ...

    Args:
        *operators: of one input shape and dtype.

    Input shape: that of the operators.
    Output shape: a list of theirs.

    Raises:
        ValueError: if there is none, or input shapes or dtypes differ.

    Example:
        >>> K = Stack(Identity((8, 8, 1)), FiniteDifference((8, 8, 1)))
        >>> [tuple(part.shape) for part in K(np.ones((2, 8, 8, 1), "float32"))]
        [(2, 8, 8, 1), (2, 8, 8, 1, 2)]
    """

    def __init__(self, *operators: LinearOperator):
        kinds = {(str(A.input_shape), A.dtype) for A in operators}
        if len(kinds) != 1:
            raise ValueError(
                f"A stack needs operators of one input shape and dtype. Received: {operators}"
            )
        first = operators[0]
        super().__init__(first.input_shape, [A.output_shape for A in operators], first.dtype)
        self.operators = operators

    def _forward(self, x):
        return [A._forward(x) for A in self.operators]

    def _adjoint(self, y):
        total, *others = (A._adjoint(part) for A, part in zip(self.operators, y, strict=True))
        for other in others:
            total = keras.tree.map_structure(lambda a, b: a + b, total, other)
        return total
