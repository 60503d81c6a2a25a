import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.layers import DataStep
from keras_imaging.operators import Gaussian, MaskedFourier, Poisson, Quanta, RealImages, Sampling

X = noise(2, 5, 6, 1, low=0.2)
RNG = np.random.default_rng(0)
KNOWN = (RNG.random((2, 5, 6, 1)) < 0.5).astype("float32")
COUNTS = RNG.poisson(3.0, (2, 5, 6, 1)).astype("float32")
KSPACE = RNG.normal(size=(2, 5, 6, 2)).astype("float32")
MASK = (RNG.random((5, 6)) < 0.5).astype("float32")


def test_harness():
    # Positive counts: the root has no slope at 0.
    check_layer(DataStep, {"problem": "poisson", "alpha": 0.5}, {"x": X, "counts": 1 + COUNTS})


def _cases():
    yield (
        "inpaint",
        {"image": X, "known": KNOWN},
        # Of each picture its own pixels are known.
        [Gaussian(Sampling(KNOWN[i]), (KNOWN * X)[i : i + 1]) for i in range(2)],
    )
    yield "poisson", {"counts": COUNTS}, [Poisson(COUNTS[i : i + 1]) for i in range(2)]
    yield "photon", {"ones": COUNTS}, [Quanta(COUNTS[i : i + 1], 4) for i in range(2)]
    A = MaskedFourier(MASK, dtype="float32") @ RealImages((5, 6))
    sampled = KSPACE * MASK[..., None]
    yield (
        "csmri",
        {"kspace": KSPACE, "mask": np.stack([MASK, MASK])},
        [Gaussian(A, sampled[i : i + 1]) for i in range(2)],
    )


@pytest.mark.parametrize(("problem", "measured", "terms"), list(_cases()), ids=lambda v: str(v)[:8])
def test_it_is_the_data_term(problem, measured, terms):
    def step(kind, **inputs):
        layer = DataStep(problem, kind, alpha=0.3, oversampling=4)
        return to_numpy(layer({**inputs, **measured}))

    x = [X[i : i + 1] for i in range(2)]
    expected = {
        "prox": [f.prox(np.asarray(z), 0.3) for f, z in zip(terms, x, strict=True)],
        "gradient": [f.project(z - 0.3 * f.gradient(z)) for f, z in zip(terms, x, strict=True)],
    }
    for kind, parts in expected.items():
        wanted = np.concatenate([to_numpy(part) for part in parts])
        np.testing.assert_allclose(step(kind, x=X), wanted, atol=2e-5)
    wanted = np.concatenate([to_numpy(f.start()) for f in terms])
    np.testing.assert_allclose(step("start"), wanted, atol=1e-5)


def test_bad_input():
    for arguments, message in (
        ({"problem": "sharpen"}, "'sharpen'"),
        ({"kind": "step"}, "'step'"),
        ({"alpha": 0.0}, "alpha=0"),
    ):
        with pytest.raises(ValueError, match=message):
            DataStep(**arguments)
