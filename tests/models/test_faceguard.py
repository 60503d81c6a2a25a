import keras
import numpy as np
import pytest
from harness import check_fitting, check_model, noise, to_numpy

from keras_imaging.layers.distortions.benign import JPEG, GaussianBlur
from keras_imaging.layers.distortions.deepfakes import FaceSwap, GlobalReencode
from keras_imaging.losses import laplacian_distance, structural_similarity
from keras_imaging.metrics import ssim
from keras_imaging.models.faceguard_training import (
    FaceGuard,
    FaceGuardDecoder,
    FaceGuardEncoder,
    training_schedule,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 32, 32, 3)).astype("uint8")
BITS = RNG.integers(0, 2, (4, 8)).astype("float32")
BATCH = {"image": IMAGES, "bits": BITS}


def parts():
    return {
        "encoder": FaceGuardEncoder(8, 32, 4),
        "decoder": FaceGuardDecoder(8, 32, 8),
        "distortions": [JPEG(75, name="jpeg")],
        "manipulations": [FaceSwap(name="swap")],
    }


def small(**kwargs):
    return FaceGuard(**parts(), **kwargs)


@pytest.mark.parametrize(
    ("size", "bits", "widths", "encoder", "decoder"),
    [
        (64, 16, (8, 16), (60_804, 61_156), (88_976, 89_424)),
        (128, 32, (8, 16), (90_244, 90_596), (117_664, 118_112)),
        (128, 32, (16, 32), (249_220, 249_924), (368_400, 369_296)),
        (256, 64, (8, 16), (322_692, 323_044), (347_072, 347_520)),
        (256, 64, (16, 32), (481_668, 482_372), (597_808, 598_704)),
    ],
)
def test_parameter_counts(size, bits, widths, encoder, decoder):
    for model, counts in (
        (FaceGuardEncoder(bits, size, widths[0]), encoder),
        (FaceGuardDecoder(bits, size, widths[1]), decoder),
    ):
        trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        assert (trainable, model.count_params()) == counts


def test_encoder_harness():
    arguments = {"message_length": 5, "image_size": 32, "width": 2}
    inputs = {"image": noise(2, 32, 32, 3, low=0.0), "bits": noise(2, 5, low=0.0)}
    # Keras enlarges in float32, also what is float64.
    check_model(FaceGuardEncoder, arguments, inputs, dynamic=False, smooth=False)


def test_decoder_harness():
    arguments = {"message_length": 5, "image_size": 32, "width": 4}
    check_model(FaceGuardDecoder, arguments, noise(2, 32, 32, 3, low=0.0), dynamic=False)


def test_fitting_harness():
    # XLA takes minutes for the many branches; JAX knows nothing else.
    check_fitting(FaceGuard, parts(), (BATCH, None), keras.backend.backend() == "jax")


def test_residual_stays_in_the_face():
    encoder = FaceGuardEncoder(8, 32, 2)
    encoder.get_layer("out").bias.assign([3.0])
    residual = to_numpy(encoder([noise(2, 32, 32, 3, low=0.0), BITS[:2]]))
    assert residual.shape == (2, 32, 32, 1)
    assert residual[:, 16, 16].min() > 0.9
    assert np.abs(residual[:, :, [0, -1]]).max() < 1e-3
    full = FaceGuardEncoder(8, 32, 2, support="full")
    full.set_weights(encoder.get_weights())
    assert np.abs(to_numpy(full([noise(2, 32, 32, 3, low=0.0), BITS[:2]]))).min() > 0.9


def test_mark_is_bounded_and_clipped():
    encoder = FaceGuardEncoder(8, 32, 2)
    white = np.ones((2, 32, 32, 3), "float32")
    marked = to_numpy(encoder.mark(white, BITS[:2], strength=0.1))
    assert marked.min() >= 0.9 and marked.max() <= 1


def test_encoder_takes_a_list_or_names_and_saves(tmp_path):
    encoder = FaceGuardEncoder(8, 32, 2)
    images = noise(2, 32, 32, 3, low=0.0)
    expected = to_numpy(encoder({"bits": BITS[:2], "image": images}))
    np.testing.assert_array_equal(to_numpy(encoder([images, BITS[:2]])), expected)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(to_numpy(loaded([images, BITS[:2]])), expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([IMAGES[:2], BITS[:2]], "`image` as float"),
        ([noise(2, 32, 32, 3), BITS[:2, :7]], "'bits'.*8"),
        ([noise(2, 32, 32, 3), BITS[:1]], r"\(2, 32, 32, 3\) and `bits` of shape \(1, 8\)"),
        ([noise(2, 16, 32, 3), BITS[:2]], "'image'.*32, 32, 3"),
        ([noise(2, 32, 32, 3)], "expected the inputs"),
    ],
)
def test_bad_inputs(inputs, message):
    with pytest.raises(ValueError, match=message):
        FaceGuardEncoder(8, 32, 2)(inputs)


@pytest.mark.parametrize(
    "arguments", [{"image_size": 100}, {"message_length": 0}, {"width": 0}, {"support": "hat"}]
)
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        FaceGuardEncoder(**{"image_size": 32, **arguments})


def test_learns_the_message_and_counts_its_steps():
    model = small(steps=10_000, strength=(0.3, 0.3))
    # XLA takes minutes for the many branches; JAX knows nothing else.
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=keras.backend.backend() == "jax")
    repeated = {
        name: np.tile(value, (25, *[1] * (value.ndim - 1))) for name, value in BATCH.items()
    }
    history = model.fit(repeated, batch_size=4, epochs=4, shuffle=False, verbose=0).history
    assert float(model.step) == 100
    assert history["message_loss"][-1] < 0.5 * history["message_loss"][0]
    assert history["bit_accuracy"][-1] > 0.9


def test_evaluation_has_an_accuracy_for_every_channel(tmp_path):
    model = small()
    model.compile()
    result = model.evaluate(BATCH, verbose=0, return_dict=True)
    for name in ("clean", "jpeg", "swap", "unmarked"):
        assert 0 <= result[f"bit_accuracy_{name}"] <= 1
    assert result["psnr"] > 30
    assert float(model.step) == 0
    twin = FaceGuard.from_config(model.get_config())
    assert twin.get_config() == model.get_config()


def test_schedule():
    values = {p: training_schedule(p, (0.08, 0.03)) for p in (0.0, 0.12, 0.21, 0.4, 0.95)}
    start, end = values[0.0], values[0.95]
    assert [float(start[k]) for k in ("distortion", "image", "fragile")] == [0, 0, 0]
    assert float(start["strength"]) == pytest.approx(0.08)
    assert float(end["strength"]) == pytest.approx(0.03)
    assert float(values[0.21]["distortion"]) == pytest.approx(0.5)
    assert float(values[0.4]["image"]) == pytest.approx(0.2)
    assert [float(end[k]) for k in ("distortion", "image", "fragile")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FaceGuard(FaceGuardEncoder(8, 32), FaceGuardDecoder(9, 32)), "one message length"),
        (lambda: small(steps=0), "`steps`"),
        (lambda: small(strength=(0.1, 0.0)), "`strength`"),
        (
            lambda: FaceGuard(
                FaceGuardEncoder(8, 32, 2),
                FaceGuardDecoder(8, 32, 4),
                distortions=[GaussianBlur(1.0, name="same")],
                manipulations=[GlobalReencode(name="same")],
            ),
            "names of their own",
        ),
    ],
)
def test_bad_training_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_similarity_is_the_metrics():
    a, b = noise(2, 20, 24, 3, low=0.0), np.clip(noise(2, 20, 24, 3, low=0.0)[::-1] * 0.5, 0, 1)
    result = to_numpy(structural_similarity(a, b))
    expected = [ssim(x, y, max_val=1.0) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_pyramid_sees_low_frequencies_best():
    a = np.zeros((1, 32, 32, 1), "float32")
    checks = np.indices((32, 32)).sum(0)[None, ..., None].astype("float32") % 2 * 2 - 1
    fine = float(laplacian_distance(a, checks)[0])
    flat = float(laplacian_distance(a, np.ones_like(a))[0])
    assert fine == pytest.approx(1 / 3, rel=0.05)
    assert flat == pytest.approx(1 / 3, rel=1e-4)
