import json

import numpy as np
import pytest

from keras_imaging.data import (
    birdcage_maps,
    head_phantom,
    random_cartesian_mask,
    simulate_kspace,
    synthetic_phase,
)
from keras_imaging.data.kspace import from_pairs, kspace_to_image, to_pairs
from keras_imaging.evaluation import evaluate_mri, magnitude_scores
from keras_imaging.metrics import ssim

HEADS = {
    "t1": np.stack([head_phantom((32, 40), "t1", seed) for seed in (1, 2)]),
    "t2": 200 * head_phantom((36, 36), "t2", 1)[None],
}


def test_magnitude_scores():
    truth = HEADS["t1"][0]
    image = truth + 0.1
    scores = magnitude_scores(-3j * image, 3 * truth)
    assert scores.psnr == pytest.approx(20, abs=1e-5)
    assert scores.nmse == pytest.approx(0.01 * truth.size / np.square(truth).sum(), rel=1e-5)
    assert scores.ssim == pytest.approx(ssim(image, truth, max_val=1, window="uniform"))
    same = magnitude_scores(truth, truth)
    assert (same.psnr, same.nmse) == (np.inf, 0) and same.ssim == pytest.approx(1)
    with pytest.raises(ValueError, match="zero everywhere"):
        magnitude_scores(truth, 0 * truth)


@pytest.mark.parametrize("n_coils", [0, 2])
def test_protocol(n_coils):
    seen, steps = [], []

    def half(inputs):
        """Zero-filling at half its brightness."""
        seen.append({name: array.shape for name, array in inputs.items()})
        image = kspace_to_image(from_pairs(inputs["kspace"]))
        if n_coils:
            image = (from_pairs(inputs["maps"]).conj() * image).sum(axis=1)
        return to_pairs(image / 2)

    scores = evaluate_mri(
        {"half": half},
        HEADS,
        acceleration=3,
        center_fraction=0.1,
        n_coils=n_coils,
        progress=lambda *numbers: steps.append(numbers),
    )
    coils = (2,) if n_coils else ()
    assert seen[0]["kspace"] == (1, *coils, 32, 40, 2) and seen[0]["mask"] == (1, 32, 40)
    assert steps[-1] == (6, 6) and scores.mask == "cartesian 3x"
    zero_filled, halved = (scores.slices[name]["t1"] for name in ("zero-filled", "half"))
    assert len(zero_filled) == 2 and len(scores.slices["half"]["t2"]) == 1
    # By hand: the second slice.
    image = HEADS["t1"][1] / HEADS["t1"][1].max()
    image = image * np.exp(1j * synthetic_phase((32, 40), 1))
    mask = random_cartesian_mask((32, 40), 3, 0.1, seed=1)
    maps = birdcage_maps((32, 40), 2) if n_coils else None
    filled = kspace_to_image(simulate_kspace(image, mask, maps))
    if n_coils:
        filled = (maps.conj() * filled).sum(axis=0)
    expected = magnitude_scores(filled, image)
    assert zero_filled[1].psnr == pytest.approx(expected.psnr, abs=1e-4)
    assert zero_filled[1].ssim == pytest.approx(expected.ssim, abs=1e-5)
    assert halved[1].nmse == pytest.approx(magnitude_scores(filled / 2, image).nmse, rel=1e-4)
    assert scores.sampled["t1"] == pytest.approx(mask.mean())
    mean, deviation = scores.mean["zero-filled"]["t1"], scores.deviation["zero-filled"]["t1"]
    assert mean.psnr == pytest.approx((zero_filled[0].psnr + zero_filled[1].psnr) / 2)
    assert deviation.psnr == pytest.approx(abs(zero_filled[0].psnr - zero_filled[1].psnr) / 2)
    assert json.loads(json.dumps(scores.to_dict()))["mean"]["half"]["t2"]["psnr"] > 5


def test_full_sampling_and_bad_input():
    scores = evaluate_mri({}, {"t1": HEADS["t1"] * np.exp(1j)}, mask=np.ones((1, 40)))
    assert scores.mean["zero-filled"]["t1"].psnr > 100
    assert scores.sampled == {"t1": 1.0} and scores.mask == "given"
    with pytest.raises(ValueError, match="no images"):
        evaluate_mri({}, {})
    with pytest.raises(ValueError, match="Slice 0 of 'a'"):
        evaluate_mri({}, {"a": np.zeros((1, 20, 20))})
    with pytest.raises(ValueError, match=r"'flat' must return .*\(1, 32, 40, 2\)"):
        evaluate_mri({"flat": lambda inputs: inputs["kspace"][..., 0]}, HEADS)
