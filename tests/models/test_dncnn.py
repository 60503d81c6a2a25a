import golden
import numpy as np
import pytest
from harness import BACKEND, check_model, noise, to_numpy

from keras_imaging.layers import RealSpectralNormalization
from keras_imaging.models import Denoiser, DnCNN, SimpleCNN
from keras_imaging.models.converters.torch_dncnn import load_torch_weights
from keras_imaging.ops.value_range import in_range

PICTURES = noise(2, 6, 7, 1, low=0.0)
TINY = {"depth": 3, "filters": 4, "image_size": (6, 5)}


@pytest.mark.parametrize("norm", [None, "real"])
def test_harness(norm):
    check_model(DnCNN, {**TINY, "spectral_norm": norm}, PICTURES, edge=norm == "real")


def test_harness_of_four_layers():
    check_model(SimpleCNN, {**TINY, "spectral_norm": "real"}, PICTURES)


def test_harness_of_the_denoiser():
    network = {"network": "SimpleCNN", **TINY, "spectral_norm": "real"}
    check_model(Denoiser, {"network": network}, PICTURES, edge=True)


@pytest.mark.parametrize(
    ("network", "trainable", "state"),
    [
        (SimpleCNN(), 74_880, 0),
        (SimpleCNN(spectral_norm="real"), 74_880, 308_800 + 4),
        (DnCNN(), 556_032, 1_920),
        (DnCNN(spectral_norm="real"), 556_032, 1_920 + 1_640_000 + 17),
    ],
)
def test_published_counts(network, trainable, state):
    counts = [
        sum(int(np.prod(w.shape)) for w in weights)
        for weights in (network.trainable_weights, network.non_trainable_weights)
    ]
    assert counts == [trainable, state]


def _state(arrays, prefix):
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def test_golden_dncnn_in_inference_and_training():
    arrays = golden.load("pnp/dncnn5")
    dtype, tolerance = ("float32", 1e-4) if BACKEND == "jax" else ("float64", 1e-8)
    model = DnCNN(depth=5, dtype=dtype)
    load_torch_weights(model, _state(arrays, "dncnn5.sd."))
    x = golden.channels_last(arrays["dncnn5.x"]).astype(dtype)
    expected = golden.channels_last(arrays["dncnn5.y_eval_f64"])
    np.testing.assert_allclose(
        to_numpy(model(x)), expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )
    trained = golden.channels_last(arrays["dncnn5.y_train"])
    np.testing.assert_allclose(
        to_numpy(model(x, training=True)), trained, rtol=0, atol=1e-4 * np.abs(trained).max()
    )
    after = _state(arrays, "dncnn5.after_train.dncnn.")
    pixels = x.shape[0] * x.shape[1] * x.shape[2]
    for index, name in ((3, "norm2"), (6, "norm3"), (9, "norm4")):
        layer = model.get_layer(name)
        np.testing.assert_allclose(
            to_numpy(layer.moving_mean), after[f"{index}.running_mean"], rtol=1e-4, atol=1e-6
        )
        # There the variance of a batch is unbiased.
        start = arrays[f"dncnn5.sd.dncnn.{index}.running_var"]
        unbiased = (to_numpy(layer.moving_variance) - 0.9 * start) * pixels / (pixels - 1)
        np.testing.assert_allclose(
            0.9 * start + unbiased, after[f"{index}.running_var"], rtol=1e-4, atol=1e-6
        )


def test_golden_simplecnn():
    arrays = golden.load("pnp/pnp_loops")
    dtype, tolerance = ("float32", 1e-5) if BACKEND == "jax" else ("float64", 1e-8)
    model = SimpleCNN(depth=3, dtype=dtype)
    state = _state(arrays, "net.sd.")
    load_torch_weights(model, {f"module.{name}": value for name, value in state.items()})
    result = to_numpy(model(golden.channels_last(arrays["net.x"]).astype(dtype)))
    expected = golden.channels_last(arrays["net.y_eval_f64"])
    np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def test_converter_of_spectral_normalization():
    model = SimpleCNN(**TINY, spectral_norm="real", lipschitz=0.5)
    model(PICTURES, training=True)
    expected = to_numpy(model(PICTURES))
    state = {}
    for number in range(3):
        layer = model.get_layer(f"conv{number + 1}")
        name = f"dncnn.{2 * number}"
        state[f"{name}.weight_orig"] = to_numpy(layer.layer.kernel).transpose(3, 2, 0, 1)
        state[f"{name}.weight"] = to_numpy(layer.effective_kernel).transpose(3, 2, 0, 1)
        state[f"{name}.weight_u"] = to_numpy(layer.u).transpose(0, 3, 1, 2)
    for norm in ("real", None):
        twin = SimpleCNN(**TINY, spectral_norm=norm, lipschitz=0.5)
        load_torch_weights(twin, state)
        np.testing.assert_allclose(to_numpy(twin(PICTURES)), expected, rtol=1e-4, atol=1e-6)
    del state["dncnn.2.weight"], state["dncnn.2.weight_u"]
    with pytest.raises(ValueError, match=r"dncnn\.2\.sigma"):
        load_torch_weights(SimpleCNN(**TINY, spectral_norm="real"), state)


def test_edge_form_has_ordinary_convolutions():
    model = Denoiser({"network": "DnCNN", **TINY, "spectral_norm": "real"})
    model(PICTURES, training=True)
    twin = model.edge_form()
    kinds = {type(layer) for layer in twin.layers}
    assert not kinds & {RealSpectralNormalization, DnCNN, SimpleCNN}
    np.testing.assert_allclose(to_numpy(twin(PICTURES)), to_numpy(model(PICTURES)), atol=1e-5)


def test_denoiser_subtracts_in_its_range():
    network = SimpleCNN(**TINY)
    x = 5 + 3 * PICTURES
    fixed = Denoiser(network, value_range=(5.0, 8.0))
    expected = x - 3 * to_numpy(network(PICTURES))
    np.testing.assert_allclose(to_numpy(fixed(x)), expected, atol=1e-5)
    assert fixed.has_fixed_range
    free = Denoiser(network, value_range=("min", "max"), span=0.5)
    low = x.min(axis=(1, 2, 3), keepdims=True)
    width = x.max(axis=(1, 2, 3), keepdims=True) - low
    inner = to_numpy(network((x - low) / width * 0.5 + 0.25))
    np.testing.assert_allclose(to_numpy(free(x)), x - inner / 0.5 * width, atol=1e-4)
    assert not free.has_fixed_range
    again = fixed.with_range(("min", "max"), 0.5)
    assert again.network is network
    np.testing.assert_array_equal(to_numpy(again(x)), to_numpy(free(x)))
    constant = np.full((1, 4, 4, 1), 7.0, "float32")
    np.testing.assert_array_equal(to_numpy(free(constant)), constant)
    assert Denoiser.from_config(free.get_config()).get_config() == free.get_config()


def test_one_network_for_all_levels():
    network = SimpleCNN(**TINY, noise_map=True)
    results = [to_numpy(Denoiser(network, sigma=sigma)(PICTURES)) for sigma in (5, 50)]
    level = np.full_like(PICTURES, 50 / 255)
    expected = PICTURES - to_numpy(network(np.concatenate([PICTURES, level], axis=-1)))
    np.testing.assert_allclose(results[1], expected, atol=1e-6)
    assert np.abs(results[0] - results[1]).max() > 1e-3


def test_samples_are_noisy():
    model = Denoiser(SimpleCNN(**TINY), sigma=30)
    rng = np.random.default_rng(0)
    clean = np.full((50, 50, 1), 128, "uint8")
    noisy = model.input_of(clean, rng)["image"]
    assert np.std(noisy - model.prepare(clean)) == pytest.approx(30 / 255, rel=0.05)
    assert SimpleCNN(**TINY, channels=3).output_shape[-1] == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DnCNN(depth=1), "depth=1"),
        (lambda: SimpleCNN(spectral_norm="fake"), "'fake'"),
        (lambda: SimpleCNN(lipschitz=0), "lipschitz=0"),
        (lambda: SimpleCNN(input_shape=(8, 8, 3)), "input_shape"),
        (lambda: Denoiser({"network": "UNet"}), "'UNet'"),
        (lambda: Denoiser(SimpleCNN(**TINY), sigma=0), "sigma=0"),
        (lambda: Denoiser(SimpleCNN(**TINY), value_range=(1.0, 0.0)), "value_range"),
        (lambda: Denoiser(SimpleCNN(**TINY), value_range=("max", "min")), "value_range"),
        (lambda: in_range(lambda x: x, PICTURES, span=0), "span=0"),
        (lambda: SimpleCNN(**TINY)(np.zeros((1, 4, 4, 1), "uint8")), "uint8"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
