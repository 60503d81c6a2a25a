import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, noise, to_numpy

from keras_imaging.ops import (
    fft2c,
    fftshift,
    ifft2c,
    ifftshift,
    irfft,
    irfft2,
    irfft2_planar,
    irfft3,
    rfft,
    rfft2,
    rfft2_planar,
    rfft3,
)

METHODS = ("fft", "matmul", "auto")
GOLDEN_SIZES = ("8x8", "7x7", "6x9", "5x8", "14x14")
# Every length, and sides that differ; other backends compile each operation for each size.
SIZES = [(n, 34 - n) for n in range(1, 34)] + [(n, n) for n in range(1, 34)]
if BACKEND != "tensorflow":
    SIZES = [(1, 1), (1, 2), (2, 1), (3, 33), (32, 5), (33, 32)]


def error(actual, expected):
    return np.abs(to_numpy(actual) - expected).max() / max(np.abs(expected).max(), 1e-30)


@pytest.fixture(scope="module")
def spectra():
    return golden.load("ffc/fft_ortho")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", GOLDEN_SIZES)
def test_golden_float64(spectra, size, method):
    """In double precision, also for spectra of no real image."""
    # JAX has no float64 unless it is switched on.
    tolerance = 1e-13 if BACKEND != "jax" else 1e-6
    x, re, im, result = (
        golden.channels_last(spectra[f"{name}_{size}"])
        for name in ("x", "spec_re", "spec_im", "irfft")
    )
    for actual, name in zip(rfft2(x, method=method), ("rfft_re", "rfft_im"), strict=True):
        assert error(actual, golden.channels_last(spectra[f"{name}_{size}"])) < tolerance
        assert BACKEND == "jax" or keras.backend.standardize_dtype(actual.dtype) == "float64"
    assert error(irfft2((re, im), x.shape[1:3], method=method), result) < tolerance


def test_methods_agree_at_every_size():
    rng = np.random.default_rng(0)
    worst = 0.0
    for height, width in SIZES:
        x = rng.standard_normal((1, height, width, 2)).astype("float32")
        columns = width // 2 + 1
        spectrum = rng.standard_normal((2, 1, height, columns, 2)).astype("float32")
        expected = np.fft.rfft2(x, axes=(1, 2), norm="ortho")
        back = np.fft.irfft2(
            spectrum[0] + 1j * spectrum[1], (height, width), axes=(1, 2), norm="ortho"
        )
        for method in METHODS:
            re, im = (to_numpy(part) for part in rfft2(x, method=method))
            worst = max(worst, error(re + 1j * im, expected))
            y = irfft2(tuple(spectrum), (height, width), method=method)
            worst = max(worst, error(y, back))
    assert worst < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_columns_of_weight_one_are_read_as_their_hermitian_part(method):
    """Columns 0 and W / 2 replaced by (S[m] + conj S[-m]) / 2 change nothing."""
    rng = np.random.default_rng(1)
    spectrum = rng.standard_normal((1, 6, 5, 2)) + 1j * rng.standard_normal((1, 6, 5, 2))
    hermitian = spectrum.copy()
    mirrored = spectrum[:, -np.arange(6) % 6].conj()
    hermitian[:, :, [0, 4]] = (spectrum[:, :, [0, 4]] + mirrored[:, :, [0, 4]]) / 2
    results = [
        to_numpy(
            irfft2((s.real.astype("float32"), s.imag.astype("float32")), (6, 8), method=method)
        )
        for s in (spectrum, hermitian)
    ]
    np.testing.assert_allclose(*results, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
def test_norms_in_one_two_and_three_dimensions(norm, method):
    x = noise(2, 3, 4, 5, 2)
    expected = np.fft.rfftn(x, axes=(1, 2, 3), norm=norm)
    parts = rfft3(x, norm, method)
    assert error(parts[0], expected.real) < 1e-6
    assert error(parts[1], expected.imag) < 1e-6
    assert error(irfft3(parts, (3, 4, 5), norm, method), x) < 1e-6

    expected = np.fft.rfft(x[0], axis=1, norm=norm)
    parts = rfft(x[0], 1, norm, method)
    assert error(parts[0], expected.real) < 1e-6
    assert error(parts[1], expected.imag) < 1e-6
    assert error(irfft(parts, 4, 1, norm, method), x[0]) < 1e-6

    planar = rfft2_planar(x[0], norm, method)
    assert error(planar, np.concatenate(rfft2(x[0], norm, method), axis=-1)) == 0
    assert error(irfft2_planar(planar, (4, 5), norm, method), x[0]) < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_three_dimensional_inverse_of_any_spectrum(method):
    spectrum = np.random.default_rng(2).standard_normal((2, 1, 4, 3, 4, 2)).astype("float32")
    expected = np.fft.irfftn(spectrum[0] + 1j * spectrum[1], (4, 3, 6), (1, 2, 3), norm="ortho")
    assert error(irfft3(tuple(spectrum), (4, 3, 6), method=method), expected) < 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", ["16x16", "15x18", "9x13"])
def test_golden_centred(size, method):
    arrays = golden.load("fourier/fft2c")
    x = arrays[f"x_{size}"]
    pairs = np.stack([x.real, x.imag], axis=-1)
    for function, name in ((fft2c, "fft2c"), (ifft2c, "ifft2c")):
        result = to_numpy(function(pairs, method))
        assert error(result[..., 0] + 1j * result[..., 1], arrays[f"{name}_{size}"]) < (
            1e-12 if BACKEND != "jax" else 1e-6
        )
    # Of one coil, too: TensorFlow crashes where rank 5 with an axis of length 1 is transposed.
    for coils in (np.stack([pairs, 2 * pairs], axis=1), pairs[:, None]):
        assert error(ifft2c(fft2c(coils, method), method), coils) < 1e-6


@pytest.mark.parametrize("length", [4, 5])
def test_shifts(length):
    x = noise(length, 3)
    np.testing.assert_array_equal(to_numpy(fftshift(x, (0, 1))), np.fft.fftshift(x))
    np.testing.assert_array_equal(to_numpy(ifftshift(x, (0,))), np.fft.ifftshift(x, (0,)))


@pytest.mark.parametrize("method", METHODS)
def test_half_precision_is_computed_in_single(method):
    x = keras.ops.cast(noise(1, 8, 9, 1), "bfloat16")
    exact = to_numpy(keras.ops.cast(x, "float32"))
    re, _ = rfft2(x, method=method)
    assert keras.backend.standardize_dtype(re.dtype) == "bfloat16"
    expected = np.fft.rfft2(exact, axes=(1, 2), norm="ortho")
    # One rounding of the result to 8 bits, none on the way.
    rounding = 2.0**-8 * np.abs(expected.real) + 1e-6
    assert (np.abs(to_numpy(keras.ops.cast(re, "float32")) - expected.real) <= rounding).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize("method", METHODS)
def test_unknown_sizes_and_xla(method):
    import tensorflow as tf

    def all_of_them(x):
        y = irfft2(rfft2(x, method=method), tuple(tf.unstack(tf.shape(x)[1:3])), method=method)
        k = fft2c(tf.stack([x, 2 * x], axis=-1)[..., 0, :], method)
        frames = rfft3(x[None], method=method)
        z = irfft3(frames, (tf.shape(x)[0], *tf.unstack(tf.shape(x)[1:3])), method=method)
        line = irfft(rfft(x, 2, method=method), tf.shape(x)[2], 2, method=method)
        return y, ifft2c(k, method)[..., 0], z[0], line

    x = noise(3, 7, 10, 2)
    unknown = tf.TensorSpec((None, None, None, 2), "float32")
    for compiled in (False, True):
        signature = None if compiled else [unknown]
        traced = tf.function(all_of_them, input_signature=signature, jit_compile=compiled)
        y, image, z, line = traced(tf.constant(x))
        for result, expected in ((y, x), (image, x[..., 0]), (z, x), (line, x)):
            assert error(result, expected) < 2e-6


@pytest.mark.tensorflow
@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_the_adjoint(method):
    """In float64, against the matrix of the (linear) map itself."""
    import tensorflow as tf

    def spectrum_and_back(x):
        re, im = rfft2(x, method=method)
        return irfft2((tf.nn.relu(re), 0.5 * im), (5, 6), method=method)

    x = noise(1, 5, 6, 2).astype("float64")
    cotangent = np.random.default_rng(3).standard_normal(x.shape)
    with tf.GradientTape() as tape:
        point = tf.constant(x)
        tape.watch(point)
        value = tf.reduce_sum(spectrum_and_back(point) * cotangent)
    gradient = tape.gradient(value, point).numpy()
    direction = np.random.default_rng(4).standard_normal(x.shape)
    step = 1e-6
    ahead, behind = (
        np.sum(spectrum_and_back(tf.constant(x + t * direction)).numpy() * cotangent)
        for t in (step, -step)
    )
    np.testing.assert_allclose(
        np.sum(gradient * direction), (ahead - behind) / (2 * step), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rfft2(noise(1, 4, 4, 1), norm="unit"), "norm='unit'"),
        (lambda: rfft2(noise(1, 4, 4, 1), method="dct"), "method='dct'"),
        (lambda: rfft2(noise(4, 4, 1)), "rank 4"),
        (lambda: rfft2(np.zeros((1, 4, 0, 1), "float32")), "positive length"),
        (lambda: rfft2(np.zeros((1, 4, 4, 1), "int32")), "dtype int32"),
        (lambda: irfft2((noise(1, 4, 3, 1),) * 2, (4, 6)), "length 6"),
        (lambda: irfft2((noise(1, 4, 3, 1),) * 2, (5, 4)), r"size=\(5, 4\)"),
        (lambda: irfft3((noise(1, 4, 4, 3, 1),) * 2, (4, 4)), "3 integers"),
        (lambda: irfft2_planar(noise(1, 4, 3, 3), (4, 4)), "even number"),
        (lambda: fft2c(noise(1, 4, 4, 3)), "real and imaginary part last"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("method", METHODS)
def test_parts_that_do_not_agree(method):
    re = np.zeros((1, 4, 3, 2), "float32")
    for im in (re[..., :1], re[0], re.astype("float16")):
        for call in (
            lambda im=im: irfft((re, im), 4, axis=2, method=method),
            lambda im=im: irfft2((re, im), (4, 4), method=method),
            lambda im=im: irfft3((re[None], im[None]), (1, 4, 4), method=method),
        ):
            # The rank may be what is wrong first.
            with pytest.raises(ValueError, match=r"one shape and dtype|rank"):
                call()


def test_axes_and_sizes_that_there_are_not():
    x = np.zeros((1, 8, 5, 2), "float32")
    for axis in (7, 4, -5):
        with pytest.raises(ValueError, match=f"axis={axis}"):
            rfft(x, axis=axis)
        with pytest.raises(ValueError, match=f"axis={axis}"):
            irfft((x, x), 8, axis=axis)
    with pytest.raises(ValueError, match=r"2 integers. Received: size=8"):
        irfft2((x, x), 8)
    with pytest.raises(ValueError, match="length 20"):
        irfft((x, x), np.int64(20), axis=1)
    assert tuple(irfft((x, x), np.int64(14), axis=1).shape) == (1, 14, 5, 2)
