import json

import numpy as np
import pytest
from harness import to_numpy

from keras_imaging import evaluation
from keras_imaging.data import birdcage_maps, head_phantom, simulate_kspace
from keras_imaging.data.kspace import to_pairs
from keras_imaging.data.mri_scan import measured_scan
from keras_imaging.models import PDHGCSNet, load
from keras_imaging.training import MRIRecipe, train
from keras_imaging.training.recipes.mri import held_out_error


def recipe(**fields):
    small = {"num_iterations": 1, "filters": 2, "patch_size": 16, "batch_size": 2}
    return MRIRecipe(**{"preset": "pdhg_csnet", "steps": 3, "jit": False, **small, **fields})


IMAGES = [(255 * head_phantom((20, 24))).astype("uint8")]


@pytest.mark.parametrize("coils", [0, 3])
def test_held_out_error(coils):
    """Nothing for the true image, otherwise by the formula; whatever the unit of the scan."""
    image = head_phantom((12, 10)) * np.exp(1j * np.linspace(0, 2, 10))
    maps = birdcage_maps((12, 10), coils) if coils else None
    held = (np.random.default_rng(0).random((12, 10)) < 0.3).astype("float32")
    f = simulate_kspace(image, held, maps)
    side = np.broadcast_to(held, f.shape)[..., None]
    target = [to_pairs(f), side, *([] if maps is None else [to_pairs(maps)])]
    target = np.concatenate(target, -1)[None].astype("float32")
    truth = to_pairs(image)[None].astype("float32")
    assert float(held_out_error(target, truth)[0]) < 1e-5
    wrong = truth * np.float32(1.5)
    expected = 0.5 + 0.5
    assert float(held_out_error(target, wrong)[0]) == pytest.approx(expected, rel=1e-4)
    target[..., :2] *= 1e-3
    assert float(held_out_error(target, wrong * 1e-3)[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("preset", ["pdhg_csnet", "cp_net", "pd_net", "learned_primal_dual"])
def test_networks_of_the_recipe(preset):
    model = recipe(preset=preset, n_coils=2).build_model()
    config = model.get_config()
    assert (config["num_iterations"], config["filters"], config["multi_coil"]) == (1, 2, True)
    again = recipe(preset=preset, n_coils=2).build_model()
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run(tmp_path):
    result = train(recipe(checkpoint_every=2), IMAGES, tmp_path / "run", data_name="phantom")
    card = json.loads((tmp_path / "run/model.json").read_text())
    assert card["model"] == "PDHGCSNet" and card["recipe"]["mask"] == ["cartesian"]
    model = load(str(tmp_path / "run"), task="mri")
    assert isinstance(model, PDHGCSNet)
    for a, b in zip(model.get_weights(), result.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    # It is scored as it was trained.
    phantom = head_phantom((20, 24))[None]
    np.savez(tmp_path / "test.npz", t1=phantom, t2=phantom)
    rows, _ = evaluation.figures_of(model, {"phantom": str(tmp_path / "test.npz")}, card)
    assert set(rows) == {"phantom, t1", "phantom, t2"}
    assert {"psnr", "ssim", "nmse", "zero_filled_psnr"} == set(rows["phantom, t1"])


def test_without_true_images(tmp_path):
    """Simulated or measured scans, whose samples are divided anew in every step."""
    maps = birdcage_maps((20, 24), 2)
    mask = np.ones((20, 24), "float32")
    mask[:, ::3] = 0
    kspace = simulate_kspace(head_phantom((20, 24)), mask, maps)
    scan = measured_scan(kspace[None], mask, maps)
    ssdu = recipe(supervision="ssdu", n_coils=2)
    for data in (IMAGES, [scan]):
        sampler = ssdu.build_sampler(data, None)
        inputs, target = sampler.batch(0)
        assert target.shape[-1] == 5
        # What is held out is not among the inputs.
        assert not (inputs["mask"][:, None] * target[..., 2]).any()
    result = train(ssdu, [scan], tmp_path / "run")
    assert np.isfinite(result.history[-1]["loss"])
    model = result.model
    held = held_out_error(target, model(inputs))
    assert to_numpy(held).shape == (2,) and np.isfinite(to_numpy(held)).all()


def test_bad_fields():
    for fields, message in (
        ({"supervision": "none"}, "supervision"),
        ({"patch_size": -1}, "patch_size"),
        ({"n_coils": -1}, "n_coils"),
        ({"noise": -0.1}, "noise"),
    ):
        with pytest.raises(ValueError, match=f"`{message}` must be"):
            MRIRecipe(**fields)
    with pytest.raises(ValueError, match="vgg"):
        recipe(preset="vgg").build_model()
    with pytest.raises(ValueError, match="spiral"):
        recipe(mask="spiral").build_sampler(IMAGES, None)
