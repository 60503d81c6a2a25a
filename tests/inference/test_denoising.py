import numpy as np
import pytest

from keras_imaging.inference import denoise
from keras_imaging.models import Denoiser, SimpleCNN

TINY = {"depth": 2, "filters": 4}
RNG = np.random.default_rng(0)


class Halving:
    """Halves what it gets, and notes the sizes."""

    def __init__(self, channels):
        self.input_shape, self.sizes = (None, None, None, channels), []

    def __call__(self, batch):
        self.sizes.append(batch.shape)
        return batch / 2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(9, 8), (9, 8, 1), (9, 8, 3), (9, 8, 4), (1, 1)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_every_kind_of_picture(channels, shape, dtype):
    picture = RNG.uniform(size=shape)
    if dtype != "float32":
        picture = 2 * np.floor(picture * np.iinfo(dtype).max / 2)
    picture = picture.astype(dtype)
    expected = picture / np.asarray(2, dtype)
    if len(shape) == 3 and shape[2] == 4:
        expected[..., 3] = picture[..., 3]
    result = denoise(Halving(channels), picture)
    assert result.dtype == picture.dtype
    np.testing.assert_allclose(result, expected.astype(dtype), atol=1e-6 if dtype[0] == "f" else 1)


def test_tiles_equal_the_whole_and_are_small():
    denoiser = Denoiser(SimpleCNN(**TINY))
    picture = RNG.uniform(size=(40, 30)).astype("float32")
    whole = denoise(denoiser, picture, tile=None)
    np.testing.assert_allclose(denoise(denoiser, picture, tile=16, overlap=4), whole, atol=1e-6)
    seen = Halving(1)
    denoise(seen, picture, tile=16, overlap=4)
    assert set(seen.sizes) == {(1, 16, 16, 1)}


def test_a_range_of_the_picture_is_that_of_the_whole():
    denoiser = Denoiser(SimpleCNN(**TINY), value_range=("min", "max"))
    picture = RNG.uniform(size=(20, 18)).astype("float32")
    whole = np.asarray(denoiser(picture[None, ..., None]))[0, ..., 0]
    np.testing.assert_allclose(
        denoise(denoiser, picture, tile=8, overlap=2), np.clip(whole, 0, 1), atol=1e-6
    )


def test_bad_input():
    with pytest.raises(ValueError, match="2 channels"):
        denoise(Halving(2), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="NaN"):
        denoise(Halving(1), np.full((4, 4), np.nan))
