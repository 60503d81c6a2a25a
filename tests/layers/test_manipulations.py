import keras
import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers.distortions.deepfakes import (
    FIXED_REGION,
    FaceInpaint,
    FacePart,
    FaceReenact,
    FaceRegenerate,
    FaceSwap,
    GlobalReencode,
    face_ellipse,
)

IMAGES = noise(3, 48, 48, 3, low=0.0, high=1.0)
CLASSES = [FaceSwap, FaceRegenerate, FaceReenact, FaceInpaint]


@pytest.mark.parametrize(
    "layer_class",
    [FaceRegenerate, FaceReenact, FaceInpaint, GlobalReencode, FaceSwap, FacePart],
)
def test_harness(layer_class):
    # A swap passes no gradient through the colours that it matches.
    check_layer(
        layer_class,
        {"always": True, "seed": 1},
        noise(2, 8, 9, 3, low=0.2, high=0.8),
        dynamic=False,
        smooth=layer_class not in (FaceSwap, FacePart),
    )


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_changes_the_face_and_keeps_the_rest(cls):
    layer = cls(region=FIXED_REGION, seed=1)
    change = np.abs(to_numpy(layer(IMAGES, training=True)) - IMAGES)
    mask = to_numpy(face_ellipse(48, 48, **FIXED_REGION))[0, ..., 0]
    assert change.shape == IMAGES.shape
    assert change[:, mask < 1e-4].max(initial=0) < 1e-3
    assert change[:, :4, :4].max() < 0.01
    assert change[:, mask > 0.9].max() > 0.1
    np.testing.assert_array_equal(to_numpy(cls(region=FIXED_REGION)(IMAGES)), IMAGES)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()


def test_swap_brings_the_donors_face():
    donors = np.zeros_like(IMAGES)
    layer = FaceSwap(match_color=False, region=FIXED_REGION)
    result = to_numpy(layer(IMAGES, donors=donors, training=True))
    assert result[:, 24:28, 22:26].max() < 0.01


def test_swap_matches_the_colours():
    donors = 0.2 * IMAGES[::-1].copy()
    layer = FaceSwap(region=FIXED_REGION)
    result = to_numpy(layer(IMAGES, donors=donors, training=True))
    assert abs(result[:, 20:32, 20:32].mean() - IMAGES[:, 20:32, 20:32].mean()) < 0.1


def test_regeneration_removes_detail():
    result = to_numpy(FaceRegenerate(region=FIXED_REGION)(IMAGES, training=True))
    middle = (slice(None), slice(20, 32), slice(20, 32))
    assert result[middle].std() < 0.3 * IMAGES[middle].std()


def test_reenactment_at_rest_is_a_resize():
    still = to_numpy(FaceReenact(amplitude=0.0, scale=1.0)(IMAGES, training=True))
    np.testing.assert_allclose(still, IMAGES, atol=1e-5)


def test_reencoding_changes_the_whole_picture():
    result = to_numpy(GlobalReencode()(IMAGES, training=True))
    assert np.abs(result - IMAGES)[:, :4, :4].mean() > 0.05
    assert result.std() < 0.5 * IMAGES.std()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FaceSwap(region={"radius": 1}), "`region`"),
        (lambda: FaceSwap(region={"axis_x": 0}), "`axis_x`"),
        (lambda: FaceSwap(scale=3), "`scale`"),
        (lambda: FaceRegenerate(scale=2), "`scale`"),
        (lambda: FaceReenact(amplitude=1), "`amplitude`"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_part_is_replaced_and_the_rest_kept():
    operation, mask = FacePart(seed=3).draw_masked(IMAGES)
    mask = to_numpy(mask)
    change = np.abs(to_numpy(operation(IMAGES)) - IMAGES)
    assert mask.shape == (3, 48, 48, 1) and mask.min() == 0 and mask.max() == 1
    for one, share in zip(change, mask[..., 0], strict=True):
        assert 0.01 < share.mean() < 0.5
        assert one[share == 0].max() == 0 and one[share == 1].mean() > 0.02
