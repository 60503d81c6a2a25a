"""The protocols, against a second implementation written here from their definition."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from keras_imaging.evaluation import evaluate_super_resolution
from keras_imaging.models import IMDN, RDIDN

TINY = {"filters": 8, "num_blocks": 1, "channel_step": 2, "distilled": 2, "groups": 2}


class Bicubic:
    def __init__(self, scale, channels=1):
        self.scale = scale
        self.input_shape = (None, None, None, channels)

    def __call__(self, batch):
        enlarged = resize(batch[0].astype("float64"), self.scale)
        return enlarged[None]


def resize(image, scale, rounded=False):
    """Dense matrices of the cubic kernel, rows first; rounded to 8 bits after each axis or not."""
    for axis in (0, 1):
        matrix = resize_matrix(image.shape[axis], scale)
        image = np.moveaxis(np.tensordot(matrix, image, axes=(1, axis)), 0, axis)
        if rounded:
            image = np.clip(np.floor(image + 0.5), 0, 255)
    return image


def resize_matrix(length, scale):
    matrix = np.zeros((round(length * scale), length))
    squeeze = min(scale, 1)
    for row in range(len(matrix)):
        centre = (row + 0.5) / scale - 0.5
        for source in range(-4 * length, 5 * length):
            t = abs(squeeze * (centre - source))
            if t <= 1:
                weight = 1.5 * t**3 - 2.5 * t**2 + 1
            elif t <= 2:
                weight = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
            else:
                continue
            mirrored = source % (2 * length)
            matrix[row, min(mirrored, 2 * length - 1 - mirrored)] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


def luma(rgb):
    return np.floor(16 + rgb @ np.array([65.481, 128.553, 24.966]) / 255 + 0.5).astype("uint8")


def eight_bits(image):
    return np.clip(np.floor(image * 255 + 0.5), 0, 255).astype("uint8")


def scores(result, truth, border):
    result, truth = (image[border:-border, border:-border] for image in (result, truth))
    similarity = structural_similarity(
        result, truth, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return peak_signal_noise_ratio(truth, result), similarity


def bicubic_scores_a(image, scale):
    image = image[: len(image) // scale * scale, : image.shape[1] // scale * scale]
    truth = luma(image) if image.ndim == 3 else image
    low = resize(truth / 255, 1 / scale)
    return scores(eight_bits(resize(low, scale)), truth, scale)


def bicubic_scores_b(image, scale):
    image = image[: len(image) // scale * scale, : image.shape[1] // scale * scale]
    low = resize(image.astype("float64"), 1 / scale, rounded=True)
    result = resize(low, scale, rounded=True)
    if image.ndim == 3:
        result, image = luma(result), luma(image)
    return scores(result.astype("uint8"), image, scale)


@pytest.fixture(scope="module")
def pictures():
    return {
        "cat.png": data.chelsea()[60:141, 120:211],
        "coins.png": data.coins()[40:110, 30:95],
        "cup.png": data.coffee()[100:160, 200:290],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("pictures")
    for name, picture in pictures.items():
        Image.fromarray(picture).save(path / name)
    return path


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("protocol", ["A", "B"])
def test_bicubic_baseline(folder, pictures, scale, protocol):
    result = evaluate_super_resolution(Bicubic(scale), folder, scale, protocol)
    expected_of = {"A": bicubic_scores_a, "B": bicubic_scores_b}[protocol]
    expected = {name: expected_of(picture, scale) for name, picture in pictures.items()}
    assert list(result.images) == sorted(expected)
    for name, (psnr, ssim) in expected.items():
        assert result.images[name].bicubic_psnr == pytest.approx(psnr, abs=1e-3)
        assert result.images[name].bicubic_ssim == pytest.approx(ssim, abs=1e-5)
    mean = np.mean(list(expected.values()), axis=0)
    assert result.mean.bicubic_psnr == pytest.approx(mean[0], abs=1e-3)
    assert result.mean.bicubic_ssim == pytest.approx(mean[1], abs=1e-5)


def test_protocols_differ(folder):
    a = evaluate_super_resolution(Bicubic(2), folder).mean
    b = evaluate_super_resolution(Bicubic(2), folder, protocol="B").mean
    assert abs(a.bicubic_psnr - b.bicubic_psnr) > 0.003


def test_a_network_that_interpolates_scores_as_the_baseline(folder):
    # Protocol A gives the network the unrounded luma and rounds its result only: any other
    # handling would part these two.
    for scale in (2, 3):
        for name, one in evaluate_super_resolution(Bicubic(scale), folder).images.items():
            assert one.psnr == pytest.approx(one.bicubic_psnr, abs=2e-3), name
            assert one.ssim == pytest.approx(one.bicubic_ssim, abs=2e-5), name


@pytest.mark.parametrize("channels", [1, 3])
def test_protocol_b_takes_both_kinds_of_networks(folder, channels):
    result = evaluate_super_resolution(Bicubic(2, channels), folder, protocol="B")
    for one in result.images.values():
        # The baseline also rounds between its two axes, the network does not.
        assert one.psnr == pytest.approx(one.bicubic_psnr, abs=0.05)


def test_a_keras_model_of_protocol_a(folder, pictures):
    model = RDIDN(2, **TINY, upsample_filters=4, global_skip="bicubic")
    kernel, bias = model.get_layer("tail").get_weights()
    model.get_layer("tail").set_weights([kernel * 0, bias + 10 / 255])
    result = evaluate_super_resolution(model, folder)
    for name, picture in pictures.items():
        truth = picture[: len(picture) // 2 * 2, : picture.shape[1] // 2 * 2]
        truth = luma(truth) if truth.ndim == 3 else truth
        brighter = resize(resize(truth / 255, 0.5), 2) + 10 / 255
        psnr, ssim = scores(eight_bits(brighter), truth, 2)
        assert result.images[name].psnr == pytest.approx(psnr, abs=2e-3)
        assert result.images[name].ssim == pytest.approx(ssim, abs=2e-5)


def test_self_ensemble_and_tiles(folder):
    model = RDIDN(2, **TINY, upsample_filters=4)
    kernel, bias = model.get_layer("tail").get_weights()
    model.get_layer("tail").set_weights([kernel * 20, bias])
    plain = evaluate_super_resolution(model, folder)
    assert evaluate_super_resolution(model, folder, tile=68).mean == plain.mean
    averaged = evaluate_super_resolution(model, folder, self_ensemble=True)
    assert averaged.self_ensemble
    assert averaged.mean.psnr != plain.mean.psnr
    assert averaged.mean.bicubic_psnr == plain.mean.bicubic_psnr


def test_unreadable_files_are_named_and_left_out(tmp_path, pictures):
    Image.fromarray(pictures["cat.png"]).save(tmp_path / "cat.png")
    alpha = np.dstack([pictures["cat.png"], np.full(pictures["cat.png"].shape[:2], 7, "uint8")])
    Image.fromarray(alpha).save(tmp_path / "cat_alpha.png")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((40, 40), "uint16")).save(tmp_path / "deep.png")
    progress = []
    result = evaluate_super_resolution(Bicubic(2), tmp_path, progress=lambda *c: progress.append(c))
    assert set(result.images) == {"cat.png", "cat_alpha.png"}
    assert result.images["cat.png"] == result.images["cat_alpha.png"]
    assert "empty" in result.skipped["empty.png"]
    assert "8 bits" in result.skipped["deep.png"]
    assert progress == [(i, 4) for i in range(1, 5)]
    assert json.loads(json.dumps(result.to_dict()))["mean"]["psnr"] == result.mean.psnr


def test_no_readable_image(tmp_path):
    with pytest.raises(ValueError, match="no picture"):
        evaluate_super_resolution(Bicubic(2), tmp_path)
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty\.png"):
        evaluate_super_resolution(Bicubic(2), tmp_path)


def test_image_too_small_for_ssim_is_named(tmp_path):
    # 2 * border + 11 = 15 pixels at x2.
    Image.new("L", (40, 15)).save(tmp_path / "fits.png")
    with pytest.raises(ValueError, match=r"fits\.png.*15 pixels"):
        evaluate_super_resolution(Bicubic(2), tmp_path)
    Image.new("L", (40, 16)).save(tmp_path / "fits.png")
    assert len(evaluate_super_resolution(Bicubic(2), tmp_path).images) == 1


def test_without_mod_crop(tmp_path, pictures):
    Image.fromarray(pictures["cat.png"]).save(tmp_path / "odd.png")
    with pytest.raises(ValueError, match=r"odd\.png.*multiples of the scale 2.*91 x 81"):
        evaluate_super_resolution(Bicubic(2), tmp_path, mod_crop=False)


def test_bad_arguments(folder):
    with pytest.raises(ValueError, match="enlarges 2 times"):
        evaluate_super_resolution(Bicubic(2), folder, scale=3)
    with pytest.raises(ValueError, match="'C'"):
        evaluate_super_resolution(Bicubic(2), folder, protocol="C")
    with pytest.raises(ValueError, match="protocol='B'"):
        evaluate_super_resolution(IMDN(2, filters=16, num_blocks=1), folder)
