import keras
import numpy as np
import pytest
import volo_golden

from keras_imaging.losses import TokenLabelLoss


@pytest.fixture(scope="module")
def arrays():
    return volo_golden.load("token_label_losses")


def loss_of(arrays, labels, box=None, **arguments):
    logits = arrays["x_cls"], arrays["x_aux"]
    boxes = None if box is None else np.broadcast_to(box, (len(labels), 4))
    y_true = labels if box is None else (labels, boxes)
    return float(TokenLabelLoss(pairing="reverse", **arguments)(y_true, logits))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_goldens(arrays, number, weight):
    box = arrays["bboxes"][number]
    for prefix, ground_truth in (("tl", False), ("gt", True)):
        found = loss_of(
            arrays, arrays["target"], box, dense_weight=weight, ground_truth=ground_truth
        )
        np.testing.assert_allclose(found, arrays[f"{prefix}_bb{number}_dw{weight}"], rtol=1e-5)


def test_goldens_of_one_label(arrays):
    found = loss_of(arrays, arrays["target2d"])
    np.testing.assert_allclose(found, arrays["tl_2d_target"], rtol=1e-5)
    found = loss_of(arrays, arrays["target2d"], dense_weight=0)
    np.testing.assert_allclose(found, arrays["soft_ce"], rtol=1e-5)


def test_neighbours_are_mixed_as_a_box_says(arrays):
    logits = arrays["x_cls"], arrays["x_aux"]
    labels, box = arrays["target2d"], np.array([[0, 0, 2, 2]] * 4)
    loss = TokenLabelLoss(dense_weight=0)
    mixed = 0.75 * labels + 0.25 * labels[[1, 0, 3, 2]]
    expected = float(loss(mixed, logits))
    np.testing.assert_allclose(float(loss((labels, box), logits)), expected, rtol=1e-6)
    whole = np.array([[0, 0, 4, 4]] * 4)
    expected = float(loss(labels[[1, 0, 3, 2]], logits))
    np.testing.assert_allclose(float(loss((labels, whole), logits)), expected, rtol=1e-6)


def test_configuration_and_dtype(arrays):
    loss = TokenLabelLoss(0.25, 2.0, True, "reverse")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dense_weight": -1}, "dense_weight=-1"),
        ({"class_weight": -1}, "class_weight=-1"),
        ({"pairing": "random"}, "pairing='random'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TokenLabelLoss(**arguments)


def test_labels_of_another_network(arrays):
    with pytest.raises(ValueError, match=r"labels for 16 tokens.*Received 15 labels"):
        loss_of(arrays, arrays["target"][..., :-1])
    with pytest.raises(ValueError, match="logits of 10 classes and 16 tokens"):
        loss_of(arrays, arrays["target2d"][:, :9])
