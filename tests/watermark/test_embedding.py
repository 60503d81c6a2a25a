import io
import tracemalloc

import keras
import numpy as np
import pytest
from PIL import Image
from watermark_stand_ins import BITS, SIZE, Decoder, Encoder

from keras_imaging.data import sample_image
from keras_imaging.models.faceguard import FaceGuardDecoder, FaceGuardEncoder
from keras_imaging.watermark import embed, extract, watermark_bits

IMAGE = sample_image()
WIDE = np.concatenate([IMAGE, IMAGE[:, ::-1]], axis=1)[:301]
CODE = watermark_bits(bytes(32), "alice")


def matches(image, box=None, bits=CODE):
    return int(((extract(Decoder(), image, box) > 0) == bits).sum())


@pytest.mark.parametrize("image", [IMAGE, WIDE, IMAGE[100:133, 100:140]], ids=["384", "wide", "33"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_bits_come_back(image, dtype):
    if dtype != "uint8":
        image = image.astype("uint16") * 257 if dtype == "uint16" else (image / 255).astype(dtype)
    stamped = embed(Encoder(), image, CODE, strength=0.08)
    assert (stamped.shape, stamped.dtype) == (image.shape, image.dtype)
    assert matches(stamped) >= 62
    assert 20 < matches(image) < 44
    top = 1 if dtype == "float32" else np.iinfo(dtype).max
    assert np.abs(stamped.astype(float) - image).max() <= 0.08 * top + 0.5


def test_bits_come_back_after_processing():
    stamped = Image.fromarray(embed(Encoder(), WIDE, CODE, strength=0.08))
    file = io.BytesIO()
    stamped.save(file, "JPEG", quality=75)
    half = stamped.resize((stamped.width // 2, stamped.height // 2), Image.BILINEAR)
    for processed in (Image.open(file), half):
        assert matches(np.array(processed)) >= 60


def test_a_region():
    box = (150, 30, 290, 180)
    stamped = embed(Encoder(), WIDE, CODE, 0.08, box)
    assert matches(stamped, box) >= 62 and matches(stamped) < 44
    changed = np.any(stamped != WIDE, axis=-1)
    assert changed[30:180, 150:290].mean() > 0.8
    changed[30:180, 150:290] = False
    assert not changed.any()
    # The face goes with the picture when that is cropped.
    moved = tuple(np.subtract(box, (100, 20, 100, 20)))
    assert matches(stamped[20:200, 100:], moved) >= 62


def test_a_region_that_leaves_the_picture():
    box = (-30, -40, 200, 190)
    stamped = embed(Encoder(), IMAGE, CODE, 0.08, box)
    # Of eight rows and columns of cells the first one or two are outside.
    inside = np.add.outer(8 * np.arange(2, 8), np.arange(2, 8)).ravel()
    assert ((extract(Decoder(), stamped, box) > 0) == CODE)[inside].all()


def test_all_colours_change_alike_and_white_stays_in_range():
    grey = np.full((90, 80, 3), (60, 120, 180), "uint8")
    change = embed(Encoder(), grey, CODE).astype(int) - grey
    assert np.abs(change).max() == 8
    np.testing.assert_array_equal(change[..., 0], change[..., 2])
    white = embed(Encoder(), np.full((64, 64, 3), 255, "uint8"), CODE)
    assert white.max() == 255 and 240 < white.min() < 255


def test_support():
    support = np.zeros((SIZE, SIZE))
    support[:, SIZE // 2 :] = 1
    change = embed(Encoder(), IMAGE, CODE, support=support) != IMAGE
    assert not change[:, :180].any() and change[:, 200:].mean() > 0.8
    for bad in (np.ones((8, 8)), 2 * support, -support):
        with pytest.raises(ValueError, match="`support`"):
            embed(Encoder(), IMAGE, CODE, support=bad)


def test_memory_does_not_grow_with_the_picture():
    image = np.zeros((3000, 2000, 3), "uint8")
    tracemalloc.start()
    try:
        stamped = embed(Encoder(), image, CODE)
        embedding = tracemalloc.get_traced_memory()[1] - image.nbytes
        tracemalloc.reset_peak()
        extract(Decoder(), stamped)
        extracting = tracemalloc.get_traced_memory()[1] - image.nbytes
    finally:
        tracemalloc.stop()
    # The float form of the picture would be 72 MB.
    assert embedding < 15e6 and extracting < 15e6


# JAX takes minutes to compile the pair; nothing in it depends on the backend.
@pytest.mark.tensorflow
def test_with_the_networks():
    encoder = FaceGuardEncoder(8, 32, 2)
    weights = encoder.get_layer("out").get_weights()
    encoder.get_layer("out").set_weights([30 * weights[0], weights[1] + 1])
    decoder = FaceGuardDecoder(8, 32, 4)
    stamped = embed(encoder, WIDE, CODE[:8])
    changed = np.any(stamped != WIDE, axis=-1)
    # Confined to an ellipse in the middle.
    assert changed[150, 384] and not changed[:40].any() and not changed[:, :100].any()
    small = extract(decoder, stamped)
    assert small.shape == (8,) and small.dtype == np.float32 and np.isfinite(small).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": CODE[:8]}, f"{BITS} bits. Received: bits of length 8"),
        ({"bits": CODE * 2}, "0 and 1"),
        ({"bits": CODE[None]}, "vector"),
        ({"strength": 0}, "`strength`"),
        ({"strength": 1.5}, "`strength`"),
        ({"strength": float("nan")}, "`strength`"),
        ({"image": IMAGE[..., 0]}, "grey"),
        ({"image": IMAGE[..., :1]}, "grey"),
        ({"image": IMAGE[..., :2]}, r"\(384, 384, 2\)"),
        ({"image": np.dstack([IMAGE, IMAGE[..., 0]])}, "alpha"),
        ({"image": IMAGE[None]}, r"\(1, 384, 384, 3\)"),
        ({"image": IMAGE.astype("int32")}, "int32"),
        ({"image": IMAGE.astype("float32")}, r"0\.\.1"),
        ({"image": np.full((64, 64, 3), np.nan)}, "NaN"),
        ({"image": IMAGE[:1, :1]}, "at least 32 x 32 pixels. Received: 1 x 1"),
        ({"image": IMAGE[:0]}, r"\(0, 384, 3\)"),
        ({"image": IMAGE.tolist()}, "list of shape .* and int64"),
        ({"box": (0, 0, 31, 100)}, "Received: 31 x 100"),
        ({"box": (100, 100, 50, 50)}, "32 x 32"),
        ({"box": (370, 0, 470, 100)}, "cover"),
        ({"box": (-400, 0, 400, 100)}, "twice"),
        ({"box": (0, 0, 100)}, "left, top, right, bottom"),
        ({"box": (0, 0, 100.5, 100)}, "whole pixels"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        embed(Encoder(), **{"image": IMAGE, "bits": CODE, **arguments})


def test_anything_that_is_an_rgb_picture():
    image = IMAGE[:64, :64]
    expected = embed(Encoder(), image, CODE)
    np.testing.assert_array_equal(embed(Encoder(), Image.fromarray(image), CODE), expected)
    unit = (image / 255).astype("float32")
    tensor = keras.ops.convert_to_tensor(unit)
    expected = embed(Encoder(), unit, CODE)
    np.testing.assert_allclose(embed(Encoder(), tensor, CODE), expected, atol=1e-6)
    np.testing.assert_allclose(embed(Encoder(), unit.tolist(), CODE), expected, atol=1e-6)
