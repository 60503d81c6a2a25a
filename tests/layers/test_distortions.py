import keras
import numpy as np
import pytest
from harness import BACKEND, check_layer, noise, to_numpy
from scipy import ndimage

from keras_imaging.layers.distortions.base import Compose, Distortion, RandomChoice
from keras_imaging.layers.distortions.benign import (
    JPEG,
    ColorJitter,
    CropResize,
    Enlarged,
    GaussianBlur,
    GaussianNoise,
    Quantize8,
    ResizeRoundTrip,
    Screenshot,
)

IMAGES = noise(3, 16, 20, 3, low=0.0, high=1.0)
LAYERS = [
    JPEG((40, 90), seed=1, name="jpeg"),
    GaussianBlur((0.5, 1.0), seed=1),
    ResizeRoundTrip((0.5, 0.9), seed=1),
    CropResize((0.8, 0.9), seed=1),
    GaussianNoise(0.05, seed=1),
    ColorJitter(seed=1),
    Screenshot(seed=1),
    Quantize8(),
    Enlarged(2, JPEG((40, 90), seed=1)),
    RandomChoice([JPEG(50, seed=1), GaussianBlur(1.0)], include_identity=False, seed=1),
    Compose([GaussianBlur(1.0), GaussianNoise(0.1, seed=1)]),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_active_in_training_and_serialisable(layer):
    result = to_numpy(layer(IMAGES, training=True))
    assert result.shape == IMAGES.shape
    assert np.isfinite(result).all()
    assert result.min() >= 0 and result.max() <= 1
    assert (result != IMAGES).any()
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    if not layer.always:
        np.testing.assert_array_equal(to_numpy(copy(IMAGES)), IMAGES)
    fresh = type(layer).from_config(layer.get_config())
    twin = type(layer).from_config(layer.get_config())
    first, second = (to_numpy(each(IMAGES, training=True)) for each in (fresh, twin))
    np.testing.assert_array_equal(first, second)


# Away from 0 and 1, where a clip has no slope.
SMALL = noise(2, 8, 9, 3, low=0.2, high=0.8)
ACTIVE = {"always": True, "seed": 1}


@pytest.mark.parametrize(
    ("layer_class", "arguments"),
    [
        (GaussianBlur, {"sigma": (0.5, 1.0)}),
        (ResizeRoundTrip, {"scale": (0.5, 0.9)}),
        (CropResize, {"keep": (0.8, 0.9), "shift": 0.1}),
        (GaussianNoise, {"stddev": 0.02}),
        (ColorJitter, {}),
        # As it is outside of training.
        (Distortion, {"always": False}),
    ],
)
def test_harness(layer_class, arguments):
    check_layer(layer_class, {**ACTIVE, **arguments}, SMALL, dynamic=False)


@pytest.mark.parametrize("layer_class", [JPEG, Quantize8, Screenshot])
def test_harness_of_straight_gradients(layer_class):
    check_layer(layer_class, ACTIVE, SMALL, dynamic=False, smooth=False)


@pytest.mark.parametrize("layer_class", [RandomChoice, Compose])
def test_harness_of_several(layer_class):
    def arguments(dtype):
        parts = [GaussianBlur(0.7, seed=2, dtype=dtype), GaussianNoise(0.02, seed=3, dtype=dtype)]
        return {"layers": parts, **ACTIVE}

    check_layer(layer_class, arguments, SMALL, dynamic=False)


def test_harness_of_an_enlarged_change():
    def arguments(dtype):
        return {"factor": 2, "change": GaussianBlur(0.7, seed=2, dtype=dtype), **ACTIVE}

    check_layer(Enlarged, arguments, SMALL, dynamic=False, smooth=False)


def test_draws_differ_between_calls_and_images():
    layer = GaussianBlur((0.4, 2.0), seed=3)
    same = np.repeat(IMAGES[:1], 2, axis=0)
    first, second = (to_numpy(layer(same, training=True)) for _ in range(2))
    assert (first != second).any()
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_blur_is_scipys(sigma):
    result = to_numpy(GaussianBlur(sigma)(IMAGES, training=True))
    radius = int(np.ceil(3 * sigma))
    expected = ndimage.gaussian_filter(IMAGES, (0, sigma, sigma, 0), mode="mirror", radius=radius)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("scale", [0.5, 0.75])
def test_resize_is_keras_antialiased_bilinear(scale):
    result = to_numpy(ResizeRoundTrip(scale)(IMAGES, training=True))
    size = tuple(int(np.floor(n * scale + 0.5)) for n in IMAGES.shape[1:3])
    small = keras.ops.image.resize(IMAGES, size, antialias=True)
    expected = to_numpy(keras.ops.image.resize(small, IMAGES.shape[1:3]))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_crop_of_everything_is_the_identity():
    result = to_numpy(CropResize(1.0)(IMAGES, training=True))
    np.testing.assert_allclose(result, IMAGES, atol=1e-6)


def test_crop_enlarges_a_window():
    rows = np.linspace(0, 1, 21, dtype="float32")[:, None, None]
    ramp = np.broadcast_to(rows, (2, 21, 21, 3))
    result = to_numpy(CropResize(0.5, seed=2)(ramp, training=True))[..., 0]
    # Half as steep, and the same along rows.
    steps = np.diff(result, axis=1)[:, 2:-2]
    np.testing.assert_allclose(steps, 0.025, atol=1e-5)
    np.testing.assert_allclose(result, result[:, :, :1] * np.ones(21), atol=1e-5)


def test_a_window_may_leave_the_picture():
    columns = np.arange(20, dtype="float32") / 20
    ramp = np.broadcast_to(columns[None, None, :, None], (4, 20, 20, 3))
    result = to_numpy(CropResize(1.0, shift=0.2, seed=1)(ramp, training=True))[..., 0]
    moved = result[:, 0, 10] - columns[10]
    assert np.ptp(moved) > 0.05 and np.abs(moved).max() <= 0.2
    # As steep as before, and beyond the border its last samples.
    middle = result[:, :, 5:15] - moved[:, None, None]
    np.testing.assert_allclose(middle, np.broadcast_to(columns[5:15], middle.shape), atol=1e-5)
    assert result.min() >= 0 and result.max() <= columns[-1]


def test_color_without_change_is_the_identity():
    result = to_numpy(ColorJitter(0, 0, 0, 0)(IMAGES, training=True))
    np.testing.assert_allclose(result, IMAGES, atol=2e-5)


def test_noise_has_its_deviation():
    grey = np.full((4, 32, 32, 3), 0.5, "float32")
    result = to_numpy(GaussianNoise(0.05, seed=1)(grey, training=True))
    assert abs(result.std() - 0.05) < 0.002


def test_eight_bits_round_half_up():
    values = np.array([0.5, 1.5, 2.49, 254.5], "float32").reshape(1, 2, 2, 1) / 255
    result = to_numpy(Quantize8()(np.repeat(values, 3, axis=-1)))[..., 0].ravel() * 255
    np.testing.assert_allclose(result, [1, 2, 2, 255], atol=1e-4)


def test_choice_takes_every_branch():
    marks = [GaussianNoise(0.0, seed=1), JPEG(10)]
    layer = RandomChoice(marks, seed=5)
    seen = {int(layer.choose(keras.ops.convert_to_tensor(IMAGES))[1]) for _ in range(30)}
    assert seen == {0, 1, 2}


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile takes minutes")
def test_choice_draws_anew_inside_a_compiled_function():
    inputs = keras.Input((16, 20, 3))
    model = keras.Model(
        inputs, RandomChoice([GaussianBlur(1.0, seed=1)], seed=1, always=True)(inputs)
    )
    model.compile(jit_compile=True)
    changed = {bool((model.predict_on_batch(IMAGES) != IMAGES).any()) for _ in range(12)}
    assert changed == {True, False}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JPEG(0), "`quality`"),
        (lambda: JPEG((90, 40)), "`quality`"),
        (lambda: GaussianBlur(0), "`sigma`"),
        (lambda: ResizeRoundTrip(1.5), "`scale`"),
        (lambda: CropResize((0.5,)), "`keep`"),
        (lambda: CropResize(shift=1.0), "`shift`"),
        (lambda: GaussianNoise(-0.1), "`stddev`"),
        (lambda: ColorJitter(hue=0.6), "`hue`"),
        (lambda: RandomChoice([]), "at least one"),
        (lambda: Compose([keras.layers.ReLU()]), "to be distortions"),
        (lambda: GaussianBlur(9.0)(IMAGES, training=True), "radius of 27"),
        (lambda: JPEG(50)(IMAGES[..., :1]), "JPEG expected"),
        (lambda: JPEG(50)((IMAGES * 255).astype("uint8")), r"float images in 0\.\.1.*uint8"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_enlarged():
    flat = np.full((1, 8, 8, 3), 100.3 / 255, "float32")
    np.testing.assert_allclose(to_numpy(Enlarged(4, always=True)(flat)), 100 / 255, atol=1e-6)
    # JPEG's blocks are those of the large picture: they cost the small one less.
    smooth = ndimage.gaussian_filter(noise(2, 32, 32, 3, low=0.0, high=1.0), (0, 2, 2, 0))
    small, large = (
        np.abs(to_numpy(layer(smooth)) - smooth).mean()
        for layer in (JPEG(50, always=True), Enlarged(4, JPEG(50), always=True))
    )
    assert large < small
    with pytest.raises(ValueError, match="`factor`"):
        Enlarged(0)
