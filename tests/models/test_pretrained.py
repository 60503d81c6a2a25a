import json

import h5py
import keras
import numpy as np
import pytest
from harness import close, disturb_weights, noise, to_numpy

from keras_imaging.models import IDN, RDIDN, pretrained, shipped_weights
from keras_imaging.models.pretrained import load_weights_file

TINY = {"filters": 8, "num_blocks": 1, "channel_step": 2, "distilled": 2, "groups": 2}
SMALL_RDIDN = {**TINY, "upsample_filters": 4}


def store_float16(source, target):
    with h5py.File(source) as old, h5py.File(target, "w") as new:

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                new[name] = item[()].astype("float16")
            else:
                new.require_group(name).attrs.update(item.attrs)

        new.attrs.update(old.attrs)
        old.visititems(copy)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder of shipped weights with one tiny network, and that network."""
    monkeypatch.setattr(pretrained, "WEIGHTS_DIR", tmp_path)
    model = RDIDN(**SMALL_RDIDN)
    disturb_weights(model)
    full = tmp_path / "full.weights.h5"
    model.save_weights(full)
    store_float16(full, tmp_path / "tiny_x2.weights.h5")
    full.unlink()
    config = {k: v for k, v in model.get_config().items() if k not in ("name", "dtype")}
    card = {"model": "RDIDN", "config": config, "file": "tiny_x2.weights.h5"}
    (tmp_path / "tiny_x2.json").write_text(json.dumps(card))
    return tmp_path, model


def check_equal(model, reference):
    image = noise(1, 5, 7, 1, low=0.0)
    # The shop holds float16, whose step is a thousandth.
    close(to_numpy(model(image)), to_numpy(reference(image)), 3e-3)


def test_cards(shop):
    assert list(shipped_weights()) == ["tiny_x2"]
    assert list(shipped_weights("RDIDN")) == ["tiny_x2"]
    assert shipped_weights("IDN") == {}


def test_none_is_random(shop):
    _, reference = shop
    image = noise(1, 5, 7, 1, low=0.0)
    model = RDIDN(**SMALL_RDIDN, weights=None)
    assert np.abs(to_numpy(model(image)) - to_numpy(reference(image))).max() > 0.01


@pytest.mark.parametrize("weights", ["pretrained", "tiny_x2"])
def test_shipped_float16_weights(shop, weights):
    _, reference = shop
    model = RDIDN(**SMALL_RDIDN, weights=weights)
    check_equal(model, reference)
    assert {keras.backend.standardize_dtype(w.dtype) for w in model.weights} == {"float32"}


@pytest.mark.parametrize(
    "form",
    [
        {"upsampler": "subpixel"},
        {"groups_implementation": "grouped"},
        {"input_shape": (5, 7, 1)},
        {"name": "mine"},
        {"upsampler": "subpixel", "groups_implementation": "dense", "input_shape": (5, 7, 1)},
    ],
)
def test_pretrained_does_not_depend_on_how_the_network_is_computed(shop, form):
    _, reference = shop
    check_equal(RDIDN(**SMALL_RDIDN, **form, weights="pretrained"), reference)


def test_from_preset_is_pretrained_by_default(shop, monkeypatch):
    _, reference = shop
    monkeypatch.setitem(RDIDN.presets, "tiny", SMALL_RDIDN)
    check_equal(RDIDN.from_preset("tiny"), reference)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
@pytest.mark.parametrize("as_text", [True, False])
def test_path(tmp_path, suffix, as_text):
    reference = RDIDN(**SMALL_RDIDN)
    disturb_weights(reference)
    path = tmp_path / f"mine{suffix}"
    reference.save(path) if suffix == ".keras" else reference.save_weights(path)
    model = RDIDN(**SMALL_RDIDN, weights=str(path) if as_text else path)
    for weight, expected in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_nothing_is_shipped_for_these_arguments(shop):
    with pytest.raises(ValueError, match=r"No weights are shipped for RDIDN.*'scale': 3.*tiny_x2"):
        RDIDN(3, **SMALL_RDIDN, weights="pretrained")
    with pytest.raises(ValueError, match=r"No weights are shipped for IDN.*none"):
        IDN(**TINY, weights="pretrained")


def test_named_weights_of_another_architecture(shop):
    folder, _ = shop
    with pytest.raises(ValueError, match=r"tiny_x2\.weights\.h5"):
        RDIDN(**{**SMALL_RDIDN, "num_blocks": 2}, weights="tiny_x2")
    with pytest.raises(ValueError, match=r"one of \['tiny_x2'\].*'tiny_x3'"):
        RDIDN(**SMALL_RDIDN, weights="tiny_x3")
    assert sorted(p.name for p in folder.iterdir()) == ["tiny_x2.json", "tiny_x2.weights.h5"]


def write_text(path):
    path.write_text("not an HDF5 file")


def write_other_network(path):
    IDN(**TINY).save_weights(path)


def write_wider_network(path):
    RDIDN(**{**SMALL_RDIDN, "filters": 16}).save_weights(path)


def write_deeper_network(path):
    RDIDN(**{**SMALL_RDIDN, "num_blocks": 2}).save_weights(path)


def write_truncated(path):
    RDIDN(**SMALL_RDIDN).save_weights(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    "write",
    [
        write_text,
        write_other_network,
        write_wider_network,
        write_deeper_network,
        write_truncated,
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path, write):
    path = tmp_path / "wrong.weights.h5"
    write(path)
    model = RDIDN(**SMALL_RDIDN)
    with pytest.raises(ValueError, match=r"wrong\.weights\.h5 does not hold weights of RDIDN"):
        load_weights_file(model, path)
    with pytest.raises(ValueError, match=r"wrong\.weights\.h5"):
        RDIDN(**SMALL_RDIDN, weights=path)


def test_surplus_weights_are_not_passed_over(tmp_path):
    """Every weight that the shallow network looks for is in the deep network's file."""
    path = tmp_path / "deep.weights.h5"
    IDN(**{**TINY, "num_blocks": 2}).save_weights(path)
    with pytest.raises(ValueError, match="it holds"):
        IDN(**TINY, weights=path)


def test_weights_saved_with_their_optimizer(tmp_path):
    reference = RDIDN(**SMALL_RDIDN)
    reference.compile("adam", "mae")
    reference.optimizer.build(reference.trainable_variables)
    path = tmp_path / "trained.keras"
    reference.save(path)
    model = RDIDN(**SMALL_RDIDN, weights=path)
    np.testing.assert_array_equal(model.get_weights()[0], reference.get_weights()[0])


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.weights\.h5"):
        RDIDN(**SMALL_RDIDN, weights=tmp_path / "absent.weights.h5")
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"photo\.png"):
        RDIDN(**SMALL_RDIDN, weights=tmp_path / "photo.png")
