import golden
import numpy as np
import pytest
from harness import check_model, noise, to_numpy

from keras_imaging.data import gaussian_measurement_matrix, random_dictionary
from keras_imaging.inference.sensing import sparse_recovery
from keras_imaging.models import CompressiveSensing
from keras_imaging.solvers import ista

PHI = gaussian_measurement_matrix(5, 9)
DICTIONARY = random_dictionary(9, 16)


def test_golden():
    arrays = golden.load("lista/lista_cpss_cs")
    model = CompressiveSensing(
        arrays["Phi"],
        arrays["D"],
        int(arrays["cfg_T"]),
        (float(arrays["cfg_percent"]), float(arrays["cfg_max_percent"])),
        lam=float(arrays["cfg_lam"]),
        return_all_layers=True,
    )
    for k, layer in enumerate(model.unfolded, start=1):
        layer.backward_map.matrix.assign(arrays["w_W"])
        layer.threshold.theta.assign(arrays[f"w_theta_{k}"])
    model.synthesis.kernel.assign(arrays["w_D"].T)
    patches = model(arrays["y"].T)
    for ours, reference in zip(patches, arrays["f_layers"], strict=True):
        np.testing.assert_allclose(to_numpy(ours), reference.T, rtol=0, atol=1e-5)


def test_harness():
    arguments = {"phi": PHI, "dictionary": DICTIONARY, "num_layers": 2}
    options = {"support_selection": (10.0, 20.0)}
    check_model(CompressiveSensing, {**arguments, **options}, noise(3, 5), dynamic=False, edge=True)


@pytest.mark.parametrize("tied", [True, False])
def test_starts_as_ista(tied):
    model = CompressiveSensing(PHI, DICTIONARY, 3, None, tied=tied, lam=0.05)
    expected = sparse_recovery(PHI, DICTIONARY, 0.05, 3, ista)(noise(4, 5))
    np.testing.assert_allclose(to_numpy(model(noise(4, 5))), to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_travel_between_forms(tmp_path, tied):
    """What all layers give has no bearing on what is stored, and where."""
    model = CompressiveSensing(PHI, DICTIONARY, 2, tied=tied)
    path = str(tmp_path / "a.weights.h5")
    model.save_weights(path)
    shapes = {"phi": (5, 9), "dictionary": (9, 16), "num_layers": 2, "tied": tied}
    again = CompressiveSensing(**shapes, weights=path, return_all_layers=True)
    np.testing.assert_array_equal(to_numpy(again(noise(2, 5))[-1]), to_numpy(model(noise(2, 5))))
    np.testing.assert_array_equal(again.measurement_matrix, PHI)
    # Each matrix is stored once.
    parameters = 5 * 9 + 2 * 9 * 16 + (1 if tied else 2) * 5 * 16 + 2
    assert model.count_params() == parameters


def test_presets_have_the_sizes_of_their_names():
    for name, arguments in CompressiveSensing.presets.items():
        m, f = arguments["phi"]
        assert m == round(int(name.split("_")[-1]) / 100 * f)
    model = CompressiveSensing.from_preset("lista_cs_10", weights=None)
    assert model.input_shape == (None, 26) and model.output_shape == (None, 256)
    assert len(model.trainable_variables) == 1 + 16 + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phi": (5, 8), "dictionary": (9, 16)}, r"as many columns as D has rows.*\(5, 8\)"),
        ({"phi": np.full((5, 9), np.nan), "dictionary": DICTIONARY}, "45 values that are NaN"),
        ({"phi": PHI, "dictionary": DICTIONARY * (np.arange(16) != 3)}, "Column 3 of Phi D"),
        ({"phi": PHI * 1j, "dictionary": DICTIONARY}, "must be real"),
        ({"phi": PHI, "dictionary": DICTIONARY, "num_layers": 0}, "num_layers=0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CompressiveSensing(**arguments)


def test_bad_inputs():
    model = CompressiveSensing(PHI, DICTIONARY, 1)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 5\), found shape=\(2, 4\)"):
        model(noise(2, 4))
    with pytest.raises(ValueError, match="int32"):
        model(np.ones((2, 5), "int32"))
