"""Filling holes of real pictures, and scoring how well it was done."""

import keras
import numpy as np
import pytest
from skimage.metrics import structural_similarity

from keras_imaging.data import random_inpainting_masks, sample_image
from keras_imaging.evaluation import evaluate_inpainting, hole_scores
from keras_imaging.inference import inpaint
from keras_imaging.models import LaMaGenerator


class Recorder:
    """Stands for a network: remembers what it was given, proposes a ramp over all channels."""

    stride = 8

    def __init__(self, channels=3, size=(None, None)):
        self.input_shape = (None, *size, channels + 1)
        self.seen = []

    def __call__(self, inputs):
        self.seen.append(inputs)
        _, height, width, channels = inputs.shape
        ramp = np.linspace(0, 1, height * width, dtype="float32").reshape(1, height, width, 1)
        return np.repeat(ramp, channels - 1, axis=-1) * np.linspace(1, 0.5, channels - 1)


@pytest.fixture
def hole():
    hole = np.zeros((21, 30), bool)
    hole[4:9, 10:30] = True
    return hole


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4,)])
def test_known_pixels_stay_and_holes_take_the_proposal(dtype, shape, hole):
    rng = np.random.default_rng(0)
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = (rng.random((21, 30, *shape)) * top).astype(dtype)
    model = Recorder()
    result = inpaint(model, image, hole)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(result[~hole], image[~hole])
    ramp = np.linspace(0, 1, 24 * 32).reshape(24, 32, 1) * np.linspace(1, 0.5, 3)
    expected = (ramp if shape and shape[0] > 1 else ramp.mean(axis=-1, keepdims=True))[:21, :30]
    filled = np.atleast_3d(result)[..., :3][hole].astype("float64") / top
    np.testing.assert_allclose(filled, expected[hole], atol=max(1e-6, 0.51 / top * (top > 1)))
    if shape == (4,):
        np.testing.assert_array_equal(result[..., 3], image[..., 3])


def test_what_the_network_sees(hole):
    rng = np.random.default_rng(1)
    image = rng.random((21, 30, 3)).astype("float32")
    model = Recorder()
    inpaint(model, image, hole[..., None].astype("uint8"))
    (inputs,) = model.seen
    assert (inputs.shape, inputs.dtype) == ((1, 24, 32, 4), np.float32)
    known = np.where(hole[..., None], 0, image)
    np.testing.assert_array_equal(inputs[0, :21, :30, :3], known)
    np.testing.assert_array_equal(inputs[0, :21, :30, 3], hole)
    # Reflected at the lower and the right border.
    np.testing.assert_array_equal(inputs[0, 21:, :30, :3], known[17:20][::-1])
    np.testing.assert_array_equal(inputs[0, :21, 30:, :3], known[:, 27:29][:, ::-1])


def test_hidden_pixels_do_not_matter(hole):
    image = np.random.default_rng(2).integers(0, 256, (21, 30, 3)).astype("uint8")
    first, second = Recorder(), Recorder()
    inpaint(first, image, hole)
    image[hole] = 255
    inpaint(second, image, hole)
    np.testing.assert_array_equal(first.seen[0], second.seen[0])


def test_network_of_one_channel_fills_colours_one_by_one(hole):
    image = np.random.default_rng(3).random((21, 30, 3)).astype("float32")
    model = Recorder(channels=1)
    result = inpaint(model, image, hole)
    assert [inputs.shape for inputs in model.seen] == [(1, 24, 32, 2)] * 3
    np.testing.assert_array_equal(model.seen[2][0, :21, :30, 0], np.where(hole, 0, image[..., 2]))
    np.testing.assert_array_equal(result[~hole], image[~hole])


def test_sizes():
    # As large as the model's fixed input, smaller, and as small as its stride.
    for size, fixed, seen in (
        ((16, 24), (16, 24), (16, 24)),
        ((13, 20), (16, 24), (16, 24)),
        ((8, 9), (None, None), (16, 16)),
    ):
        model = Recorder(size=fixed)
        mask = np.zeros(size, bool)
        mask[2:4, 3:5] = True
        assert inpaint(model, np.zeros(size, "uint8"), mask).shape == size
        assert model.seen[0].shape == (1, *seen, 4)


def test_nothing_to_fill():
    model = Recorder()
    image = sample_image()[:20, :20]
    result = inpaint(model, image, np.zeros((20, 20), bool))
    np.testing.assert_array_equal(result, image)
    assert result is not image
    assert model.seen == []


@pytest.mark.parametrize(
    ("size", "mask", "message"),
    [
        ((21, 30), np.zeros((30, 21), bool), "image's size, 30 x 21 pixels"),
        ((21, 30), np.zeros((21, 30, 3), bool), r"mask of shape \(21, 30, 3\)"),
        ((21, 30), np.full((21, 30), 0.5), "values from 0.5 to 0.5"),
        ((21, 30), np.full((21, 30), 255, "uint8"), "threshold"),
        ((21, 30), np.ones((21, 30)), "covers the whole image"),
        ((7, 30), np.zeros((7, 30), bool), "at least 8 x 8 pixels, the network's stride"),
    ],
)
def test_bad_input(size, mask, message):
    with pytest.raises(ValueError, match=message):
        inpaint(Recorder(), np.zeros((*size, 3), "uint8"), mask)


def test_windows_around_the_holes():
    """Far holes have windows of their own, near ones share one; all begin at multiples of 8."""
    image = np.random.default_rng(4).integers(0, 256, (500, 700, 3)).astype("uint8")
    mask = np.zeros((500, 700), bool)
    mask[3:13, 5:25] = True
    mask[30:40, 60:70] = True
    mask[300:400, 500:580] = True
    model = Recorder()
    result = inpaint(model, image, mask)
    assert [x.shape[1:3] for x in model.seen] == [(112, 136), (304, 280)]
    seen, where = model.seen[1][0], np.s_[200:500, 400:680]
    np.testing.assert_array_equal(seen[:300, :280, 3], mask[where])
    known = image[where] / np.float32(255) * ~mask[where][..., None]
    np.testing.assert_allclose(seen[:300, :280, :3], known, atol=1e-7)
    np.testing.assert_array_equal(result[~mask], image[~mask])
    assert np.all((result != image).any(axis=-1)[300:400, 500:580].mean() > 0.9)

    model = Recorder()
    inpaint(model, image, mask, context=6)
    assert [x.shape[1:3] for x in model.seen] == [(24, 32), (24, 32), (120, 104)]
    # A fixed size is used whole.
    model = Recorder(size=(128, 128))
    inpaint(model, image, mask)
    np.testing.assert_array_equal(model.seen[1][0, ..., 3], mask[280:408, 472:600])
    with pytest.raises(ValueError, match="`context` must be at least 1"):
        inpaint(model, image, mask, context=0)


def test_a_window_is_the_whole_where_the_field_ends_within_it():
    keras.utils.set_random_seed(0)
    model = LaMaGenerator(width=4, num_downsamples=2, num_blocks=1, ratio=0.0)
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (203, 303, 3)).astype("uint8")
    mask = np.zeros((203, 303), bool)
    mask[90:101, 151:173] = True
    mask[195:, :9] = True
    whole = inpaint(model, image, mask, context=303).astype(int)
    assert np.abs(inpaint(model, image, mask).astype(int) - whole).max() <= 1
    assert np.abs(inpaint(model, image, mask, context=8).astype(int) - whole).max() > 1


def test_too_large_for_a_fixed_model(hole):
    with pytest.raises(ValueError, match="at most 16 x 16"):
        inpaint(Recorder(size=(16, 16)), np.zeros((21, 30), "uint8"), hole)


def test_scores_of_a_known_error():
    truth = sample_image()[:40, :50].clip(20, 230)
    hole = np.zeros((40, 50), bool)
    hole[10:20, 15:40] = True
    filled = truth.copy()
    filled[hole] += 10
    scores = hole_scores(filled, truth, hole)
    share = hole.mean()
    assert scores.hole_l1 == pytest.approx(10 / 255)
    assert scores.l1 == pytest.approx(10 / 255 * share)
    assert scores.hole_psnr == pytest.approx(20 * np.log10(255 / 10))
    assert scores.psnr == pytest.approx(scores.hole_psnr - 10 * np.log10(share))
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, whole = structural_similarity(
        filled, truth, channel_axis=-1, data_range=255, full=True, **options
    )
    assert scores.ssim == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-4)
    assert scores.hole_ssim == pytest.approx(whole[hole].mean(), abs=1e-4)


def test_evaluation_of_pictures():
    images = [sample_image()[:40, :48], sample_image()[100:132, 100:140, 0]]
    scores = evaluate_inpainting(Recorder(), images, "medium", seed=4)
    masks = [
        random_inpainting_masks(1, image.shape[:2], "medium", 4 + number)[0]
        for number, image in enumerate(images)
    ]
    again = evaluate_inpainting(Recorder(), images, masks)
    assert again == scores
    assert scores.missing == pytest.approx(np.mean([m.mean() for m in masks]))
    one = hole_scores(inpaint(Recorder(), images[1], masks[1]), images[1], masks[1])
    assert scores.images[1] == one
    mean = np.mean([s.hole_psnr for s in scores.images])
    assert scores.mean.hole_psnr == pytest.approx(mean)
    assert scores.to_dict()["mean"]["hole_l1"] == scores.mean.hole_l1
    assert scores.mean.hole_psnr < scores.mean.psnr


def test_holes_at_the_border_have_no_similarity_of_their_own():
    image = sample_image()[:40, :48]
    hole = np.zeros((40, 48), bool)
    hole[:3] = True
    inner = np.roll(hole, 12, axis=0)
    scores = evaluate_inpainting(Recorder(), [image, image], [hole, inner])
    assert np.isnan(scores.images[0].hole_ssim)
    assert scores.mean.hole_ssim == scores.images[1].hole_ssim


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        ([], "medium", "no images"),
        ([np.zeros((32, 32), "uint8")], [], "Expected 1 masks"),
        ([np.zeros((32, 32), "float32")], "medium", "Expected uint8"),
        ([np.zeros((32, 32), "uint8")], [np.zeros((32, 32), bool)], "no missing pixel"),
    ],
)
def test_bad_evaluation(images, masks, message):
    with pytest.raises(ValueError, match=message):
        evaluate_inpainting(Recorder(), images, masks)


def test_hidden_colours_are_not_shown_to_the_network(hole):
    image = np.full((21, 30, 4), 255, "uint8")
    image[:, 20:] = 0
    model = Recorder()
    result = inpaint(model, image, hole)
    (inputs,) = model.seen
    assert (inputs[0, :21, :30, :3][~hole] == 1).all()
    np.testing.assert_array_equal(result[~hole], image[~hole])
