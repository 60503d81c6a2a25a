"""Holes, textures, and the sampler that puts them on photographs."""

import numpy as np
import pytest

from keras_imaging.data import InpaintingSampler, periodic_textures, random_inpainting_masks
from keras_imaging.data.inpainting_masks import KINDS, draw_inpainting_mask


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("training", 0.28, 0.42), ("medium", 0.17, 0.28)]
)
def test_masks_are_binary_and_of_the_expected_area(kind, low, high):
    masks = random_inpainting_masks(150, (64, 64), kind, seed=1)
    assert (masks.shape, masks.dtype) == ((150, 64, 64, 1), np.float32)
    assert set(np.unique(masks)) == {0.0, 1.0}
    areas = masks.mean(axis=(1, 2, 3))
    assert areas.min() > 0
    assert areas.max() <= KINDS[kind].largest
    assert low < areas.mean() < high


def test_mask_number_k_depends_on_the_seed_and_k():
    three, five = (random_inpainting_masks(n, (32, 48), seed=7) for n in (3, 5))
    np.testing.assert_array_equal(three, five[:3])
    assert not np.array_equal(three, random_inpainting_masks(3, (32, 48), seed=8))
    assert not np.array_equal(five[0], five[1])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_masks_scale_with_the_picture(kind):
    small = random_inpainting_masks(20, (64, 96), kind)
    large = random_inpainting_masks(20, (128, 192), kind)
    shrunk = large.reshape(20, 64, 2, 96, 2).mean(axis=(2, 4))
    # They differ at most along the outlines.
    assert np.abs(shrunk - small[..., 0]).mean() < 0.03
    assert np.abs(shrunk - small[..., 0])[small[..., 0] == 1].mean() < 0.06


def test_boxes_are_boxes_inside_their_margin(monkeypatch):
    kind = KINDS["training"]
    only = kind._replace(box_share=1.0, boxes=kind.boxes._replace(count=(1, 1)))
    monkeypatch.setitem(KINDS, "one box", only)
    sides = set()
    for mask in random_inpainting_masks(60, (256, 256), "one box")[..., 0]:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert min(rows[0], columns[0]) >= 10
        assert max(rows[-1], columns[-1]) <= 245
        sides |= {len(rows), len(columns)}
    assert min(sides) >= 30 and min(sides) < 45
    assert max(sides) <= 150 and max(sides) > 135


def test_a_stroke_is_as_wide_as_its_brush(monkeypatch):
    kind = KINDS["training"]
    strokes = kind.strokes._replace(polylines=(1, 1), length=(60, 60), width=(9, 9))
    monkeypatch.setitem(KINDS, "stroke", kind._replace(box_share=0.0, strokes=strokes))
    areas = []
    for seed in range(30):
        mask = draw_inpainting_mask(np.random.default_rng(seed), (256, 256), "stroke")
        areas.append(mask.sum())
    # One to five segments of 60 pixels with round ends, some cut by the border.
    whole = 60 * 9 + np.pi * 4.5**2
    assert any(abs(area - whole) < 15 for area in areas)
    assert max(areas) < 5 * whole


def test_textures_repeat():
    (image,) = periodic_textures(1, (256, 256), period=(8, 12), seed=2)
    assert image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1 and image.std() > 0.05
    # The picture equals itself moved by some vector other than (0, 0) as if nothing had happened.
    spectrum = np.abs(np.fft.fft2(image[..., 1] - image[..., 1].mean())) ** 2
    correlation = np.fft.ifft2(spectrum).real
    correlation /= correlation[0, 0]
    # Moved by less than six pixels a picture resembles itself anyhow.
    assert correlation[6:40, 6:40].max() > 0.8
    np.testing.assert_array_equal(periodic_textures(2, (32, 32), seed=5)[1:].shape, (1, 32, 32, 3))


def _images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape).astype("uint8") for shape in ((40, 60, 3), (33, 32))]


def test_batches_are_crops_with_holes():
    images = _images()
    sampler = InpaintingSampler(images, patch_size=32, batch_size=40)
    inputs, pictures = sampler.batch(3)
    assert inputs.dtype == pictures.dtype == np.float32
    picture, mask = inputs[..., :3], inputs[..., 3:]
    assert set(np.unique(mask)) == {0.0, 1.0}
    np.testing.assert_array_equal(picture, pictures * (1 - mask))
    places = {}
    for number, image in enumerate(images):
        image = np.atleast_3d(image) / np.float32(255)
        image = np.broadcast_to(image, (*image.shape[:2], 3)).astype("float32")
        for top in range(image.shape[0] - 31):
            for left in range(image.shape[1] - 31):
                crop = image[top : top + 32, left : left + 32]
                places[crop.tobytes()] = places[crop[:, ::-1].tobytes()] = number
    found = [places[crop.tobytes()] for crop in pictures]
    # Places, not images, are equally likely: 9 * 29 of the one, 2 of the other.
    assert found.count(0) >= 37


def test_rows_of_a_batch_are_those_of_the_whole_batch():
    arguments = {"patch_size": 16, "batch_size": 6, "textures": 0.5}
    sampler = InpaintingSampler(_images(), **arguments)
    whole = sampler.batch(11)
    for rows in (slice(0, 3), slice(3, 6)):
        for part, all_rows in zip(sampler.batch(11, rows), whole, strict=True):
            np.testing.assert_array_equal(part, all_rows[rows])
    again = InpaintingSampler(_images(), **arguments).batch(11)
    np.testing.assert_array_equal(again[0], whole[0])
    other = InpaintingSampler(_images(), **arguments, seed=1).batch(11)
    assert not np.array_equal(other[0], whole[0])
    assert not np.array_equal(sampler.batch(12)[0], whole[0])


def test_textures_take_their_share():
    black = [np.zeros((20, 20), "uint8")]
    for share, expected in ((0.0, (0, 0)), (0.5, (30, 70)), (1.0, (100, 100))):
        sampler = InpaintingSampler(black, patch_size=16, batch_size=100, textures=share)
        count = np.any(sampler.batch(0)[1], axis=(1, 2, 3)).sum()
        assert expected[0] <= count <= expected[1]


def test_shrunk_images_come_too():
    image = np.zeros((32, 32), "uint8")
    image[:, 16:] = 255
    sampler = InpaintingSampler([image], 16, batch_size=30, shrink=(1.0, 0.5))
    _, pictures = sampler.batch(0)
    # Only the shrunk picture shows both halves in equal parts in all its crops.
    assert len(sampler._images) == 2
    assert sampler._images[1][0].shape == (16, 16, 3)
    assert pictures.max() <= 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_inpainting_masks(0, (32, 32)), "count=0"),
        (lambda: random_inpainting_masks(1, (4, 32)), r"size=\(4, 32\)"),
        (lambda: random_inpainting_masks(1, (32, 32), "huge"), "kind='huge'"),
        (lambda: periodic_textures(0, (32, 32)), "count=0"),
        (lambda: periodic_textures(1, (32, 32), period=(9, 5)), r"period=\(9, 5\)"),
        (lambda: InpaintingSampler([], 16, 2), "no training images"),
        (lambda: InpaintingSampler(_images(), 64, 2), "the largest image is 60 x 40"),
        (lambda: InpaintingSampler(_images(), 16, 2, textures=1.5), "textures=1.5"),
        (lambda: InpaintingSampler(_images(), 16, 2, masks="small"), "kind='small'"),
        (lambda: InpaintingSampler([np.zeros((32, 32))], 16, 2), "float64"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
