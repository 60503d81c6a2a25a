"""The membrane that fills holes, against a dense solve."""

import keras
import numpy as np
import pytest
from harness import to_numpy

from keras_imaging.data import random_inpainting_masks, sample_image
from keras_imaging.layers import HarmonicFill
from keras_imaging.ops import harmonic_fill

SIZE = (45, 38)


def dense(image, hole):
    """Laplace's equation as one system of all pixels."""
    height, width = hole.shape
    number = np.arange(height * width).reshape(height, width)
    laplacian = np.zeros((height * width,) * 2)
    for first, second in (
        (number[1:], number[:-1]),
        (number[:, 1:], number[:, :-1]),
    ):
        for i, j in ((first.ravel(), second.ravel()), (second.ravel(), first.ravel())):
            laplacian[i, i] += 1
            laplacian[i, j] -= 1
    missing = hole.ravel()
    known = image.reshape(height * width, -1)[~missing]
    right = -laplacian[missing][:, ~missing] @ known
    result = image.copy()
    result[hole] = np.linalg.solve(laplacian[missing][:, missing], right)
    return result


def holes():
    """Boxes inside, at a side, in corners and on the grids of all sizes, strokes, scattered pixels,
    a frame, lines."""
    masks = np.zeros((10, *SIZE), bool)
    masks[0, 12:30, 9:31] = True
    masks[1, 20:, 5:25] = True
    masks[2, :31, :29] = True
    masks[3] = random_inpainting_masks(1, SIZE, seed=3)[0, ..., 0]
    masks[4] = np.random.default_rng(0).random(SIZE) < 0.9
    masks[5] = True
    masks[5, 15:20, 10:30] = False
    masks[6, np.arange(SIZE[0]) % 5 > 0] = True
    masks[7] = np.indices(SIZE).sum(axis=0) % 2
    masks[8, 16:32, 16:32] = True
    masks[9, 21:, 14:] = True
    return masks


@pytest.fixture(scope="module")
def pictures():
    image = sample_image()[100 : 100 + SIZE[0], 90 : 90 + SIZE[1]] / 255.0
    masks = holes()
    truth = np.stack([dense(image, mask) for mask in masks])
    return image[None] * ~masks[..., None], masks[..., None].astype("float64"), truth


def error(pictures, cycles, dtype="float32"):
    broken, masks, truth = pictures
    filled = to_numpy(harmonic_fill(broken.astype(dtype), masks.astype(dtype), cycles))
    assert filled.dtype == dtype
    known = masks[..., 0] == 0
    np.testing.assert_array_equal(filled[known], broken.astype(dtype)[known])
    return np.abs(filled - truth).max(axis=(1, 2, 3))


def test_equals_a_dense_solve(pictures):
    few, more, most = (error(pictures, cycles) for cycles in (2, 4, 8))
    # Slowest at the end of odd sides, and where nearly all is missing.
    assert few.max() < 0.15 and np.median(few) < 0.03, few
    assert more.max() < 0.06 and np.median(more) < 5e-3, more
    assert most.max() < 0.02 and np.median(most) < 1e-4, most
    if keras.backend.backend() == "tensorflow":
        # JAX has no float64 unless asked for.
        assert error(pictures, 32, "float64").max() < 1e-3


def test_linear_and_differentiable(pictures):
    """The gradient of a linear map does not depend on where it is taken, and gives the map."""
    broken, masks, _ = (array.astype("float32") for array in pictures)
    twice = to_numpy(harmonic_fill(2 * broken, masks))
    np.testing.assert_allclose(twice, 2 * to_numpy(harmonic_fill(broken, masks)), atol=1e-5)
    layer = HarmonicFill(8)
    image = keras.Variable(broken)
    weight = np.random.default_rng(1).random(broken.shape).astype("float32")
    gradient = gradient_of(lambda: keras.ops.sum(weight * layer([image, masks])), image)
    total = float(np.sum(gradient * broken))
    expected = float(np.sum(weight * to_numpy(layer([broken, masks]))))
    assert total == pytest.approx(expected, rel=1e-4)
    # Hidden values do not matter.
    np.testing.assert_array_equal(gradient * masks, 0)


def gradient_of(function, variable):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        return to_numpy(tape.gradient(value, variable.value))
    import jax

    def value_at(value):
        with keras.StatelessScope([(variable, value)]):
            return function()

    return np.asarray(jax.grad(value_at)(variable.value))


def test_all_hole_is_finite():
    image, mask = np.ones((1, 9, 6, 2), "float32"), np.ones((1, 9, 6, 1), "float32")
    np.testing.assert_array_equal(to_numpy(harmonic_fill(image, mask)), 0)
