import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import BitEmbedding

BITS = np.random.default_rng(1).integers(0, 2, (2, 5)).astype("float32")


def test_harness():
    check_layer(BitEmbedding, {"features": 3}, noise(2, 5, low=0.0), dynamic=False)


def test_message_is_a_sum_of_rows():
    layer = BitEmbedding(4)
    result = to_numpy(layer(BITS))
    table = to_numpy(layer.table)
    assert table.shape == (10, 4)
    rows = 2 * np.arange(5) + BITS.astype(int)
    np.testing.assert_allclose(result, table[rows].sum(axis=1), rtol=1e-5, atol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="features=0"):
        BitEmbedding(0)
