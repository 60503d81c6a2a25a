import numpy as np
import pytest
import volo_golden
from harness import check_layer, disturb_weights, noise, to_numpy

from keras_imaging.layers import ClassAttention, ClassAttentionBlock, ClassToken


@pytest.mark.parametrize("layer_class", [ClassAttention, ClassAttentionBlock])
def test_harness(layer_class):
    check_layer(layer_class, {"num_heads": 2}, noise(2, 5, 4), dynamic=False, edge=True)


def test_harness_of_the_token():
    check_layer(ClassToken, {}, noise(2, 3, 4, 4), edge=True)


def test_golden():
    arrays = volo_golden.load("class_block")
    block = ClassAttentionBlock(4)
    block.build(arrays["x"].shape)
    volo_golden.fill_block(block, arrays)
    result = to_numpy(block(arrays["x"]))
    assert np.abs(result - arrays["y_f32"]).max() <= 1e-5 * arrays["y_f32"].std()
    np.testing.assert_array_equal(result[:, 1:], arrays["x"][:, 1:])


def test_the_token_stands_first_and_rows_follow():
    layer = ClassToken()
    x = noise(2, 2, 3, 4)
    layer.build(x.shape)
    disturb_weights(layer)
    result = to_numpy(layer(x))
    np.testing.assert_array_equal(result[:, 1:], x.reshape(2, 6, 4))
    np.testing.assert_array_equal(result[0, 0], to_numpy(layer.token)[0, 0])
    np.testing.assert_array_equal(result[0, 0], result[1, 0])


def test_bad_inputs():
    with pytest.raises(ValueError, match=r"takes \(batch, tokens, channels\)"):
        ClassAttention(2)(noise(1, 4, 4, 4))
    with pytest.raises(ValueError, match="num_heads=3"):
        ClassAttentionBlock(3)(noise(1, 4, 4))
    with pytest.raises(ValueError, match="Received shape"):
        ClassToken()(noise(1, 4, 4))
