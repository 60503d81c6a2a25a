import io

import keras
import numpy as np
import pytest
from harness import to_numpy
from PIL import Image
from skimage import data

from keras_imaging.ops.jpeg import (
    CHROMA_TABLE,
    LUMA_TABLE,
    jpeg_round_trip,
    quantization_table,
)

FACE = data.astronaut()[0:201, 120:323]


def pillow(image, quality, subsampling):
    buffer = io.BytesIO()
    mode = {"444": 0, "420": 2}[subsampling]
    Image.fromarray(image).save(buffer, "jpeg", quality=quality, subsampling=mode)
    return buffer


# Odd sides; and sides that 2 divides but 16 does not, where libjpeg fills up chroma by itself.
@pytest.mark.parametrize("size", [(113, 97), (40, 56)])
@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_libjpeg_gives_the_same_picture(size, subsampling):
    image = np.ascontiguousarray(FACE[: size[0], : size[1]])
    qualities = (30, 50, 75, 95)
    batch = np.repeat(image[None], len(qualities), axis=0).astype("float32") / 255
    result = to_numpy(jpeg_round_trip(batch, np.array(qualities), subsampling)) * 255
    for ours, quality in zip(result, qualities, strict=True):
        np.testing.assert_allclose(ours, np.round(ours), atol=1e-3)
        theirs = np.asarray(Image.open(pillow(image, quality, subsampling)), "float32")
        error = np.abs(np.round(ours) - theirs)
        assert error.mean() <= 0.45
        assert (error == 0).mean() >= 0.7
        assert np.abs(theirs - image).mean() > 2 * error.mean()


@pytest.mark.parametrize("subsampling", ["444", "420"])
def test_noise_is_as_close_as_the_docstring_says(subsampling):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (64, 64, 3)).astype("uint8")
    extreme = (255 * rng.integers(0, 2, (64, 64, 3))).astype("uint8")
    for image, most in ((noise, 1.7), (extreme, 2.5)):
        for quality in (25, 50, 75, 90):
            ours = to_numpy(jpeg_round_trip(image[None] / np.float32(255), quality, subsampling))
            theirs = np.asarray(Image.open(pillow(image, quality, subsampling)), "float32")
            assert np.abs(255 * ours[0] - theirs).mean() < most


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
def test_tables_are_libjpegs(quality):
    file = Image.open(pillow(FACE, quality, "420"))
    for table, base in zip(file.quantization.values(), (LUMA_TABLE, CHROMA_TABLE), strict=True):
        ours = to_numpy(quantization_table(base, quality))
        np.testing.assert_array_equal(ours.ravel(), table)


@pytest.mark.tensorflow
@pytest.mark.parametrize("rounding", ["ste", "cubic", "none"])
def test_gradient_is_finite_and_reaches_every_sample(rounding):
    import tensorflow as tf

    image = tf.constant(FACE[None, :24, :40].astype("float32") / 255)
    weights = tf.random.stateless_uniform(image.shape, seed=(1, 2))
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.reduce_sum(weights * jpeg_round_trip(image, 60, "420", rounding))
    gradient = tape.gradient(value, image).numpy()
    assert np.isfinite(gradient).all()
    if rounding != "cubic":
        assert (gradient != 0).all()


def test_without_rounding_only_the_chroma_is_smoothed():
    grey = np.repeat(np.linspace(0.1, 0.9, 256, dtype="float32").reshape(1, 16, 16, 1), 3, axis=-1)
    result = to_numpy(jpeg_round_trip(grey, 50, "420", "none"))
    np.testing.assert_allclose(result, grey, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"quality": 0}, "1..100"),
        ({"quality": 101}, "1..100"),
        ({"quality": 50, "subsampling": "422"}, "`subsampling` must be one of"),
        ({"quality": 50, "rounding": "soft"}, "`rounding` must be one of"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        jpeg_round_trip(keras.ops.zeros((1, 8, 8, 3)), **arguments)


def test_bad_shape():
    with pytest.raises(ValueError, match=r"\(1, 8, 8, 1\)"):
        jpeg_round_trip(keras.ops.zeros((1, 8, 8, 1)), 50)
