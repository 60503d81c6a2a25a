import tracemalloc

import keras
import numpy as np
import pytest

from keras_imaging.data import sample_image
from keras_imaging.inference import enlarge, ensemble, upscale
from keras_imaging.inference.pictures import from_unit
from keras_imaging.inference.tiles import pieces
from keras_imaging.models import IDN, IMDN, RDIDN
from keras_imaging.ops import imresize

TINY = {
    "filters": 8,
    "num_blocks": 1,
    "channel_step": 2,
    "distilled": 2,
    "groups": 2,
}
# Head 2, block 6, global fusion 1, upsampler 1 and tail 1.
TINY_REACH = 11


class Bicubic:
    """A "network" whose every result is known."""

    def __init__(self, scale=2, channels=1, sides=(None, None)):
        self.scale = scale
        self.input_shape = (None, *sides, channels)
        self.shapes = []

    def __call__(self, batch):
        self.shapes.append(batch.shape)
        return imresize(batch, self.scale)


def lively(model):
    """Weights under which every pixel in reach changes the result, which stays in 0..1."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([rng.normal(0, 0.25, w.shape) for w in layer.get_weights()])
    probe = model.predict_on_batch(rng.uniform(size=(1, 32, 32, model.input_shape[-1])))
    last = model.get_layer("tail" if isinstance(model, RDIDN) else "upsample")
    kernel, bias = last.get_weights()
    shrink = 0.1 / np.abs(probe).max()
    last.set_weights([kernel * shrink, np.full_like(bias, 0.02)])
    return model


def colours(height, width, *channels, low=0.2, high=0.8):
    rng = np.random.default_rng(height * width)
    return rng.uniform(low, high, (height, width, *channels)).astype("float32")


@pytest.mark.parametrize("length", [40, 41, 55, 80, 97, 200])
@pytest.mark.parametrize(("side", "overlap"), [(40, 12), (40, 19), (25, 2)])
def test_tiles_cover_every_pixel_once_with_true_context(length, side, overlap):
    found = list(pieces(length, side, overlap))
    assert [p.kept_from for p in found] == [0, *(p.kept_to for p in found[:-1])]
    assert found[-1].kept_to == length
    for p in found:
        assert 0 <= p.start < p.stop <= length
        assert p.stop - p.start == side
        assert p.start == 0 or p.kept_from - p.start >= overlap
        assert p.stop == length or p.stop - p.kept_to >= overlap


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_tiled_equals_untiled(scale):
    model = lively(RDIDN(scale, **TINY, upsample_filters=4))
    for size in ((70, 53), (40, 90), (30, 31), (39, 41)):
        image = colours(*size, 3)
        whole = upscale(model, image, tile=None)
        tiled = upscale(model, image, tile=40, overlap=TINY_REACH)
        np.testing.assert_allclose(tiled, whole, atol=2e-6)
    # The network is lively enough for the test to notice too little context.
    short = upscale(model, colours(70, 53, 3), tile=40, overlap=2)
    whole = upscale(model, colours(70, 53, 3), tile=None)
    assert np.abs(short - whole).max() > 1e-3


@pytest.mark.parametrize("model_class", [RDIDN, IDN])
def test_default_overlap_holds_for_the_full_depth(model_class):
    model = lively(model_class(2, **{**TINY, "num_blocks": 4}))
    image = colours(84, 76)
    whole = upscale(model, image, tile=None)
    np.testing.assert_allclose(upscale(model, image, tile=72), whole, atol=2e-6)
    assert np.abs(upscale(model, image, tile=72, overlap=8) - whole).max() > 1e-5


def test_three_channels_tiled():
    model = lively(RDIDN(2, channels=3, **TINY, upsample_filters=4))
    image = colours(50, 60, 3)
    np.testing.assert_allclose(
        enlarge(model, image), model.predict_on_batch(image[None])[0], atol=1e-6
    )
    whole = upscale(model, image, tile=None)
    tiled = upscale(model, image, tile=40, overlap=TINY_REACH)
    np.testing.assert_allclose(tiled, whole, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16"])
def test_colours_and_types(channels, shape, dtype):
    # With bicubic interpolation for a network, luma and chroma put together again must be the
    # bicubic enlargement of the RGB image.
    top = np.iinfo(dtype).max if "uint" in dtype else 1
    image = (colours(61, 37, *shape) * top).astype(dtype)
    result = upscale(Bicubic(3, channels), image, tile=24, overlap=4)
    assert result.dtype == image.dtype
    assert result.shape == (183, 111, *shape)
    expected = imresize(image.astype("float64"), 3)
    if top == 1:
        np.testing.assert_allclose(result, expected, atol=2e-6)
    else:
        difference = result - np.floor(expected + 0.5)
        assert np.abs(difference).max() <= 1
        assert np.mean(difference != 0) < 0.05


def test_values_are_clipped_and_rounded_half_up():
    edge = np.zeros((12, 12), "uint8")
    edge[:, 6:] = 255
    result = upscale(Bicubic(), edge)
    overshoot = imresize(edge.astype("float64"), 2)
    assert overshoot.min() < -5 and overshoot.max() > 260
    np.testing.assert_array_equal(result, np.floor(overshoot.clip(0, 255) + 0.5))

    np.testing.assert_array_equal(from_unit(np.array([2.5, 3.49, 300]) / 255, "uint8"), [3, 3, 255])


def test_every_call_has_the_same_shape():
    model = Bicubic()
    calls = []
    upscale(model, colours(130, 71), tile=32, overlap=4, progress=lambda *c: calls.append(c))
    # The flat sheets come first.
    assert model.shapes[:5] == [(1, 9, 9, 1)] * 5
    assert set(model.shapes[5:]) == {(1, 32, 32, 1)}
    assert len(model.shapes) == 5 + 6 * 3
    assert calls == [(i, 18) for i in range(1, 19)]


@pytest.mark.tensorflow
def test_network_is_traced_for_flat_sheets_and_for_tiles():
    model = RDIDN(2, **TINY, upsample_filters=4)
    for size in ((70, 53), (100, 41), (64, 64)):
        upscale(model, colours(*size), tile=40, overlap=8)
    assert model.predict_function.experimental_get_tracing_count() == 2


def test_memory_does_not_grow_with_the_picture():
    def extra(side):
        image = np.zeros((side, side, 3), "uint8")
        tracemalloc.start()
        result = upscale(Bicubic(), image, tile=160, overlap=8)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - result.nbytes

    # Sixteen times the pixels; float copies of the whole picture would take 200 MB.
    assert extra(1200) < extra(300) + 1_000_000


def test_self_ensemble_is_the_mean_of_eight():
    model = lively(RDIDN(2, **TINY, upsample_filters=4))
    image = colours(24, 31)
    turned = []
    for flip in (False, True):
        for k in range(4):
            view = np.rot90(image[:, ::-1] if flip else image, k)
            result = model.predict_on_batch(view[None, ..., None].astype("float32"))[0, ..., 0]
            result = np.rot90(result, -k)
            turned.append(result[:, ::-1] if flip else result)
    expected = np.mean(turned, axis=0)
    assert np.abs(expected - turned[0]).max() > 1e-3
    np.testing.assert_allclose(ensemble(model)(image[..., None])[..., 0], expected, atol=1e-6)
    whole = enlarge(model, image[..., None], self_ensemble=True)[..., 0]
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    expected = upscale(model, image, self_ensemble=True, tile=None)
    tiled = upscale(model, image, self_ensemble=True, tile=23, overlap=TINY_REACH)
    np.testing.assert_allclose(tiled, expected, atol=2e-6)


def test_enlarge_does_not_clip():
    image = np.zeros((12, 12, 1), "float32")
    image[6:] = 1
    result = enlarge(Bicubic(), image)
    assert result.min() < 0 and result.max() > 1
    np.testing.assert_allclose(enlarge(Bicubic(), image, tile=8, overlap=2), result, atol=1e-6)


def test_network_of_luma_and_bicubic_chroma():
    model = lively(RDIDN(2, **TINY, upsample_filters=4))
    image = sample_image()[100:140, 100:148]
    from skimage.color import rgb2ycbcr, ycbcr2rgb

    ycbcr = rgb2ycbcr(image)
    luma = upscale(model, (ycbcr[..., :1] / 255).astype("float32")) * 255
    expected = ycbcr2rgb(np.concatenate([luma, imresize(ycbcr[..., 1:], 2)], axis=-1))
    difference = upscale(model, image) - np.floor(expected.clip(0, 1) * 255 + 0.5)
    assert np.mean(difference != 0) < 0.001


def test_model_with_a_fixed_input_is_given_tiles_of_that_size():
    model = lively(RDIDN(2, **TINY, upsample_filters=4))
    edge = model.edge_form(input_shape=(40, 48, 1))
    image = colours(70, 90)
    whole = upscale(model, image, tile=None)
    tiled = upscale(edge, image, tile=500, overlap=TINY_REACH)
    np.testing.assert_allclose(tiled, whole, atol=5e-6)
    with pytest.raises(ValueError, match=r"exactly 48 x 40 pixels \(width x height\).*90 x 30"):
        upscale(edge, colours(30, 90), overlap=TINY_REACH)
    with pytest.raises(ValueError, match="less than half the model's input"):
        upscale(edge, image)


def test_imdn_runs():
    model = IMDN(2, filters=16, num_blocks=1)
    assert upscale(model, sample_image()[:20, :30]).shape == (40, 60, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_picture_stays_flat(channels):
    model = lively(RDIDN(2, channels=channels, **TINY, upsample_filters=4))
    flat = np.full((1, 30, 30, channels), 0.7, "float32")
    assert np.ptp(model.predict_on_batch(flat)) > 0.01
    for value, dtype in ((0, "uint8"), (255, "uint8"), (65535, "uint16"), (40000, "uint16")):
        for shape in ((45, 33), (45, 33, 3)):
            result = upscale(model, np.full(shape, value, dtype), tile=30, overlap=TINY_REACH)
            np.testing.assert_array_equal(result, np.full((90, 66, *shape[2:]), value, dtype))
    colour = np.full((20, 30, 3), [10, 20000, 65535], "uint16")
    np.testing.assert_array_equal(upscale(model, colour), colour.repeat(2, 0).repeat(2, 1))


def test_flat_areas_of_other_pictures_stay_flat():
    # Far from an edge, and at a border, black and white are those of flat pictures.
    model = lively(RDIDN(2, **TINY, upsample_filters=4))
    image = np.zeros((40, 80), "uint8")
    image[:, 40:] = 255
    result = upscale(model, image, tile=30, overlap=TINY_REACH)
    assert (result[:, : 80 - 2 * TINY_REACH] == 0).all()
    assert (result[:, 80 + 2 * TINY_REACH :] == 255).all()


def test_the_global_attention_of_imdn_does_not_matter_to_a_flat_picture():
    model = lively_imdn()
    image = np.full((50, 40, 3), 200, "uint8")
    assert (upscale(model, image, tile=30, overlap=8) == 200).all()


def lively_imdn():
    model = IMDN(2, filters=16, num_blocks=1)
    bias = [w for w in model.weights if w.path.endswith("bias")]
    for weight in bias:
        weight.assign(np.random.default_rng(0).normal(0, 0.05, weight.shape))
    return model


def test_hidden_colours_do_not_show():
    # A white disc on transparent pixels whose colour is black, laid over white.
    row, column = np.ogrid[-20:20, -20:20]
    alpha = (np.hypot(row, column) < 12).astype("uint8") * 255
    image = np.dstack([alpha, alpha, alpha, alpha])
    for model in (Bicubic(channels=1), Bicubic(channels=3)):
        result = upscale(model, image, tile=24, overlap=4).astype("float64")
        share = result[..., 3:] / 255
        over_white = result[..., :3] * share + 255 * (1 - share)
        assert over_white.min() == 255


def test_one_pixel():
    model = RDIDN(2, **TINY, upsample_filters=4)
    assert upscale(model, np.zeros((1, 1, 3), "uint8")).shape == (2, 2, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.5, -0.5, 255.0])
def test_bad_values(bad):
    image = colours(8, 8, 3)
    image[3, 4, 1] = bad
    with pytest.raises(ValueError, match="NaN" if np.isnan(bad) else r"0\.\.1"):
        upscale(Bicubic(), image)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), "int32"),
        np.zeros((8, 8), bool),
        np.zeros((8, 8), "complex64"),
        np.zeros((8, 8, 2), "uint8"),
        np.zeros((1, 8, 8, 3), "uint8"),
        np.zeros((8,), "uint8"),
        np.zeros((0, 8), "uint8"),
    ],
)
def test_bad_images(image):
    with pytest.raises(ValueError, match=r"Expected .* Received"):
        upscale(Bicubic(), image)


def test_bad_tiles():
    image = np.zeros((100, 100), "uint8")
    with pytest.raises(ValueError, match="tile=64, overlap=32"):
        upscale(Bicubic(), image, tile=64)
    with pytest.raises(ValueError, match="overlap=1"):
        upscale(Bicubic(), image, overlap=1)
    with pytest.raises(ValueError, match="2 channels"):
        upscale(Bicubic(channels=2), image)


def test_integer_input_to_the_model_itself_is_refused():
    with pytest.raises(ValueError, match="divide by 255"):
        RDIDN(2, **TINY)(keras.ops.zeros((1, 8, 8, 1), dtype="uint8"))
