import numpy as np
import pytest
import volo_golden
from harness import check_layer, close, disturb_weights, noise, to_numpy

from keras_imaging.layers import Outlooker, TransformerBlock
from keras_imaging.layers.outlooker import ATTENTIONS


def test_harness():
    check_layer(Outlooker, {"num_heads": 2, "mlp_ratio": 2}, noise(2, 4, 5, 4), edge=True)


def test_harness_of_the_transformer():
    check_layer(TransformerBlock, {"num_heads": 2}, noise(2, 4, 5, 4), edge=True)


@pytest.mark.parametrize(
    ("name", "block"),
    [("outlooker_block", Outlooker(3)), ("transformer_block", TransformerBlock(4))],
)
def test_goldens(name, block):
    arrays = volo_golden.load(name)
    block.build(arrays["x"].shape)
    volo_golden.fill_block(block, arrays)
    error = np.abs(to_numpy(block(arrays["x"])) - arrays["y_f32"]).max()
    assert error <= 1e-5 * arrays["y_f32"].std()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_what_a_token_sees(attention):
    block = Outlooker(2, attention, stride=1)
    x = noise(1, 7, 7, 4)
    block.build(x.shape)
    disturb_weights(block, 0.3)
    other = x.copy()
    # Of one channel: a constant of all is lost in the normalization.
    other[0, 3, 3, 0] += 1
    changed = np.abs(to_numpy(block(other)) - to_numpy(block(x))).max(axis=-1)[0] > 1e-7
    # Windows of outlook attention meet their neighbours' tokens: it sees twice as far.
    reach = {"outlook": 2, "local": 1, "convolution": 1, "self": 3}[attention]
    expected = np.zeros((7, 7), bool)
    expected[3 - reach : 4 + reach, 3 - reach : 4 + reach] = True
    np.testing.assert_array_equal(changed, expected)


def test_local_attention_that_sees_everything():
    """In a map of one token all its other neighbours are zeros, with their part of the softmax."""
    local = Outlooker(2, "local", kernel_size=3)
    x = noise(2, 1, 1, 4)
    local.build(x.shape)
    disturb_weights(local, 0.3)
    attention = local.attention
    query, key, value = np.split(to_numpy(attention.query_key_value(x)).reshape(2, 12), 3, axis=1)
    products = np.exp((query * key).reshape(2, 2, 2).sum(-1) * 2**-0.5)
    mixed = value.reshape(2, 2, 2) * (products / (products + 8))[..., None]
    expected = to_numpy(attention.projection(mixed.reshape(2, 1, 1, 4).astype("float32")))
    close(to_numpy(attention(x)), expected, 1e-5)


def test_drop_path_leaves_samples_as_they_are():
    block = TransformerBlock(2, drop_path=0.5, dropout=0.1, attention_dropout=0.1, seed=3)
    x = noise(64, 2, 2, 4)
    block.build(x.shape)
    disturb_weights(block)
    same = (to_numpy(block(x, training=True)) == x).all(axis=(1, 2, 3))
    # Both branches are dropped, each by its own draw.
    assert 0.1 < same.mean() < 0.4
    assert not (to_numpy(block(x)) == x).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attention": "global"}, "attention='global'"),
        ({"mlp_ratio": 0}, "mlp_ratio=0"),
        ({"drop_path": 1.0}, "drop_path=1.0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Outlooker(2, **arguments)
