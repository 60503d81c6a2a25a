import golden
import numpy as np
import pytest
import volo_golden
from harness import check_fitting, close, noise, to_numpy
from test_volo import SMALL, TINY

from keras_imaging.losses import TokenLabelLoss
from keras_imaging.models import VOLO, VOLOTraining
from keras_imaging.models.converters import torch_volo

BOX = np.array([[0, 1, 1, 2]] * 2, "int32")


def test_harness():
    arguments = {"volo": VOLO(**SMALL), "loss": TokenLabelLoss(1.0)}
    inputs = {"image": noise(2, 8, 16, 3), "box": BOX}
    check_fitting(VOLOTraining, arguments, (inputs, np.eye(3, dtype="float32")[:2]), True)


@pytest.mark.parametrize("ground_truth", [False, True])
def test_golden_step(ground_truth):
    arrays = volo_golden.load("tiny_volo_train_mix")
    volo = VOLO(**TINY)
    torch_volo.load_weights(volo, volo_golden.part(arrays, "w/"))
    model = VOLOTraining(volo, TokenLabelLoss(0.5, 1.0, ground_truth, "reverse"))
    inputs = {
        "image": golden.channels_last(arrays["x"]),
        "box": np.broadcast_to(arrays["bbox"], (4, 4)),
    }
    logits = model(inputs, training=True)
    for result, name in zip(logits, ("x_cls", "x_aux"), strict=True):
        error = np.abs(to_numpy(result) - arrays[name]).max()
        assert error <= 5e-5 * arrays[name].std()
    loss = float(model.compute_loss(inputs, arrays["target"], logits))
    expected = arrays["loss_tl_gt" if ground_truth else "loss_tl"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for number, (layer, size) in enumerate(((1, 32), (4, 32), (7, 32)), start=1):
        norm, prefix = volo.get_layer(f"stem_norm{number}"), f"patch_embed.conv.{layer}.running"
        mean, variance = (to_numpy(x) for x in (norm.moving_mean, norm.moving_variance))
        np.testing.assert_allclose(mean, arrays[f"after/{prefix}_mean"], rtol=1e-4, atol=1e-6)
        # There the variance of the batch is the unbiased one.
        before, n = arrays[f"w/{prefix}_var"], 4 * size * size
        theirs = 0.9 * before + (arrays[f"after/{prefix}_var"] - 0.9 * before) * (n - 1) / n
        np.testing.assert_allclose(variance, theirs, rtol=1e-4)


@pytest.mark.tensorflow
def test_golden_gradients():
    import tensorflow as tf

    arrays = volo_golden.load("tiny_volo_train_mix")
    volo = VOLO(**TINY)
    torch_volo.load_weights(volo, volo_golden.part(arrays, "w/"))
    model = VOLOTraining(volo, TokenLabelLoss(pairing="reverse"))
    inputs = {
        "image": tf.constant(golden.channels_last(arrays["x"])),
        "box": tf.constant(np.tile(arrays["bbox"], (4, 1))),
    }
    entries = [e for e in torch_volo.volo_entries(volo) if f"g/{e.name}" in arrays]
    assert len(entries) == 8
    with tf.GradientTape() as tape:
        loss = model.compute_loss(inputs, arrays["target"], model(inputs, training=True))
    for e, gradient in zip(
        entries, tape.gradient(loss, [e.variable.value for e in entries]), strict=True
    ):
        close(e.to_torch(to_numpy(gradient)), arrays[f"g/{e.name}"])


def test_without_a_box_it_is_the_network_itself():
    model = VOLOTraining(VOLO(**SMALL))
    image = noise(2, 8, 16, 3)
    of_picture, of_tokens = model({"image": image, "box": 0 * BOX})
    expected = to_numpy(model.volo(image))
    result = to_numpy(of_picture) + 0.5 * to_numpy(of_tokens).max(axis=1)
    close(result, expected, 1e-5)
    assert len(model.trainable_variables) == len(model.volo.trainable_variables)


def test_another_head_is_refused():
    with pytest.raises(ValueError, match="head='token'"):
        VOLOTraining(VOLO(**SMALL, head="token"))
