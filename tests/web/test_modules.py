"""The page's modules in Node: what they compute is what Python computes."""

import json
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from watermark_stand_ins import Decoder, Encoder

from keras_imaging.data import sample_image
from keras_imaging.watermark import embed, soft_test
from keras_imaging.watermark.alignment import places
from keras_imaging.watermark.statistics import logit_weights

PAGE = pathlib.Path(__file__).parents[2] / "export" / "faceguard_page"
BITS = np.random.default_rng(0).integers(0, 2, 64)
BOX = (20, 10, 148, 138)
IMAGE = np.ascontiguousarray(sample_image()[:200, 60:260, :3])
CROPPED = np.ascontiguousarray(embed(Encoder(), IMAGE, BITS, 0.08)[21:, 5:181])

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs node")


def _cases():
    rng = np.random.default_rng(1)
    signs = 2 * BITS - 1
    rows = [signs * rng.normal(1, scale, 64) for scale in (0.3, 1, 3)]
    rows += [signs * 2.0, np.zeros(64), np.where(np.arange(64) < 40, 0.0, signs)]
    cases = [(row.astype("float32"), BITS, 1e-6, k) for k, row in enumerate(rows, start=1)]
    return [*cases, (rng.normal(size=9).astype("float32"), BITS[:9], 0.05, 1)]


def _data(image):
    height, width = image.shape[:2]
    pixels = np.dstack([image, np.full((height, width), 255, "uint8")]).ravel().tolist()
    return {"pixels": pixels, "width": width, "height": height}


@pytest.fixture(scope="module")
def result():
    job = {
        "page": str(PAGE),
        "tests": [(x.tolist(), bits.tolist(), alpha, k) for x, bits, alpha, k in _cases()],
        "picture": _data(CROPPED),
        "original": _data(IMAGE),
        "bits": BITS.tolist(),
        "box": dict(zip(("left", "top", "right", "bottom"), BOX, strict=True)),
    }
    done = subprocess.run(
        ["node", str(pathlib.Path(__file__).with_name("modules.mjs"))],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_soft_test_is_pythons(result):
    for case, told, weights in zip(_cases(), result["tests"], result["weights"], strict=True):
        expected = soft_test(*case)
        assert weights == logit_weights(case[0])
        assert (told["matches"], told["n"]) == (expected.matches, expected.n)
        # To the last bit.
        assert told["pValue"] == expected.p_value
        assert told["countPValue"] == expected.count_p_value
        assert told["verified"] == expected.verified


def test_places_are_pythons(result):
    sides = ("left", "top", "right", "bottom")
    found = [tuple(box[side] for side in sides) for box in result["places"]]
    assert found == [tuple(box) for box in places(Decoder(), CROPPED)]


def test_the_least_strength(result):
    assert result["strength"] in [0.08 * part for part in (0.42, 0.5, 0.6, 0.7, 0.85, 1.0, 1.4)]
    stamped = np.reshape(result["stamped"], (*IMAGE.shape[:2], 4))[..., :3]
    expected = embed(Encoder(), IMAGE, BITS, result["strength"], BOX)
    assert np.abs(stamped - expected).max() <= 1 and np.mean(stamped == expected) > 0.999
    assert result["half"] == {"left": 0, "top": 2, "right": 20, "bottom": 21}
