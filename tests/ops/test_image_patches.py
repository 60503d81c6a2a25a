import numpy as np
import pytest

from keras_imaging.ops.image_patches import extract_patches, merge_patches


@pytest.mark.parametrize("stride", [None, 3, 2, 1])
@pytest.mark.parametrize("shape", [(8, 8), (9, 11), (3, 4, 2), (4, 13, 3)])
def test_merging_undoes_extraction(shape, stride):
    image = np.random.default_rng(0).random(shape)
    patches = extract_patches(image, 4, stride)
    assert patches.shape[1:] == (4, 4, *shape[2:])
    np.testing.assert_allclose(merge_patches(patches, shape, stride), image, atol=1e-12)


def test_order_and_padding():
    image = np.arange(1, 16).reshape(3, 5)
    patches = extract_patches(image, 2)
    assert patches.dtype == image.dtype
    np.testing.assert_array_equal(patches[1], [[3, 4], [8, 9]])
    # Zeros below and on the right.
    np.testing.assert_array_equal(patches[2], [[5, 0], [10, 0]])
    np.testing.assert_array_equal(patches[3], [[11, 12], [0, 0]])


def test_overlaps_are_averaged():
    patches = np.stack([np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 4.0)])
    np.testing.assert_array_equal(merge_patches(patches, (2, 4), 1)[0], [0, 0.5, 2.5, 4])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: extract_patches(np.zeros(4), 2), r"\(4,\)"),
        (lambda: extract_patches(np.zeros((4, 0)), 2), r"\(4, 0\)"),
        (lambda: extract_patches(np.zeros((4, 4)), 0), "size=0"),
        (lambda: extract_patches(np.zeros((4, 4)), 2, 3), "stride=3"),
        (lambda: merge_patches(np.zeros((3, 2, 2)), (4, 4)), r"\(4, 2, 2\).*\(3, 2, 2\)"),
    ],
)
def test_bad_arguments(function, message):
    with pytest.raises(ValueError, match=message):
        function()
