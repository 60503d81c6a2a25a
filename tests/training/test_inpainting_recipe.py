"""The inpainting recipe, its adversarial stage, and both under two replicas."""

import json
import pathlib

import keras
import numpy as np
import processes
import pytest

from keras_imaging.models import LaMaGenerator, PatchDiscriminator
from keras_imaging.training import AdversarialInpainting, InpaintingRecipe, checkpoint, train

pytestmark = pytest.mark.tensorflow

SCRIPT = pathlib.Path(__file__).with_name("inpainting_mirrored.py")

LaMaGenerator.presets["lama_test"] = {
    "width": 4,
    "num_downsamples": 1,
    "num_blocks": 1,
    "ratio": 0.5,
}


def recipe(**fields):
    defaults = {
        "preset": "lama_test",
        "steps": 4,
        "batch_size": 4,
        "patch_size": 16,
        "textures": 0.5,
        "discriminator_width": 4,
        "jit": False,
        "checkpoint_every": 2,
    }
    return InpaintingRecipe(**{**defaults, **fields})


def images():
    return [np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype("uint8")]


def test_the_recipe_trains_and_ships_the_generator(tmp_path):
    seen = []

    def validate(model):
        seen.append(type(model))
        return {"one": 1.0}

    result = train(recipe(), images(), tmp_path / "run", strategy="one", validate=validate)
    assert set(seen) == {LaMaGenerator}
    assert isinstance(result.model, LaMaGenerator)
    assert result.card["model"] == "LaMaGenerator"
    assert result.card["config"]["width"] == 4
    losses = [record["loss"] for record in result.history]
    assert len(losses) == 2 and np.isfinite(losses).all()
    # The file opens as what the card says.
    weights = str(result.weights["model"])
    again = LaMaGenerator(**{**result.card["config"], "weights": weights})
    for ours, theirs in zip(again.get_weights(), result.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    start = recipe(init=weights).build_model().generator
    np.testing.assert_array_equal(start.get_weights()[0], again.get_weights()[0])


def test_a_harmonic_network_learns_its_head_on_a_published_one(tmp_path, monkeypatch):
    preset = {**LaMaGenerator.presets["lama_test"], "harmonic": True}
    monkeypatch.setitem(LaMaGenerator.presets, "lama_test_harmonic", preset)
    start = tmp_path / "model.weights.h5"
    published = LaMaGenerator(**LaMaGenerator.presets["lama_test"])
    published.save_weights(start)
    fields = {"preset": "lama_test_harmonic", "loss": "log", "init": str(start)}
    result = train(
        recipe(**fields, train="head", steps=2), images(), tmp_path / "run", strategy="one"
    )
    assert np.isfinite([record["loss"] for record in result.history]).all()
    for layer in result.model.layers:
        if layer.name not in (*result.model.head, "stem") and layer.weights:
            kept = published.get_layer(layer.name).get_weights()
            for mine, theirs in zip(layer.get_weights(), kept, strict=True):
                np.testing.assert_array_equal(mine, theirs)
    assert np.any(result.model.get_layer("change").get_weights()[0] != 0)
    # A run goes on from a harmonic network whole.
    again = recipe(**{**fields, "init": str(result.weights["model"])}).build_model().generator
    for mine, theirs in zip(again.get_weights(), result.model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_plain_twin():
    model = recipe(plain=True).build_model().generator
    assert model.get_config()["ratio"] == 0


def test_adversarial_stage_trains_both_and_continues(tmp_path):
    fields = {"adversarial_weight": 1.0, "known_weight": 10.0, "missing_weight": 0.0}
    out = tmp_path / "run"
    whole = train(recipe(**fields), images(), out, strategy="one")
    # As if it had been killed after step 2.
    (out / "checkpoint-00000004.npz").unlink()
    # The discriminator and its optimizer continue too: the same losses follow.
    resumed = train(recipe(**fields), images(), out, strategy="one")
    ours, theirs = ([r["loss"] for r in run.history] for run in (resumed, whole))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    arrays, _ = checkpoint.read(out)
    start = recipe(**fields).build_model()
    moved = start.discriminator.trainable_variables[0]
    after = list(arrays.values())[len(start.generator.variables)]
    assert after.shape == tuple(moved.shape)
    assert np.abs(after - keras.ops.convert_to_numpy(moved)).max() > 1e-5


def test_adversarial_losses():
    """Against the equations, with a discriminator that judges a pixel by its first channel."""
    picture = keras.Input((None, None, 3))
    first = keras.layers.Lambda(lambda x: x[..., :1] * 2.0, name="judgements")(picture)
    judge = keras.Model(picture, [first, picture])
    proposer = LaMaGenerator(**LaMaGenerator.presets["lama_test"])
    model = AdversarialInpainting(
        proposer,
        judge,
        keras.optimizers.SGD(0.0),
        adversarial_weight=3.0,
        feature_matching_weight=7.0,
        r1=0.5,
    )
    rng = np.random.default_rng(0)
    pictures, proposals = rng.random((2, 2, 8, 8, 3)).astype("float32")
    mask = (rng.random((2, 8, 8, 1)) > 0.5).astype("float32")
    inputs = np.concatenate([pictures * (1 - mask), mask], axis=-1)

    def softplus(x):
        return np.log1p(np.exp(x))

    real, fake = 2 * pictures[..., :1], 2 * proposals[..., :1]
    tensors = [keras.ops.convert_to_tensor(x) for x in (inputs, pictures, proposals, mask)]
    parts = model._generator_losses(*tensors[:3])
    assert float(parts["adversarial"]) == pytest.approx(3 * softplus(-fake).mean(), rel=1e-5)
    distance = np.square(pictures - proposals).mean()
    assert float(parts["features"]) == pytest.approx(7 * distance, rel=1e-5)
    known = 10 * np.mean((1 - mask) * np.abs(pictures - proposals))
    assert float(parts["reconstruction"]) == pytest.approx(known, rel=1e-5)

    against = mask * softplus(fake) + (1 - mask) * softplus(-fake)
    # The slope is 2 in one channel of 64 pixels.
    expected = softplus(-real).mean() + against.mean() + 0.5 * 64 * 4
    loss = float(model._discriminator_loss(*tensors[1:]))
    assert loss == pytest.approx(expected, rel=1e-5)
    model.mask_as_fake_target = False
    loss = float(model._discriminator_loss(*tensors[1:]))
    expected += softplus(fake).mean() - against.mean()
    assert loss == pytest.approx(expected, rel=1e-5)


def test_two_replicas(tmp_path):
    out = tmp_path / "run"
    processes.finish(processes.start(out, "", script=SCRIPT))
    one, two = json.loads((out / "report.json").read_text())
    assert np.isfinite(two).all()
    # Each replica normalizes by the statistics of its own rows: alike, not equal.
    np.testing.assert_allclose(two, one, rtol=0.3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch_size": 0}, "patch_size"),
        ({"loss": "l2"}, "loss"),
        ({"train": "head"}, "init"),
        ({"textures": 1.5}, "textures"),
        ({"shrink": (2.0,)}, "shrink"),
        ({"known_weight": -1.0}, "known_weight"),
        ({"missing_weight": 0.0}, "`missing_weight` must be positive without adversary"),
        ({"r1": -1.0}, "r1"),
        ({"discriminator_learning_rate": 0.0}, "discriminator_learning_rate"),
        ({"adversarial_weight": 1.0, "dtype": "mixed_float16"}, "mixed_bfloat16"),
    ],
)
def test_values_out_of_range(fields, message):
    with pytest.raises(ValueError, match=message):
        InpaintingRecipe(**fields)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="Unknown preset 'lama_huge'"):
        recipe(preset="lama_huge").build_model()
    with pytest.raises(ValueError, match="`patch_size` must be a multiple of 2"):
        recipe(patch_size=17).build_sampler(images(), recipe().build_model())
    proposer = LaMaGenerator(**LaMaGenerator.presets["lama_test"])
    with pytest.raises(ValueError, match="r1=-1"):
        AdversarialInpainting(proposer, PatchDiscriminator(4), keras.optimizers.Adam(), r1=-1)


def test_an_infinite_bound_clips_nothing():
    """Keras' own clipping by infinity makes weights NaN."""
    chosen = recipe(clip_norm=float("inf"), adversarial_weight=1.0)
    opponent = chosen.build_model()._opponent
    optimizers = chosen.build_optimizer(0.1), opponent.optimizer
    assert [optimizer.global_clipnorm for optimizer in optimizers] == [None, None]
    assert recipe(clip_norm=2.0).build_optimizer(0.1).global_clipnorm == 2.0


def test_the_adversarial_model_is_not_saved_as_a_whole(tmp_path):
    model = recipe(adversarial_weight=1.0).build_model()
    with pytest.raises(ValueError, match="cannot be saved as a whole"):
        model.save(tmp_path / "model.keras")
