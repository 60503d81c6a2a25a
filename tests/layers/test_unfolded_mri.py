import numpy as np
import pytest
from harness import check_layer, noise, to_numpy

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.layers import (
    ComplexConvBlock,
    CPLayer,
    DataConsistency,
    PDHGLayer,
    PrimalDualLayer,
    PrimalDualStart,
)
from keras_imaging.operators import sense_operator

SIZE = (6, 9)
MASK = (np.random.default_rng(0).random((2, 1, 9)) < 0.6).astype("float32")


def scan(coils=0):
    inputs = {"mask": MASK, "x": noise(2, *SIZE, 2)}
    axis = (coils,) if coils else ()
    inputs["kspace"] = np.random.default_rng(1).normal(size=(2, *axis, *SIZE, 2)).astype("float32")
    if coils:
        maps = birdcage_maps(SIZE, coils)
        inputs["maps"] = np.stack([np.stack([maps.real, maps.imag], -1)] * 2).astype("float32")
    mask = MASK[..., None] if not coils else MASK[:, None, :, :, None]
    return {**inputs, "kspace": inputs["kspace"] * mask}


def test_complex_conv_block():
    check_layer(
        ComplexConvBlock,
        {"filters": 3, "out_channels": 4, "block_init": "glorot"},
        noise(2, 7, 8, 6),
        edge=True,
    )
    # Coils are filtered one by one.
    block = ComplexConvBlock(3, block_init="glorot")
    coils = noise(2, 4, 6, 5, 2)
    together = to_numpy(block(coils))
    np.testing.assert_allclose(together[:, 1], to_numpy(block(coils[:, 1])), atol=1e-6)
    # The classical start adds nothing.
    assert not to_numpy(ComplexConvBlock(3)(coils)).any()
    with pytest.raises(ValueError, match=r"depth.*0"):
        ComplexConvBlock(3, depth=0)


def test_start():
    inputs = scan(3)
    start = PrimalDualStart(num_primal=2, num_dual=3)
    out = {name: to_numpy(value) for name, value in start(inputs).items()}
    promised = start.compute_output_shape({name: value.shape for name, value in inputs.items()})
    assert {name: value.shape for name, value in out.items()} == promised
    A = sense_operator(MASK, inputs["maps"], dtype="float32")
    back = to_numpy(A.adjoint(inputs["kspace"]))
    scale = np.linalg.norm(back, axis=-1).max(axis=(1, 2)).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(out["scale"], scale, rtol=1e-5)
    np.testing.assert_allclose(out["x"], np.tile(back / scale, 2), atol=1e-5)
    assert not out["d"].any()
    plain = PrimalDualStart("zeros", normalize=False)(inputs)
    np.testing.assert_array_equal(to_numpy(plain["kspace"]), inputs["kspace"])
    assert not to_numpy(plain["x"]).any() and (to_numpy(plain["scale"]) == 1).all()


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (PrimalDualStart, {"num_primal": 2}),
        (PDHGLayer, {"bounded_steps": True}),
        (CPLayer, {"dual_skip": "identity"}),
        (PrimalDualLayer, {"num_primal": 2, "num_dual": 2}),
        (DataConsistency, {"noise_level": 0.5, "learn_noise_level": True, "n_iterations": 3}),
    ],
)
def test_layer(cls, options):
    inputs = scan(2)
    memory = {key: value for key, value in options.items() if key.startswith("num_")}
    if cls is not PrimalDualStart:
        started = PrimalDualStart(**memory)(inputs)
        started["d"] = started["d"] + 0.1
        # x_bar is not x, or nothing would depend on how far it is extrapolated.
        inputs = {
            **inputs,
            **{name: to_numpy(started[name]) for name in ("kspace", "x", "x_bar", "d")},
        }
    if cls not in (PrimalDualStart, DataConsistency):
        options = {**options, "filters": 3, "block_init": "glorot"}
    check_layer(cls, {**options, "fft_method": "matmul"}, inputs, dynamic=False)


def test_data_consistency():
    inputs = scan()
    fourier = sense_operator(np.ones((1, 1)), image_shape=SIZE, dtype="float32")
    k, f, mask = to_numpy(fourier(inputs["x"])), inputs["kspace"], MASK[..., None]
    hard = to_numpy(fourier(DataConsistency()(inputs)))
    np.testing.assert_allclose(hard, k * (1 - mask) + f * mask, atol=1e-5)
    soft = to_numpy(fourier(DataConsistency(0.25)(inputs)))
    np.testing.assert_allclose(soft, k * (1 - mask) + (k + 4 * f) / 5 * mask, atol=1e-5)
    # With coils: ||z - x||^2 + v ||A z - f||^2 is smallest, its gradient zero.
    inputs = scan(3)
    z = DataConsistency(0.5, n_iterations=30)(inputs)
    A = sense_operator(MASK, inputs["maps"], dtype="float32")
    gradient = to_numpy(z) - inputs["x"] + 2 * to_numpy(A.adjoint(A(z) - inputs["kspace"]))
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
    for make, message in (
        (lambda: DataConsistency(0.0), "noise_level=0.0"),
        (lambda: DataConsistency(learn_noise_level=True), "give `noise_level`"),
        (lambda: DataConsistency()(inputs), "With coils"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
