"""From a name, a file or a folder to a trained network."""

import json

import keras
import numpy as np
import pytest

from keras_imaging import models
from keras_imaging.models import RDIDN, FaceGuardDecoder, FaceGuardEncoder, pretrained

TINY = {"filters": 8, "num_blocks": 1, "channel_step": 2, "distilled": 2, "groups": 2}


def save(model, folder, name, **card):
    """Weights and card, as a run leaves them."""
    model.save_weights(folder / f"{name}.weights.h5")
    described = {"model": type(model).__name__, "config": model.get_config(), **card}
    (folder / f"{name}.json").write_text(json.dumps(described))


def same_weights(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights(), strict=True))


def test_every_network_is_known_by_its_class_and_presets():
    known = models.pretrained_models()
    assert {"RDIDN", "LISTA", "FFCResNet", "FaceGuardEncoder"} <= set(known)
    # Models that exist to be fitted have no weights of their own.
    assert "FaceGuard" not in known
    presets = [name for model in known.values() for name in model.presets]
    assert len(presets) == len(set(presets))
    assert models.model_of_preset("rdidn_small_x3") is RDIDN
    tasks = {model.task for model in known.values() if model.task}
    from keras_imaging.evaluation import FIGURES

    assert tasks - set(FIGURES) <= {"mri", "denoising"}


def test_one_door(tmp_path):
    model = RDIDN(2, **TINY)
    run = tmp_path / "run"
    run.mkdir()
    save(model, run, "model")
    model.save(tmp_path / "net.keras")
    # A file of ours says itself what it is of.
    model.save_weights(tmp_path / "alone.weights.h5")
    for source in (
        run,
        str(run / "model.weights.h5"),
        tmp_path / "net.keras",
        tmp_path / "alone.weights.h5",
    ):
        loaded = models.load(source, task="super_resolution")
        assert type(loaded) is RDIDN and same_weights(loaded, model)
    fixed = models.load(run, input_shape=(6, 8, 1))
    assert fixed.input_shape == (None, 6, 8, 1)
    with pytest.raises(ValueError, match="is a RDIDN, for super_resolution"):
        models.load(run, task="inpainting")


def test_a_run_of_several_networks(tmp_path):
    encoder, decoder = FaceGuardEncoder(8, 32, 2), FaceGuardDecoder(8, 32, 2)
    save(encoder, tmp_path, "encoder", data="none")
    save(decoder, tmp_path, "decoder")
    (tmp_path / "log.json").write_text("{}")
    assert same_weights(models.load(tmp_path, "decoder"), decoder)
    assert models.card_of(tmp_path, "encoder")["data"] == "none"
    assert models.card_of(tmp_path) == {}
    for network in (None, "model"):
        with pytest.raises(ValueError, match="It holds: decoder, encoder"):
            models.load(tmp_path, network)
    # Shipped pairs are named without their part.
    assert models.load("faceguard_nano", "encoder").strength == 0.045
    with pytest.raises(ValueError, match="faceguard_base, faceguard_nano"):
        models.load("faceguard_huge", "decoder", "watermark")


def test_what_there_is_not_is_told(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "card.weights.h5").write_bytes(b"")
    (tmp_path / "card.json").write_text('{"model": "Nothing", "config": {}}')
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(
        tmp_path / "other.weights.h5"
    )
    for source, message in (
        ("rdidn_x9", "There is no network 'rdidn_x9'.*rdidn_x2"),
        ("rdidn_x8", "No weights are shipped for RDIDN"),
        (tmp_path / "no.keras", "There is no file"),
        (tmp_path / "no.weights.h5", "There is no file"),
        (tmp_path / "empty", "It holds: none"),
        (tmp_path / "card.weights.h5", "is of 'Nothing'. Expected one of"),
        (tmp_path / "other.weights.h5", "its card 'other.json' is missing"),
    ):
        with pytest.raises(ValueError, match=message):
            models.load(source)
    monkeypatch.setattr(pretrained, "WEIGHTS_DIR", tmp_path / "empty")
    assert models.names_for("super_resolution") == []


def test_models_say_what_they_take():
    for model, shape, low, high in (
        (RDIDN(2, **TINY), (None, None, 1), 0.0, 1.0),
        (models.LaMaGenerator.from_preset("lama_tiny", weights=None), (None, None, 3), 0.0, 1.0),
        (models.HiDDeNEncoder(8, 4, 1), (None, None, 3), -1.0, 1.0),
        (FaceGuardEncoder(8, 32, 2), (32, 32, 3), 0.0, 1.0),
    ):
        assert model.picture_shape() == shape
        sides = [side or 16 for side in shape[:2]]
        picture = np.zeros((*sides, shape[-1]), "uint8")
        picture[: sides[0] // 2] = 255
        (inputs,) = model.inputs_of([picture])
        assert set(inputs) == {tensor.name for tensor in model.inputs}
        image = next(x for x in inputs.values() if x.ndim == 4)
        assert (image.min(), image.max()) == (low, high)
        for sample in model.sample_inputs()[:2]:
            assert {name: x.shape[0] for name, x in sample.items()} == dict.fromkeys(inputs, 1)
    classifier = models.FFCResNet(10, width=16, stem="small", classes=3)
    # Standardized as in training.
    white = classifier.prepare(np.full((1, 1, 1, 3), 255, "uint8"))
    np.testing.assert_allclose(white.ravel(), [2.2489, 2.4286, 2.64], atol=1e-3)


def edited(path, change):
    """A `.keras` file with another configuration."""
    import zipfile

    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path.with_name("edited.keras"), "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    return path.with_name("edited.keras")


def test_a_file_cannot_make_more_of_itself_than_it_holds(tmp_path):
    model = RDIDN(2, **TINY)
    model.save(tmp_path / "net.keras")
    other = tmp_path / "other.weights.h5"
    RDIDN(2, **TINY).save_weights(other)
    for change, message in (
        ({"num_blocks": 10_000}, "many more weights than"),
        ({"filters": 10**6}, "many more weights than"),
        ({"weights": str(other)}, "does not say where weights are"),
    ):
        path = edited(tmp_path / "net.keras", lambda config, new=change: config.update(new))
        with pytest.raises(ValueError, match=rf"edited\.keras.*{message}"):
            models.load(path)
    save(model, tmp_path, "carded", config={**model.get_config(), "num_blocks": 10_000})
    with pytest.raises(ValueError, match=r"Cannot make RDIDN .*many more weights than"):
        models.load(tmp_path / "carded.weights.h5")
    # Outside, networks may be as large as they like.
    assert RDIDN(2, num_blocks=2).count_params() > 100_000


@pytest.mark.parametrize("name", ["net.keras", "net.weights.h5"])
def test_weights_that_are_not_finite(tmp_path, name):
    model = RDIDN(2, **TINY)
    model.get_layer("head2").bias.assign(np.full(8, np.nan))
    (model.save if name.endswith(".keras") else model.save_weights)(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}.*head2/bias is not finite"):
        models.load(tmp_path / name)
