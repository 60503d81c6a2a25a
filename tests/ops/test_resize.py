import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, close, loss_and_gradients, noise, to_numpy

from keras_imaging.ops import bicubic_phases, imresize

GOLDEN = golden.load("rdidn/imresize")
SCALES = GOLDEN["scales"].tolist()
# JAX computes in float32 unless it is told otherwise.
PRECISE = ("float32", 2e-6) if BACKEND == "jax" else ("float64", 1e-12)


def golden_results(kind):
    prefix = f"out_{kind}_"
    return [
        (image, number)
        for image in "abc"
        for number in range(len(SCALES))
        if f"{prefix}{image}_{number}" in GOLDEN
    ]


@pytest.mark.parametrize(("image", "number"), golden_results("uint8"))
def test_uint8_equals_matlab_in_every_pixel(image, number):
    result = imresize(GOLDEN[f"in_uint8_{image}"], SCALES[number])
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, GOLDEN[f"out_uint8_{image}_{number}"])


@pytest.mark.parametrize(("image", "number"), golden_results("float"))
def test_float(image, number):
    source, expected = GOLDEN[f"in_float_{image}"], GOLDEN[f"out_float_{image}_{number}"]
    np.testing.assert_allclose(imresize(source, SCALES[number]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("number", range(len(SCALES)))
def test_without_antialiasing(number):
    result = imresize(GOLDEN["in_float_a"], SCALES[number], antialias=False)
    np.testing.assert_allclose(result, GOLDEN[f"out_float_noaa_a_{number}"], rtol=0, atol=1e-12)


def test_output_size():
    size = (11, 37)
    result = imresize(GOLDEN["in_float_a"], output_size=size)
    np.testing.assert_allclose(result, GOLDEN["out_float_size_a_11x37"], rtol=0, atol=1e-12)
    result = imresize(GOLDEN["in_uint8_a"], output_size=size)
    np.testing.assert_array_equal(result, GOLDEN["out_uint8_size_a_11x37"])


@pytest.mark.parametrize("arguments", [{"scale": 1 / 3}, {"scale": 2}, {"output_size": (11, 37)}])
@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
def test_tensor_equals_array(arguments, method):
    dtype, tolerance = PRECISE
    image = GOLDEN["in_float_a"]
    tensor = keras.ops.convert_to_tensor(image, dtype)
    result = imresize(tensor, method=method, **arguments)
    assert keras.backend.standardize_dtype(result.dtype) == dtype
    close(to_numpy(result), imresize(image, method=method, **arguments), tolerance)


def test_batch_and_channels_are_resized_alone():
    batch = noise(2, 6, 7, 3).astype("float64")
    result = imresize(batch, 1.5)
    for n in range(2):
        np.testing.assert_array_equal(imresize(batch[n], 1.5), result[n])
        for c in range(3):
            np.testing.assert_array_equal(imresize(batch[n, ..., c], 1.5), result[n, ..., c])


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_gradient_is_the_adjoint(scale):
    """The gradient of mean(y**2) is 2/N R^T R x, with R from the NumPy form."""
    height, width = 6, 4
    basis = np.eye(height * width).reshape(-1, height, width, 1)
    matrix = imresize(basis, scale).reshape(len(basis), -1).T
    image = noise(1, height, width, 1)
    inputs = keras.Input(image.shape[1:])
    model = keras.Model(inputs, imresize(inputs, scale))
    _, _, gradient = loss_and_gradients(model, image)
    expected = 2 / len(matrix) * matrix.T @ matrix @ image.ravel()
    close(gradient.ravel(), expected, 1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (3, 5)])
@pytest.mark.parametrize("scale", [0.25, 0.5, 2, 3])
def test_border_repeats_mirrored_for_ever(size, scale):
    image = np.random.default_rng(0).random(size)
    # Whole periods of the mirrored image, and a multiple of the shrinking factor.
    pad = [4 * 2 * n for n in size]
    padded = np.pad(image, [(p, p) for p in pad], mode="symmetric")
    large = imresize(padded, scale)
    result = imresize(image, scale)
    top, left = (int(p * scale) for p in pad)
    window = large[top : top + result.shape[0], left : left + result.shape[1]]
    np.testing.assert_allclose(result, window, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.7, 4])
def test_constant_images_stay_constant(scale):
    np.testing.assert_allclose(imresize(np.full((9, 7), 0.3), scale), 0.3, rtol=1e-14)
    assert np.all(imresize(np.full((9, 7), 200, "uint8"), scale) == 200)


def test_output_sides_are_rounded_up_but_not_by_rounding_errors():
    assert imresize(np.zeros((5, 7)), 0.5).shape == (3, 4)
    assert imresize(np.zeros((30, 21)), 0.1).shape == (3, 3)
    assert imresize(np.zeros((6, 9)), 1 / 3).shape == (2, 3)


def test_scale_one_changes_nothing():
    image = np.random.default_rng(0).integers(256, size=(5, 6, 3), dtype="uint8")
    np.testing.assert_array_equal(imresize(image, 1), image)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_phases_are_the_filters_of_imresize(scale):
    bank = bicubic_phases(scale)
    assert bank.shape == (5, scale)
    np.testing.assert_allclose(bank.sum(axis=0), 1, rtol=1e-14)
    line = np.random.default_rng(0).random(15)
    result = imresize(np.tile(line, (2, 1)), output_size=(2, 15 * scale))[0]
    for i in range(2, 13):
        expected = line[i - 2 : i + 3] @ bank
        np.testing.assert_allclose(result[scale * i : scale * (i + 1)], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "arguments", "message"),
    [
        (np.zeros((4, 4)), {}, "exactly one"),
        (np.zeros((4, 4)), {"scale": 2, "output_size": (8, 8)}, "exactly one"),
        (np.zeros((4, 4)), {"scale": 0}, "scale=0"),
        (np.zeros((4, 4)), {"scale": -2.0}, "scale=-2.0"),
        (np.zeros((4, 4)), {"scale": float("nan")}, "scale=nan"),
        (np.zeros((4, 4)), {"output_size": (0, 8)}, "output_size"),
        (np.zeros((4, 4)), {"output_size": (8,)}, "output_size"),
        (np.zeros((4, 4)), {"scale": 2, "method": "lanczos"}, "lanczos"),
        (np.zeros(4), {"scale": 2}, "rank"),
        (np.zeros((0, 4)), {"scale": 2}, "positive"),
        (np.zeros((4, 4), "int32"), {"scale": 2}, "int32"),
        (np.zeros((4, 4), "uint16"), {"scale": 2}, "uint16"),
    ],
)
def test_bad_input(image, arguments, message):
    with pytest.raises(ValueError, match=message):
        imresize(image, **arguments)


def test_bad_tensors():
    with pytest.raises(ValueError, match="known"):
        imresize(keras.KerasTensor((1, None, 4, 1)), 2)
    with pytest.raises(ValueError, match="uint8"):
        imresize(keras.ops.zeros((4, 4), dtype="uint8"), 2)
