import json

import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, check_model, close, disturb_weights, noise, to_numpy

from keras_imaging.models.converters.torch_video_seal import load_torch_weights, torch_state_dict
from keras_imaging.models.video_seal import VideoSealUNet

# Narrow, and with an end of its own: RGB in, luma out.
SMALL = {
    "message_length": 5,
    "hidden": 3,
    "z_channels": 2,
    "multipliers": (2, 3),
    "num_blocks": 1,
    "in_channels": 3,
    "out_channels": 1,
}
IMAGES = noise(2, 4, 6, 3)
BITS = np.random.default_rng(1).integers(0, 2, (2, 5)).astype("float32")


@pytest.fixture(scope="module")
def reference():
    """Arrays of the published implementation, its state dict, and our network filled with it."""
    arrays = golden.load("faceguard/videoseal_unet_tiny_f32")
    state = {n.removeprefix("w/"): w for n, w in arrays.items() if n.startswith("w/")}
    given = json.loads(str(arrays["config"]))
    model = VideoSealUNet(
        given["nbits"], given["hidden_size"], given["z"], given["mults"], given["num_blocks"]
    )
    load_torch_weights(model, state)
    return arrays, state, model


@pytest.fixture(scope="module")
def small():
    keras.utils.set_random_seed(0)  # before the seed that every test sets
    model = VideoSealUNet(**SMALL)
    disturb_weights(model)
    return model


def test_published_implementation_gives_the_same(reference):
    arrays, _, model = reference
    bits = arrays["message"].astype("float32")
    outputs = [model.get_layer(name).output for name in ("in_sum", "down1_sum")]
    features = keras.Model(model.input, [*outputs, model.output])
    results = features({"image": golden.channels_last(arrays["image"]), "bits": bits})
    for result, name in zip(results, ("inc_out", "down0_out", "residual"), strict=True):
        close(to_numpy(result).transpose(0, 3, 1, 2), arrays[name], 1e-5)


def test_weights_go_back_and_come_from_a_whole_checkpoint(reference):
    _, state, model = reference
    back = torch_state_dict(model)
    assert back.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(back[name], array, name)
    checkpoint = {f"embedder.unet.{name}": array for name, array in state.items()}
    checkpoint["embedder.unet.inc.double_conv.1.num_batches_tracked"] = np.array(3)
    table = "msg_processor.msg_embeddings.weight"
    checkpoint[f"embedder.{table}"] = state[table]
    checkpoint["detector.weight"] = np.zeros(2)
    other = VideoSealUNet.from_config(model.get_config())
    load_torch_weights(other, checkpoint)
    for weight, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("ups.1.up.upsample_block.3.bias"), "lacks .'ups.1.up.upsample_block.3"),
        (lambda s: s.update({"outc.extra": np.zeros(1)}), "unknown .'outc.extra'"),
        (lambda s: s.update({"outc.weight": np.zeros((1, 5, 1, 1))}), r"`outc.weight` of shape"),
    ],
)
def test_weights_of_another_network_are_refused_whole(reference, change, message):
    _, state, model = reference
    state, before = dict(state), model.get_weights()
    change(state)
    with pytest.raises(ValueError, match=message):
        load_torch_weights(model, state)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize(
    ("preset", "trainable", "buffers"),
    [
        ("video_seal_tiny", 1_494_993, 2_816),
        ("video_seal_rgb", 6_494_899, 7_552),
        ("video_seal_96", 16_641_361, 11_648),
        ("video_seal_256", 63_942_481, 21_888),
    ],
)
def test_published_parameter_counts(preset, trainable, buffers, monkeypatch):
    # Random values for 64 million weights would be most of this test's time.
    for initializer in (keras.initializers.HeNormal, keras.initializers.GlorotUniform):
        monkeypatch.setattr(initializer, "__call__", keras.initializers.Zeros())
    model = VideoSealUNet.from_preset(preset, weights=None)
    sizes = [int(np.prod(v.shape)) for v in model.trainable_variables]
    assert sum(sizes) == trainable
    assert model.count_params() - sum(sizes) == buffers


def test_harness():
    # Wider: normalizing each pixel over four channels would magnify the rounding. Sizes are
    # multiples of the stride, so "any size" is tested below.
    arguments = {**SMALL, "z_channels": 8, "multipliers": (1, 2)}
    check_model(VideoSealUNet, arguments, {"image": IMAGES, "bits": BITS}, dynamic=False)


def test_any_size_with_and_without_a_fixed_one(small):
    assert small.output_shape == (None, None, None, 1)
    assert small.stride == 2
    smaller = IMAGES[:, :2, :4]  # the smallest map is one pixel high
    fixed = VideoSealUNet(**SMALL, input_shape=(2, 4, 3))
    assert fixed.output_shape == (None, 2, 4, 1)
    fixed.set_weights(small.get_weights())
    expected = to_numpy(fixed([smaller, BITS]))
    assert expected.shape == (2, 2, 4, 1)
    close(to_numpy(small({"image": smaller, "bits": BITS})), expected)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        # Only a graph sees sizes that are unknown while it is traced.
        signature = [[tf.TensorSpec((None, None, None, 3)), tf.TensorSpec((None, 5))]]
        traced = tf.function(small, input_signature=signature)
        close(to_numpy(traced([tf.constant(smaller), tf.constant(BITS)])), expected)


def test_every_bit_changes_the_residual(small):
    # The message as it is, then with each of its bits flipped.
    bits = np.abs(BITS[:1] - np.eye(6, 5, -1, dtype="float32"))
    residual = to_numpy(small([IMAGES[:1].repeat(6, axis=0), bits]))
    assert np.abs(residual).max() <= 1
    assert np.abs(residual[1:] - residual[0]).max(axis=(1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"message_length": 0}, "`message_length` must be at least 1. Received: message_length=0"),
        ({"hidden": 0}, "`hidden`"),
        ({"z_channels": 0}, "`z_channels`"),
        ({"num_blocks": 0}, "`num_blocks`"),
        ({"in_channels": 0}, "`in_channels`"),
        ({"out_channels": 0}, "`out_channels`"),
        ({"multipliers": (1,)}, "`multipliers` must be two or more"),
        ({"multipliers": (1, 0)}, "`multipliers` must be two or more"),
        ({"input_shape": (16, 16, 3)}, r"`input_shape` must be \(height, width, 1\)"),
        ({"input_shape": (16, 12, 1)}, "multiples of 8. Received 12 x 16"),
        ({"weights": "pretrained"}, "No weights are shipped for VideoSealUNet"),
    ],
)
def test_bad_arguments(arguments, message):
    small = {"z_channels": 1, "num_blocks": 1, "message_length": 2}
    with pytest.raises(ValueError, match=message):
        VideoSealUNet(**{**small, **arguments})


@pytest.mark.parametrize(
    ("image", "bits", "message"),
    [
        (IMAGES[:, :3], BITS, "multiples of 2. Received 6 x 3"),
        (IMAGES[:, :0], BITS, "multiples of 2. Received 6 x 0"),
        (IMAGES[..., :1], BITS, "channels|shape"),
        (IMAGES[0], BITS, r"`image` of shape \(batch, height, width, 3\)"),
        (IMAGES, BITS[:, :4], "shape"),
        (IMAGES, BITS[0], r"`bits` of shape \(batch, 5\)"),
        (IMAGES.astype("uint8"), BITS, "`image` as float. Received dtype uint8"),
    ],
)
def test_bad_inputs(small, image, bits, message):
    with pytest.raises(ValueError, match=message):
        small([image, bits])
