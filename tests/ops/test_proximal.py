import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, noise, to_numpy
from skimage.restoration import denoise_tv_chambolle

from keras_imaging.ops.finite_difference import finite_difference, finite_difference_adjoint
from keras_imaging.ops.proximal import (
    group_soft_threshold,
    project_box,
    project_nonnegative,
    selected_count,
    soft_threshold,
    support_selection_threshold,
    tv_prox,
)

SHRINKAGE = golden.load("lista/shrinkage")
THRESHOLDS = (-0.1, 0.0, 0.3, 1.0)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_goldens(threshold):
    z = SHRINKAGE["z"].T
    results = {
        f"soft_clamped_{threshold}": soft_threshold(z, max(threshold, 0)),
        f"soft_free_{threshold}": soft_threshold(z, threshold),
    }
    for percent in (0.0, 1.2, 7.2, 13.0, 50.0):
        results[f"ss_{threshold}_{percent}"] = support_selection_threshold(z, threshold, percent)
    for name, result in results.items():
        np.testing.assert_allclose(to_numpy(result), SHRINKAGE[name].T, atol=1e-6, err_msg=name)


def test_soft_threshold_solves_its_problem():
    """v - prox(v) is t times a subgradient of the norm at prox(v): phase, or shorter than 1."""
    rng = np.random.default_rng(0)
    for v in (rng.normal(size=(3, 7)), rng.normal(size=(3, 7)) + 1j * rng.normal(size=(3, 7))):
        x = to_numpy(soft_threshold(v, 0.6))
        gradient, on = (v - x) / 0.6, x != 0
        assert on.any() and not on.all()
        np.testing.assert_allclose(gradient[on], (x / np.abs(x).clip(1e-12))[on], atol=1e-6)
        assert (np.abs(gradient[~on]) <= 1 + 1e-6).all()


def test_zero_stays_zero_under_a_negative_threshold():
    np.testing.assert_allclose(
        to_numpy(soft_threshold(np.array([0.0, 1.0, -1.0]), -0.5)), [0, 1.5, -1.5]
    )


def test_group_soft_threshold_solves_its_problem():
    v = noise(5, 3, 4)
    x = to_numpy(group_soft_threshold(v, 0.8, axis=1))
    size = np.linalg.norm(x, axis=1, keepdims=True)
    gradient, on = (v - x) / 0.8, np.broadcast_to(size > 0, v.shape)
    assert on.any() and not on.all()
    np.testing.assert_allclose(gradient[on], (x / size.clip(1e-12))[on], atol=1e-5)
    assert (np.linalg.norm(gradient, axis=1) <= 1 + 1e-5).all()
    # Groups of one are the soft threshold, also of complex entries.
    z = v + 1j * v[::-1]
    np.testing.assert_allclose(
        to_numpy(group_soft_threshold(z[..., None], 0.3)[..., 0]),
        to_numpy(soft_threshold(z, 0.3)),
        atol=1e-6,
    )


def test_projections():
    x = np.array([-2.0, 0.5, 3.0], "float32")
    np.testing.assert_array_equal(to_numpy(project_nonnegative(x)), [0, 0.5, 3])
    np.testing.assert_array_equal(to_numpy(project_box(x, -1.0, 1.0)), [-1, 0.5, 1])
    with pytest.raises(ValueError, match="low=1, high=0"):
        project_box(x, 1, 0)


def test_selection():
    """The strictly larger ones of the first n entries in order pass; ties do not."""
    x = np.array([[4.0, -3.0, 2.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0, 1.0]], "float32")
    assert selected_count(5, 50.0) == 2
    expected = [[4, -3, 1.75, 0.75, 0.25], [0.75] * 5]
    np.testing.assert_allclose(to_numpy(support_selection_threshold(x, 0.25, 50.0)), expected)
    # A threshold above all: nothing passes.
    assert not to_numpy(support_selection_threshold(x, 5.0, 50.0)).any()
    # Among all entries of a sample, whatever its axes.
    cube = np.reshape(x[:1, :4], (1, 2, 2))
    flat = support_selection_threshold(x[:1, :4], 0.25, 50.0)
    np.testing.assert_array_equal(
        to_numpy(support_selection_threshold(cube, 0.25, 50.0)).ravel(), to_numpy(flat).ravel()
    )
    for percent in (-1.0, 101.0, float("nan")):
        with pytest.raises(ValueError, match="`percent` must be in"):
            support_selection_threshold(x, 0.1, percent)
    with pytest.raises(ValueError, match="complex"):
        support_selection_threshold(x.astype("complex64"), 0.1, 50.0)


def test_half_precision_selects_as_float32():
    x = noise(3, 40).astype("float16")
    low = keras.ops.cast(support_selection_threshold(x, np.float16(0.25), 20.0), "float32")
    full = support_selection_threshold(x.astype("float32"), 0.25, 20.0)
    np.testing.assert_allclose(to_numpy(low), to_numpy(full), atol=1e-3)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="by its tape")
def test_gradients():
    """1 where an entry is kept or passes, 0 where it is cut; -sign for the threshold."""
    import tensorflow as tf

    x = tf.constant([[3.0, -2.0, 1.0, 0.1]])
    threshold = tf.constant(0.5)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, threshold])
        plain = soft_threshold(x, threshold)
        selecting = support_selection_threshold(x, threshold, 34.0)
    np.testing.assert_array_equal(tape.gradient(plain, x), [[1, 1, 1, 0]])
    assert float(tape.gradient(plain, threshold)) == -1 + 1 - 1
    np.testing.assert_array_equal(tape.gradient(selecting, x), [[1, 1, 1, 0]])
    # The first entry passed: the threshold has no part in it.
    assert float(tape.gradient(selecting, threshold)) == 1 - 1


def test_finite_difference_adjoint():
    for shape in ((2, 4, 5, 1), (1, 3, 2, 2), (1, 1, 4, 1)):
        x, y = noise(*shape), noise(*shape, 2)[::-1]
        left = np.vdot(to_numpy(finite_difference(x)), y)
        assert left == pytest.approx(np.vdot(x, to_numpy(finite_difference_adjoint(y))), abs=1e-4)


def total_variation(image):
    return np.sqrt(np.square(to_numpy(finite_difference(image))).sum(-1)).sum()


def test_tv_prox():
    image = noise(2, 12, 9, 2, low=0.0, high=1.0)
    weight = 0.15
    result = to_numpy(tv_prox(image, weight, 200))

    def objective(x):
        return weight * total_variation(x) + 0.5 * np.square(x - image).sum()

    # Nowhere near is there a better one.
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2):
        for _ in range(4):
            assert objective(result) < objective(
                result + (size * rng.normal(size=image.shape)).astype("float32")
            )
    # Another implementation of the same problem: its weight is that of the data term halved.
    other = denoise_tv_chambolle(
        image[0, ..., 0].astype("float64"), weight=weight, eps=1e-9, max_num_iter=3000
    )
    np.testing.assert_allclose(result[0, ..., 0], other, atol=2e-3)


def test_tv_prox_limits():
    image = noise(1, 8, 7, 1)
    flat = to_numpy(tv_prox(image, 100.0, 200))
    np.testing.assert_allclose(flat, image.mean(), atol=2e-2)
    np.testing.assert_allclose(to_numpy(tv_prox(image, 1e-6, 5)), image, atol=1e-5)
    # The phase of a complex image has no part in its length.
    turned = to_numpy(tv_prox(image * np.complex64(1j), 0.1, 50))
    np.testing.assert_allclose(turned.imag, to_numpy(tv_prox(image, 0.1, 50)), atol=1e-6)
    with pytest.raises(ValueError, match=r"weight=0\.0"):
        tv_prox(image, 0.0)
