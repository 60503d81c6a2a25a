"""Training a generator on pictures with holes."""

import keras
import numpy as np
import pytest
from harness import BACKEND, check_fitting, close, to_numpy

from keras_imaging.data import InpaintingSampler
from keras_imaging.models import HoleLogError, InpaintingLoss, InpaintingModel, LaMaGenerator


def generator(**arguments):
    return LaMaGenerator(**{"width": 4, "num_downsamples": 1, "num_blocks": 1, **arguments})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 40, 3)).astype("uint8")]
    return InpaintingSampler(images, patch_size=16, batch_size=4, textures=0.5).batch(0)


def truth_of(batch):
    inputs, pictures = batch
    return np.concatenate([pictures, inputs[..., 3:]], axis=-1)


@pytest.mark.parametrize("weights", [(1.0, 5.0), (10.0, 0.0), (0.0, 2.0)])
def test_loss_weighs_known_and_missing_pixels(batch, weights):
    _, pictures = batch
    truth = truth_of(batch)
    proposal = np.random.default_rng(1).random(pictures.shape).astype("float32")
    known, missing = weights
    weight = np.where(truth[..., 3:] == 1, missing, known)
    expected = np.mean(weight * np.abs(proposal - pictures))
    assert float(InpaintingLoss(*weights)(truth, proposal)) == pytest.approx(expected, rel=1e-5)


@keras.saving.register_keras_serializable(package="test")
def distance(pictures, predictions):
    return keras.ops.mean(keras.ops.square(pictures - predictions), axis=(1, 2, 3))


def test_perceptual_distance_is_added(batch):
    _, pictures = batch
    truth = truth_of(batch)
    proposal = np.zeros_like(pictures)
    loss = InpaintingLoss(perceptual=distance, perceptual_weight=3.0)
    difference = float(loss(truth, proposal)) - float(InpaintingLoss()(truth, proposal))
    assert difference == pytest.approx(3 * np.mean(np.square(pictures)), rel=1e-4)
    copy = InpaintingLoss.from_config(loss.get_config())
    assert copy.get_config() == loss.get_config()
    assert float(copy(truth, proposal)) == pytest.approx(float(loss(truth, proposal)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"known_weight": -1}, "known_weight=-1"),
        ({"known_weight": 0, "missing_weight": 0}, "not both 0"),
        ({"perceptual_weight": -1}, "perceptual_weight=-1"),
    ],
)
def test_loss_with_bad_weights(arguments, message):
    with pytest.raises(ValueError, match=message):
        InpaintingLoss(**arguments)


def test_logarithmic_error_counts_pictures_alike(batch):
    _, pictures = batch
    truth = truth_of(batch)
    proposal = np.random.default_rng(1).random(pictures.shape).astype("float32")
    hole = truth[..., 3] == 1
    errors = [
        np.mean(np.square(p - t)[h]) for p, t, h in zip(proposal, pictures, hole, strict=True)
    ]
    expected = np.mean(np.log(np.array(errors) + 1e-3))
    loss = HoleLogError(1e-3)
    assert float(loss(truth, proposal)) == pytest.approx(expected, rel=1e-4)
    # What lies outside the holes does not count.
    proposal[~hole] = 7.0
    assert float(loss(truth, proposal)) == pytest.approx(expected, rel=1e-4)
    assert HoleLogError.from_config(loss.get_config()).floor == 1e-3
    with pytest.raises(ValueError, match="floor=0"):
        HoleLogError(0)


def test_harness(batch):
    arguments = {"generator": generator(ratio=0.0), "loss": InpaintingLoss(2.0, 3.0)}
    check_fitting(InpaintingModel, arguments, batch, jit_compile=BACKEND != "torch")


def test_fit_learns_and_scores_the_whole_proposal(batch, tmp_path):
    inputs, pictures = batch
    model = InpaintingModel(generator(ratio=0.0), InpaintingLoss(2.0, 3.0))
    assert len(model.trainable_variables) == len(model.generator.trainable_variables)
    model.compile(keras.optimizers.Adam(0.01))
    losses = model.fit(inputs, pictures, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0]
    proposal = to_numpy(model(inputs))
    expected = float(InpaintingLoss(2.0, 3.0)(truth_of(batch), proposal))
    assert model.evaluate(inputs, pictures, verbose=0) == pytest.approx(expected, rel=1e-4)

    complete = to_numpy(model.complete(inputs))
    hole = inputs[..., 3:] == 1
    np.testing.assert_array_equal(complete, np.where(hole, proposal, inputs[..., :3]))

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.inpainting_loss.get_config() == model.inpainting_loss.get_config()
    close(to_numpy(loaded(inputs)), proposal, 1e-6)


def test_what_holes_hide_does_not_reach_the_network(batch):
    inputs, pictures = batch
    assert np.all(inputs[..., :3][inputs[..., 3] == 1] == 0)
    assert np.any(pictures[inputs[..., 3] == 1] != 0)
