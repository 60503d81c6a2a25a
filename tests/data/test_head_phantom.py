import numpy as np
import pytest

from keras_imaging.data.head_phantom import CONTRASTS, head_phantom


def test_head():
    head = head_phantom((96, 80))
    assert head.shape == (96, 80) and head.dtype == np.float32
    assert head.min() == 0 and head.max() == 1
    assert not head[0].any() and not head[:, 0].any()
    # White matter and the fluid in its middle, by contrast.
    for contrast, tissues in CONTRASTS.items():
        head = head_phantom((192, 192), contrast)
        assert head[96, 66] == pytest.approx(tissues["white"])
        assert head[85, 87] == pytest.approx(tissues["csf"])
    # The same head at every size.
    coarse = head_phantom((192, 192)).reshape(48, 4, 48, 4).mean(axis=(1, 3))
    assert np.abs(coarse - head_phantom((48, 48))).mean() < 0.01


def test_heads_differ_by_seed():
    first, again, other = (head_phantom((64, 64), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert 0.02 < np.abs(first - other).mean() < 0.3
    for seed in range(10):
        assert not head_phantom((64, 64), seed=seed)[[0, -1]].any()
    with pytest.raises(ValueError, match="t3"):
        head_phantom((8, 8), "t3")
    with pytest.raises(ValueError, match="size"):
        head_phantom((8, 0))
