"""What every operator must satisfy: <A x, y> = <x, A^H y>, its norm, its shapes, compiled forms."""

import keras
import numpy as np
import pytest
from harness import BACKEND, to_numpy

from keras_imaging.operators import (
    Blur,
    Convolution,
    ConvolutionalSynthesis,
    FiniteDifference,
    Identity,
    MaskedFourier,
    Matrix,
    Sampling,
    Stack,
    gaussian_kernel,
    power_iteration,
)

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(4, 6)).astype("float32")
COMPLEX = (REAL + 1j * RNG.normal(size=(4, 6))).astype("complex64")
KERNEL = RNG.normal(size=(3, 4))


def mask(*shape):
    return (np.random.default_rng(1).random(shape) < 0.5).astype("float32")


OPERATORS = {
    "matrix": lambda: Matrix(REAL),
    "matrix_complex": lambda: Matrix(COMPLEX),
    "fourier_even": lambda: MaskedFourier(mask(4, 6)),
    "fourier_odd": lambda: MaskedFourier(mask(1, 5), (3, 5)),
    "fourier_pairs": lambda: MaskedFourier(mask(4, 5), dtype="float32"),
    "circular_even": lambda: Convolution(KERNEL, (4, 6, 2)),
    "circular_odd": lambda: Convolution(KERNEL, (5, 7, 1)),
    "circular_large": lambda: Convolution(RNG.normal(size=(7, 8)), (8, 9, 1)),
    "zero_even": lambda: Convolution(KERNEL, (4, 6, 1), "zero"),
    "zero_odd": lambda: Convolution(KERNEL, (5, 3, 2), "zero"),
    "blur": lambda: Blur(gaussian_kernel(0.5, 1), (5, 4, 1)),
    "sampling": lambda: Sampling(mask(4, 5, 1), (4, 5, 3)),
    "sampling_complex": lambda: Sampling(mask(4, 5), dtype="complex64"),
    "identity": lambda: Identity((3, 2), "complex64"),
    "difference_even": lambda: FiniteDifference((4, 6, 2)),
    "difference_odd": lambda: FiniteDifference((5, 3, 1), "complex64"),
    "synthesis_even": lambda: ConvolutionalSynthesis(RNG.normal(size=(2, 2, 3)), (4, 5)),
    "synthesis_odd": lambda: ConvolutionalSynthesis(RNG.normal(size=(3, 3, 2)), (5, 4)),
    "adjoint": lambda: Matrix(COMPLEX).H,
    "composed": lambda: Matrix(COMPLEX) @ Matrix(COMPLEX).H,
    "composed_images": lambda: Sampling(mask(5, 4, 1)) @ Convolution(KERNEL, (5, 4, 1)),
    "scaled": lambda: -2.5 * Matrix(REAL),
    "scaled_complex": lambda: (0.5 - 2j) * MaskedFourier(mask(4, 3)),
}


def draw(operator, shape, seed, batch=2):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(batch, *shape))
    if operator.is_complex:
        values = values + 1j * rng.normal(size=values.shape)
    return values.astype(operator.dtype)


def dense(operator):
    """The operator as a matrix, column after column."""
    size = int(np.prod(operator.input_shape))
    basis = np.eye(size, dtype=operator.dtype).reshape(size, *operator.input_shape)
    return to_numpy(operator(basis)).reshape(size, -1).T


@pytest.mark.parametrize("name", OPERATORS)
def test_operator(name):
    operator = OPERATORS[name]()
    x, y = draw(operator, operator.input_shape, 1), draw(operator, operator.output_shape, 2)
    forward, adjoint = to_numpy(operator(x)), to_numpy(operator.adjoint(y))
    assert forward.shape[1:] == operator.output_shape
    assert adjoint.shape[1:] == operator.input_shape
    assert keras.backend.standardize_dtype(forward.dtype) == operator.dtype

    # Each sample of the batch apart.
    for i in range(2):
        left, right = np.vdot(y[i], forward[i]), np.vdot(adjoint[i], x[i])
        np.testing.assert_allclose(left, right, rtol=0, atol=2e-5 * np.abs(forward).sum())
    matrix = dense(operator)
    np.testing.assert_allclose(
        forward.reshape(2, -1), x.reshape(2, -1) @ matrix.T, rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(
        adjoint.reshape(2, -1), y.reshape(2, -1) @ matrix.conj(), rtol=0, atol=1e-4
    )
    assert operator.norm() == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-4)
    # Never nearer than the truth: what a certificate rests on.
    gains = np.linalg.svd(matrix, compute_uv=False)
    least, largest = operator.gain_bounds()
    assert least <= (gains[-1] if len(matrix) >= matrix.shape[1] else 0) + 1e-5
    assert largest >= gains[0] * (1 - 1e-5)
    # The adjoint as an operator is the same matrix, turned.
    turned = operator.H
    assert (turned.input_shape, turned.output_shape) == (
        operator.output_shape,
        operator.input_shape,
    )
    np.testing.assert_array_equal(to_numpy(turned(y)), adjoint)
    np.testing.assert_array_equal(to_numpy(turned.adjoint(x)), forward)
    assert turned.norm() == operator.norm()


def compiled(function):
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


@pytest.mark.parametrize(
    "name", ["matrix_complex", "fourier_odd", "circular_even", "zero_odd", "difference_even"]
)
def test_compiled_equals_eager(name):
    operator = OPERATORS[name]()
    x = keras.ops.convert_to_tensor(draw(operator, operator.input_shape, 1))
    normal = compiled(lambda x: operator.adjoint(operator(x)))
    expected = to_numpy(operator.adjoint(operator(x)))
    np.testing.assert_allclose(to_numpy(normal(x)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("boundary", ["circular", "zero"])
def test_convolution_is_that_of_mathematics(boundary):
    """Against sums over all pixels: y[p] = sum over q of k[q] x[p - q], centre at size // 2."""
    operator = Convolution(KERNEL, (5, 6, 1), boundary)
    x = draw(operator, (5, 6, 1), 1, batch=1)
    expected = np.zeros((5, 6))
    for (i, j), _ in np.ndenumerate(expected):
        for (a, b), weight in np.ndenumerate(KERNEL):
            row, column = i - (a - 1), j - (b - 2)
            if boundary == "circular":
                expected[i, j] += weight * x[0, row % 5, column % 6, 0]
            elif 0 <= row < 5 and 0 <= column < 6:
                expected[i, j] += weight * x[0, row, column, 0]
    np.testing.assert_allclose(to_numpy(operator(x))[0, ..., 0], expected, atol=1e-5)


def test_fourier_puts_the_mean_in_the_centre():
    for size in ((4, 6), (5, 3)):
        spectrum = to_numpy(MaskedFourier(np.ones(size))(np.ones((1, *size), "complex64")))
        centre = np.zeros(size)
        centre[size[0] // 2, size[1] // 2] = np.sqrt(np.prod(size))
        np.testing.assert_allclose(spectrum[0], centre, atol=1e-5)


def test_fourier_on_pairs_is_that_of_complex_tensors():
    sampled = mask(4, 5)
    complex_operator, pairs = MaskedFourier(sampled), MaskedFourier(sampled, dtype="float32")
    x = draw(complex_operator, (4, 5), 1)
    expected = to_numpy(complex_operator(x))
    result = to_numpy(pairs(np.stack([x.real, x.imag], -1)))
    np.testing.assert_allclose(result[..., 0] + 1j * result[..., 1], expected, atol=1e-5)


def test_blur_keeps_the_mean_and_shapes_may_be_open():
    blur = Blur(np.ones((3, 3)), (None, None, 1))
    image = draw(blur, (7, 4, 1), 1)
    np.testing.assert_allclose(to_numpy(blur(image)).mean(), image.mean(), atol=1e-6)
    with pytest.raises(ValueError, match="known input shape"):
        blur.norm()


def test_power_iteration():
    operator = Matrix(np.diag([3.0, -5.0, 1.0]).astype("float32"))
    assert power_iteration(operator) == pytest.approx(5, rel=1e-5)
    assert power_iteration(Matrix(np.zeros((2, 3), "float32"))) == 0
    assert Sampling(np.zeros((2, 2, 1))).norm() == 0


def test_bad_arguments():
    for make, message in (
        (lambda: Matrix(np.ones(3)), r"two axes.*\(3,\)"),
        (lambda: Matrix(np.array([[np.nan, 1.0]])), "1 values that are NaN"),
        (lambda: MaskedFourier(np.full((2, 2), 0.5)), "0 and 1"),
        (lambda: MaskedFourier(np.ones(4)), r"\(batch, height, width\).*\(4,\)"),
        (lambda: MaskedFourier(np.ones((2, 2)), fft_method="dct"), "'dct'"),
        (lambda: MaskedFourier(np.ones((1, 4)), (3, 5)), "does not fit"),
        (lambda: Convolution(np.ones((3, 3)), (2, 5, 1)), "larger than the repeating image"),
        (lambda: Convolution(np.ones((3, 3)), (5, 5, 1), "reflect"), "'reflect'"),
        (lambda: Convolution(np.ones(3), (5, 5, 1)), "two axes"),
        (lambda: Blur(-np.ones((3, 3)), (5, 5, 1)), "must not be negative"),
        (lambda: Blur(np.zeros((3, 3)), (5, 5, 1)), "not zero"),
        (lambda: gaussian_kernel(0.0), "sigma=0.0"),
        (lambda: Sampling(np.full((2, 2), 2)), "0 and 1"),
        (lambda: Sampling(np.ones((2, 2)), (3, 2)), "does not fit"),
        (lambda: ConvolutionalSynthesis(np.ones((2, 3, 1))), r"\(size, size, M\)"),
        (lambda: Matrix(REAL) @ Matrix(REAL), "A @ B"),
        (lambda: Matrix(REAL) @ Matrix(COMPLEX).H, "A @ B"),
        (lambda: 1j * Matrix(REAL), "real operator must be real"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_bad_inputs():
    operator = Matrix(REAL)
    with pytest.raises(ValueError, match=r"`x` must be of shape \(batch, 6\).*\(2, 5\)"):
        operator(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"`y` must be of shape \(batch, 4\)"):
        operator.adjoint(np.ones((2, 6)))
    with pytest.raises(ValueError, match=r"`x` must be real.*complex64"):
        operator(np.ones((2, 6), "complex64"))


def small_stack(dtype="float32"):
    return Stack(Convolution(KERNEL, (4, 6, 1), dtype=dtype), FiniteDifference((4, 6, 1), dtype))


def test_sums_differences_and_the_normal_operator():
    A, B = Matrix(COMPLEX), Matrix(REAL.astype("complex64"))
    x = draw(A, A.input_shape, 1)
    for operator, matrix in (
        (A + B, COMPLEX + REAL),
        (A - B, COMPLEX - REAL),
        (-A, -COMPLEX),
        (A.normal, COMPLEX.conj().T @ COMPLEX),
        (A.normal + 0.5 * Identity((6,), "complex64"), COMPLEX.conj().T @ COMPLEX + np.eye(6) / 2),
    ):
        np.testing.assert_allclose(to_numpy(operator(x)), x @ matrix.T, atol=1e-4)
        y = draw(operator, operator.output_shape, 2)
        np.testing.assert_allclose(to_numpy(operator.adjoint(y)), y @ matrix.conj(), atol=1e-4)
        assert operator.norm() == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-3)


def test_stack():
    stack = small_stack()
    x = draw(stack, stack.input_shape, 1)
    y = [draw(stack, shape, 2 + i) for i, shape in enumerate(stack.output_shape)]
    image = [to_numpy(part) for part in stack(x)]
    assert [part.shape[1:] for part in image] == stack.output_shape
    np.testing.assert_allclose(image[1], to_numpy(stack.operators[1](x)), atol=1e-6)
    for adjoint in (stack.adjoint(y), stack.H(y), (stack @ Identity((4, 6, 1))).adjoint(y)):
        left = sum(np.vdot(a, b) for a, b in zip(y, image, strict=True))
        assert left == pytest.approx(np.vdot(to_numpy(adjoint), x), rel=1e-4)
    matrix = np.vstack([dense(part) for part in stack.operators])
    norm = np.linalg.norm(matrix, 2)
    assert stack.norm() == pytest.approx(norm, rel=1e-4)
    assert (0.5 * stack).norm() == pytest.approx(norm / 2, rel=1e-4)
    assert power_iteration(stack.H) == pytest.approx(norm, rel=1e-4)
    normal = to_numpy(stack.normal(x)).reshape(2, -1)
    np.testing.assert_allclose(normal, x.reshape(2, -1) @ matrix.T @ matrix, atol=1e-3)
    with pytest.raises(ValueError, match="`y` must be a list of 2 tensors"):
        stack.adjoint(x)
    with pytest.raises(ValueError, match=r"`y\[1\]` must be of shape"):
        stack.adjoint([y[0], y[0]])
    with pytest.raises(ValueError, match="one input shape and dtype"):
        Stack(Identity((3,)), Identity((4,)))
    with pytest.raises(ValueError, match="A \\+ B needs operators of equal shapes"):
        Identity((3,)) + Identity((4,))
    with pytest.raises(ValueError, match="operator of one tensor"):
        stack.H.resolvent(y, 1.0)


RESOLVENTS = {
    "identity": lambda: Identity((3, 2)),
    "sampling": lambda: Sampling(mask(4, 5), dtype="complex64"),
    "fourier": lambda: MaskedFourier(mask(4, 5)),
    "circular_even": lambda: Convolution(KERNEL, (4, 6, 2)),
    "circular_odd": lambda: Convolution(KERNEL, (5, 7, 1)),
    "scaled": lambda: (0.5 - 2j) * MaskedFourier(mask(4, 3)),
    "by_conjugate_gradients": lambda: Matrix(COMPLEX),
    "of_a_stack": small_stack,
}


@pytest.mark.parametrize("name", RESOLVENTS)
def test_resolvent(name):
    """x + t A^H A x = b, of data of every size and a t for each sample."""
    operator = RESOLVENTS[name]()
    b = draw(operator, operator.input_shape, 1) * np.float32(1e-15)
    t = np.array([0.7, 3.0], "float32").reshape((2,) + (1,) * (b.ndim - 1))
    x = operator.resolvent(b, t)
    applied = to_numpy(x) + t * to_numpy(operator.normal(x))
    np.testing.assert_allclose(applied, b, rtol=0, atol=2e-5 * np.abs(b).max())
    assert np.linalg.norm(to_numpy(x)[1]) < np.linalg.norm(b[1])
    zero = operator.resolvent(0 * b, 2.0)
    assert not to_numpy(zero).any()
    with pytest.raises(ValueError, match="t=-1"):
        operator.resolvent(b, -1)


@pytest.mark.parametrize("dtype", ["complex64", "float32"])
@pytest.mark.parametrize("kind", ["array", "tensor", "variable"])
def test_fourier_masks_one_a_sample_with_coils(kind, dtype):
    masks = mask(2, 1, 5)
    masks[1] = 1 - masks[0]
    made = {
        "array": lambda: masks,
        "tensor": lambda: keras.ops.convert_to_tensor(masks),
        "variable": lambda: keras.Variable(masks),
    }[kind]()
    operator = MaskedFourier(made, (3, 4, 5), dtype, fft_method="matmul")
    single = [MaskedFourier(one, (4, 5), dtype, fft_method="fft") for one in masks]
    x = draw(operator, operator.input_shape, 1)
    result, back = to_numpy(operator(x)), to_numpy(operator.adjoint(x))
    for i in range(2):
        np.testing.assert_allclose(result[i], to_numpy(single[i](x[i])), atol=1e-5)
        np.testing.assert_allclose(back[i], to_numpy(single[i].adjoint(x[i])), atol=1e-5)
    assert operator.norm() == 1
    assert len(operator.variables) == (kind == "variable")
    # Of any size, as networks are.
    free = MaskedFourier(made, (None, None, None), dtype)
    np.testing.assert_allclose(to_numpy(free(x)), result, atol=1e-5)


@pytest.mark.skipif(BACKEND == "jax", reason="JAX has double precision only where it is asked for")
def test_double_precision_is_kept():
    matrix = RNG.normal(size=(4, 6)) + 1j * RNG.normal(size=(4, 6))
    for operator in (
        Matrix(matrix),
        (0.1 - 0.3j) * Matrix(matrix),
        Matrix(matrix) @ Matrix(matrix).H,
        Matrix(matrix) + (1 / 3) * Matrix(matrix),
        MaskedFourier(mask(4, 6), dtype="complex128"),
        MaskedFourier(mask(4, 6), dtype="float64"),
        Convolution(KERNEL, (4, 6, 1), dtype="float64"),
        FiniteDifference((4, 6, 1), "complex128"),
    ):
        x, y = draw(operator, operator.input_shape, 1), draw(operator, operator.output_shape, 2)
        forward, adjoint = to_numpy(operator(x)), to_numpy(operator.adjoint(y))
        assert forward.dtype == adjoint.dtype == np.dtype(operator.dtype)
        np.testing.assert_allclose(np.vdot(y, forward), np.vdot(adjoint, x), rtol=1e-12)
        b = to_numpy(operator.resolvent(x, 0.7, n_iterations=100, tolerance=1e-13))
        applied = b + 0.7 * to_numpy(operator.normal(b))
        np.testing.assert_allclose(applied, x, atol=1e-12)
