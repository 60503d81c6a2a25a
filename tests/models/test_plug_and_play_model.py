import keras
import numpy as np
import pytest
from harness import BACKEND, check_model, noise, to_numpy

from keras_imaging.models import Denoiser, PlugAndPlay
from keras_imaging.operators import Gaussian, MaskedFourier, Poisson, Quanta, RealImages, Sampling
from keras_imaging.solvers import pnp_admm, pnp_drs, pnp_fbs

RNG = np.random.default_rng(0)
NETWORK = {"network": "SimpleCNN", "depth": 2, "filters": 4}
X = noise(1, 6, 7, 1, low=0.2)
KNOWN = (RNG.random((1, 6, 7, 1)) < 0.5).astype("float32")
COUNTS = RNG.poisson(3.0, (1, 6, 7, 1)).astype("float32")
KSPACE = RNG.normal(size=(1, 6, 7, 2)).astype("float32")
MASK = (RNG.random((1, 6, 7)) < 0.5).astype("float32")


def test_harness():
    check_model(
        PlugAndPlay,
        {"denoiser": {"network": NETWORK}, "n_iterations": 2},
        {"image": X, "known": KNOWN},
    )


CASES = {
    "inpaint": (
        {"image": X, "known": KNOWN},
        lambda: Gaussian(Sampling(KNOWN[0]), KNOWN * X),
        {},
    ),
    "poisson": ({"counts": COUNTS}, lambda: Poisson(COUNTS), {"value_range": ("min", "max")}),
    "photon": (
        {"ones": COUNTS},
        lambda: Quanta(COUNTS, 4),
        {"value_range": (0.0, "max"), "span": 0.4},
    ),
    "csmri": (
        {"kspace": KSPACE, "mask": MASK},
        lambda: Gaussian(
            MaskedFourier(MASK[0], dtype="float32") @ RealImages((6, 7)), KSPACE * MASK[..., None]
        ),
        {},
    ),
}


@pytest.mark.parametrize("problem", CASES)
def test_it_computes_what_the_solvers_do(problem):
    measured, make, ranges = CASES[problem]
    denoiser = Denoiser(dict(NETWORK), **ranges)
    for algorithm, solver, options in (
        ("admm", pnp_admm, {}),
        ("admm", pnp_admm, {"data_first": True, "returned": "data"}),
        ("drs", pnp_drs, {}),
        ("fbs", pnp_fbs, {"returned": "data"}),
    ):
        model = PlugAndPlay(
            denoiser,
            problem,
            n_iterations=3,
            algorithm=algorithm,
            alpha=0.2,
            oversampling=4,
            **options,
        )
        expected = solver(make(), denoiser, 0.2, n_iterations=3, **options).x
        given = measured if len(measured) > 1 else next(iter(measured.values()))
        for result in (model(given), model.predict_on_batch(given)):
            np.testing.assert_allclose(to_numpy(result), to_numpy(expected), atol=2e-4)
    assert model.count_params() == denoiser.count_params()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="files are made on TensorFlow")
@pytest.mark.parametrize("problem", CASES)
def test_files_have_builtin_operators(problem, tmp_path):
    from keras_imaging.export import to_litert
    from keras_imaging.export.runtime import LiteRTModel

    measured, _, ranges = CASES[problem]
    denoiser = Denoiser({**NETWORK, "spectral_norm": "real", "image_size": (6, 5)}, **ranges)
    model = PlugAndPlay(denoiser, problem, n_iterations=2, alpha=0.2, oversampling=4)
    shapes = {name: value.shape[1:] for name, value in measured.items()}
    # It refuses what is not builtin, and compares with Keras.
    path = to_litert(model, tmp_path / "a.tflite", input_shape=shapes)
    (result,) = LiteRTModel(path).run(measured)
    given = measured if len(measured) > 1 else next(iter(measured.values()))
    np.testing.assert_allclose(result, to_numpy(model(given)), atol=2e-4)


def test_bad_input():
    for arguments, message in (
        ({"problem": "sharpen"}, "'sharpen'"),
        ({"algorithm": "ista"}, "'ista'"),
        ({"returned": "z"}, "returned='z'"),
        ({"n_iterations": 0}, "n_iterations"),
        ({"input_shape": (8, 8, 3)}, "input_shape"),
    ):
        with pytest.raises(ValueError, match=message):
            PlugAndPlay(Denoiser(dict(NETWORK)), **arguments)
    model = PlugAndPlay(Denoiser(dict(NETWORK)))
    with pytest.raises(ValueError, match=r"\['image', 'known'\] by name"):
        model.check_inputs(X)
    with pytest.raises(ValueError, match="`known` as float"):
        model.check_inputs({"image": X, "known": KNOWN.astype("int32")})
    with pytest.raises(ValueError, match="fixed size"):
        PlugAndPlay(Denoiser(dict(NETWORK)), "csmri").edge_form()
    assert isinstance(model.denoiser, keras.Model)
