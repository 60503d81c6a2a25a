import golden
import keras
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from keras_imaging.metrics import PSNR, SSIM, nmse_db, psnr, ssim


@pytest.fixture(scope="module")
def arrays():
    return golden.load("rdidn/metrics")


def noisy_pair(*shape, seed=0):
    rng = np.random.default_rng(seed)
    clean = rng.uniform(0.2, 0.8, shape).astype("float32")
    return clean, clean + rng.normal(0, 0.05, shape).astype("float32")


@pytest.mark.parametrize("border", [0, 2])
def test_golden_luma(arrays, border):
    a, b = arrays["y_uint8_a"], arrays["y_uint8_b"]
    assert psnr(a, b, border) == pytest.approx(arrays[f"psnr_y_crop{border}"], abs=1e-9)
    assert ssim(a, b, border) == pytest.approx(arrays[f"ssim_y_crop{border}"], abs=1e-9)


def test_golden_rgb(arrays):
    assert psnr(arrays["a"], arrays["b"]) == pytest.approx(arrays["psnr_rgb"], abs=1e-9)


def test_psnr_of_a_constant_difference():
    a = np.full((20, 30), 100, "uint8")
    assert psnr(a, a + 5) == pytest.approx(20 * np.log10(255 / 5))
    # uint8 must not wrap around.
    assert psnr(a + 5, a) == psnr(a, a + 5)
    assert psnr(a / 255.0, (a + 5) / 255.0, max_val=1.0) == pytest.approx(psnr(a, a + 5))


def test_equal_images():
    a = np.arange(400.0).reshape(20, 20)
    assert psnr(a, a) == np.inf
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("shape", [(40, 33), (25, 40, 3)])
def test_ssim_agrees_with_scikit_image(shape):
    a, b = noisy_pair(*shape)
    expected = structural_similarity(
        a.astype("float64"),
        b.astype("float64"),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(a, b, max_val=1.0) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("shape", [(40, 33), (25, 40, 3)])
def test_uniform_window_agrees_with_scikit_image(shape):
    a, b = noisy_pair(*shape)
    expected = structural_similarity(
        a.astype("float64"),
        b.astype("float64"),
        data_range=1.0,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(a, b, max_val=1.0, window="uniform") == pytest.approx(expected, abs=1e-9)
    assert ssim(a, b, max_val=1.0) != pytest.approx(expected, abs=1e-4)
    assert ssim(np.zeros((7, 7)), np.zeros((7, 7)), window="uniform") == 1.0
    with pytest.raises(ValueError, match="7 pixels"):
        ssim(np.zeros((6, 9)), np.zeros((6, 9)), window="uniform")
    with pytest.raises(ValueError, match="window='box'"):
        ssim(a, b, window="box")


def test_border_is_left_out():
    a = np.zeros((30, 30), "uint8")
    b = a.copy()
    b[:3] = 255
    assert psnr(a, b, border=3) == np.inf
    assert psnr(a, b, border=2) < 20


@pytest.mark.parametrize("function", [psnr, ssim])
def test_unequal_shapes(function):
    with pytest.raises(ValueError, match=r"\(20, 20\).*\(20, 21\)"):
        function(np.zeros((20, 20)), np.zeros((20, 21)))
    with pytest.raises(ValueError, match="one shape"):
        function(np.zeros((20, 20)), np.zeros((20, 20, 1)))


def test_too_small_for_the_window():
    assert ssim(np.zeros((15, 15)), np.zeros((15, 15)), border=2) == 1.0
    with pytest.raises(ValueError, match="15 pixels"):
        ssim(np.zeros((14, 40)), np.zeros((14, 40)), border=2)
    with pytest.raises(ValueError, match="border"):
        psnr(np.zeros((4, 4)), np.zeros((4, 4)), border=2)


@pytest.mark.parametrize(("metric", "function"), [(PSNR, psnr), (SSIM, ssim)])
@pytest.mark.parametrize("border", [0, 3])
def test_keras_metric_is_the_mean_over_images(metric, function, border):
    state = metric(border=border)
    expected = []
    # Batches of different sizes: a mean over batches would differ.
    for count, seed in ((3, 1), (1, 2)):
        a, b = noisy_pair(count, 24, 28, 3, seed=seed)
        b[0] += 0.1 * seed
        state.update_state(a, b)
        expected += [function(x, y, border, max_val=1.0) for x, y in zip(a, b, strict=True)]
    assert float(state.result()) == pytest.approx(np.mean(expected), rel=2e-5)
    state.reset_state()
    assert float(state.result()) == 0.0


@pytest.mark.parametrize(("metric", "function"), [(PSNR, psnr), (SSIM, ssim)])
def test_keras_metric_on_luma(metric, function):
    a, b = noisy_pair(2, 24, 28, 3)
    state = metric(y_channel=True, max_val=255.0)
    state.update_state(a * 255, b * 255)
    luma = np.array([65.481, 128.553, 24.966]) / 255
    expected = [function(x @ luma, y @ luma, max_val=1.0) for x, y in zip(a, b, strict=True)]
    # SSIM sees the offset 16, PSNR does not.
    if function is ssim:
        offset = 16 / 255
        expected = [
            ssim(x @ luma + offset, y @ luma + offset, max_val=1.0)
            for x, y in zip(a, b, strict=True)
        ]
    assert float(state.result()) == pytest.approx(np.mean(expected), rel=2e-5)


def test_half_precision_is_compared_in_full():
    a = np.full((1, 16, 16, 1), 0.5, "float16")
    state = PSNR()
    state.update_state(a, a + np.float16(2**-10))
    assert float(state.result()) == pytest.approx(20 * np.log10(2**10), rel=1e-5)


@pytest.mark.parametrize("metric", [PSNR, SSIM])
def test_serialisation(metric):
    config = {"border": 2, "y_channel": True, "max_val": 255.0, "name": "score"}
    copy = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(metric(**config))
    )
    assert isinstance(copy, metric)
    assert config.items() <= copy.get_config().items()


def test_in_evaluate():
    model = keras.Sequential([keras.Input((16, 16, 1)), keras.layers.Rescaling(1.0, offset=0.1)])
    model.compile(loss="mae", metrics=[PSNR(), SSIM()])
    x = np.random.default_rng(0).uniform(0, 0.9, (5, 16, 16, 1)).astype("float32")
    scores = model.evaluate(x, x, batch_size=2, verbose=0, return_dict=True)
    assert scores["psnr"] == pytest.approx(20.0, abs=1e-3)
    expected = np.mean([ssim(image, image + 0.1, max_val=1.0) for image in x[..., 0]])
    assert scores["ssim"] == pytest.approx(expected, rel=1e-4)


def test_bad_arguments():
    with pytest.raises(ValueError, match="border=-1"):
        PSNR(border=-1)
    with pytest.raises(ValueError, match="max_val=0"):
        SSIM(max_val=0)
    with pytest.raises(ValueError, match="one shape"):
        PSNR().update_state(np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 5, 1)))
    with pytest.raises(ValueError, match="11 pixels"):
        SSIM().update_state(np.zeros((1, 10, 20, 1)), np.zeros((1, 10, 20, 1)))


def test_complex_values_are_taken_or_refused():
    values = np.array([1.0 + 2j, -0.5 + 1j])
    # |conj(c) - c| = 2 |Im c|
    expected = 10 * np.log10(np.sum(4 * values.imag**2) / np.sum(np.abs(values) ** 2))
    assert nmse_db(values.conj(), values) == pytest.approx(expected)
    assert nmse_db(np.array([-1j]), np.array([1j])) == pytest.approx(10 * np.log10(4))
    with pytest.raises(ValueError, match=r"one shape.*\(2,\) and \(1, 2\)"):
        nmse_db(values, values[None])
    image = np.ones((1, 16, 16, 1), "complex64")
    for compare in (
        lambda: psnr(image[0], image[0].real),
        lambda: ssim(image[0].real, image[0]),
        lambda: PSNR().update_state(image, image),
        lambda: SSIM().update_state(image.real, image),
    ):
        with pytest.raises(ValueError, match=r"real images.*complex64"):
            compare()
