import numpy as np
import pytest

from keras_imaging.data import write_image
from keras_imaging.evaluation import evaluate_denoising


class Shrinking:
    """Draws towards the middle, which is the best there is for flat grey pictures."""

    def __init__(self, channels=1):
        self.input_shape = (None, None, None, channels)

    def __call__(self, batch):
        return 0.5 + 0.5 * (batch - 0.5)


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "a.png", np.full((64, 48), 128, "uint8"))
    write_image(tmp_path / "b.png", np.full((48, 64, 3), 128, "uint8"))
    (tmp_path / "c.png").write_bytes(b"no picture")
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_half_of_the_noise_is_six_decibels(folder, channels):
    done = []
    scores = evaluate_denoising(Shrinking(channels), folder, 25, progress=lambda *n: done.append(n))
    assert scores.sigma == 25
    assert scores.noisy_mean == pytest.approx(20 * np.log10(255 / 25), abs=0.2)
    assert scores.mean - scores.noisy_mean == pytest.approx(20 * np.log10(2), abs=0.01)
    assert list(scores.images) == ["a.png", "b.png"] and list(scores.skipped) == ["c.png"]
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert scores == evaluate_denoising(Shrinking(channels), folder, 25)
    assert scores.mean != evaluate_denoising(Shrinking(channels), folder, 25, seed=1).mean


def test_bad_input(folder, tmp_path):
    with pytest.raises(ValueError, match="sigma=0"):
        evaluate_denoising(Shrinking(), folder, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        evaluate_denoising(Shrinking(), tmp_path / "empty", 25)
