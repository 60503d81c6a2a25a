"""PDHG-CSnet, CP-net and PD-net against reference arrays, and what they promise of any scan."""

import pathlib
import tempfile

import golden
import keras
import numpy as np
import pytest
from harness import BACKEND, check_model, noise, to_numpy

from keras_imaging.data import head_phantom
from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.models import CPNet, PDHGCSNet, PDNet
from keras_imaging.models.converters.keras_pdnet import load_keras_pdnet
from keras_imaging.solvers import pdhg

# JAX has double precision only where it is asked for.
DOUBLE = "float32" if BACKEND == "jax" else "float64"
RTOL = {"float32": 1e-5, "float64": 1e-10}

NETS = {
    "net_pdhg_csnet": (PDHGCSNet, {"initial": "zeros"}, DOUBLE),
    "net_cp_net": (CPNet, {"initial": "zeros", "dual_skip": "identity"}, DOUBLE),
    "net_cp_net_multicoil": (CPNet, {"dual_skip": "identity", "multi_coil": True}, DOUBLE),
    "net_pd_net": (PDNet, {"initial": "zeros"}, DOUBLE),
    "net_pd_net_adjoint_f32": (PDNet, {}, "float32"),
}


def pairs(array, dtype):
    return np.stack([array.real, array.imag], -1).astype(dtype)


def as_complex(tensor):
    tensor = to_numpy(tensor)
    return tensor[..., 0] + 1j * tensor[..., 1]


def golden_inputs(arrays, dtype):
    """Coils before pixels; one coil without its axis."""
    inputs = {"mask": arrays["mask"][..., 0].astype(dtype)}
    for name in ("kspace", "maps"):
        if name in arrays:
            array = np.moveaxis(arrays[name], -1, 1)
            inputs[name] = pairs(array if "maps" in arrays else array[:, 0], dtype)
    return inputs


def fill(model, arrays):
    for i, layer in enumerate(model.unfolded):
        for kind, block in (("primal", "image_block"), ("dual", "kspace_block")):
            for j, convolution in enumerate(
                getattr(getattr(layer, block, None), "convolutions", [])
            ):
                name = f"w.{kind}.{i}.convs.{j}"
                kernel = golden.kernel(arrays[f"{name}.weight"])
                convolution.set_weights([kernel, arrays[f"{name}.bias"]])
        for step in ("sigma", "tau", "theta"):
            if f"w.{step}" in arrays:
                getattr(layer, step).assign(arrays[f"w.{step}"][i])


def built(name):
    arrays = golden.load(f"pdhg_mri/{name}")
    cls, options, dtype = NETS[name]
    model = cls(
        num_iterations=sum(key.startswith("w.primal") and key.endswith("0.bias") for key in arrays),
        filters=arrays["w.primal.0.convs.0.bias"].size,
        normalize=False,
        block_init="glorot",
        return_all_layers=True,
        dtype=dtype,
        **options,
    )
    fill(model, arrays)
    return model, arrays, golden_inputs(arrays, dtype), dtype


def near(actual, expected, dtype):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=RTOL[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("name", NETS)
def test_reference_arrays(name):
    model, arrays, inputs, dtype = built(name)
    images = model(inputs)
    near(as_complex(images[-1]), arrays["output"], dtype)
    near(as_complex(images[0]), arrays["primal_1"], dtype)
    started = model.get_layer("start")(inputs)
    dual = as_complex(model.unfolded[0]({**inputs, **started})["d"])
    near(dual if "maps" in inputs else dual[:, None], np.moveaxis(arrays["dual_1"], -1, 1), dtype)
    # The names may be left out.
    names = [key for key in ("kspace", "mask", "maps") if key in inputs]
    listed = model([inputs[key] for key in names])
    np.testing.assert_array_equal(to_numpy(listed[-1]), to_numpy(images[-1]))
    if BACKEND != "tensorflow":
        return
    import tensorflow as tf

    with tf.GradientTape() as tape:
        image = model(inputs)[-1]
        loss = tf.reduce_mean(tf.square(image - pairs(arrays["target"], dtype)))
    near(float(loss), arrays["loss"], dtype)
    # Each gradient that the reference has: of first kernels and of the steps.
    parts = {}
    for kind, block in (("primal", "image_block"), ("dual", "kspace_block")):
        layer = model.unfolded[0]
        if hasattr(layer, block):
            kernel = getattr(layer, block).convolutions[0].kernel.value
            parts[f"grad.{kind}.0.convs.0.weight"] = [kernel]
    for step in ("sigma", "tau", "theta"):
        if f"grad.{step}" in arrays:
            parts[f"grad.{step}"] = [getattr(layer, step).value for layer in model.unfolded]
    gradients = tape.gradient(loss, parts)
    for key, expected in arrays.items():
        if not key.startswith("grad."):
            continue
        if key in parts:
            values = np.stack([0 if g is None else g.numpy() for g in gradients[key]])
            values = values[0].transpose(3, 2, 0, 1) if key.endswith("weight") else values
            near(values, expected, dtype)
    assert parts.keys() == {key for key in arrays if key.startswith("grad.")}


def test_weights_of_the_reference_with_memory():
    arrays = golden.load("pdhg_mri/learned_primal_dual_ramzi")
    options = {"num_primal": 5, "num_dual": 5, "initial": "zeros", "block_init": "glorot"}
    model = PDNet(2, 8, normalize=False, **options)
    weights = [arrays[f"w{i:02d}"] for i in range(24)]
    load_keras_pdnet(model, weights)
    kspace = pairs(arrays["kspace"][None, ..., 0], "float32")
    image = as_complex(model({"kspace": kspace, "mask": arrays["mask"][None]}))
    near(np.abs(image[0]), arrays["output_magnitude"][..., 0], "float32")
    with pytest.raises(ValueError, match=r"24 arrays of weights.*23"):
        load_keras_pdnet(model, weights[1:])


def scan(coils=0, size=(20, 17), seed=0):
    """k-space of a phantom with phase, a mask for each of two samples, and maps."""
    rng = np.random.default_rng(seed)
    image = head_phantom(size) * np.exp(1j * np.linspace(0, 2, size[1]))
    images = np.stack([image, image[::-1]])
    mask = (rng.random((2, 1, size[1])) < 0.5).astype("float32")
    mask[..., size[1] // 2 - 2 : size[1] // 2 + 2] = 1
    inputs = {"mask": mask}
    if coils:
        maps = birdcage_maps(size, coils)
        images = images[:, None] * maps
        inputs["maps"] = pairs(np.stack([maps, maps]), "float32")
    axes = (-2, -1)
    kspace = np.fft.fftshift(
        np.fft.fft2(np.fft.ifftshift(images, axes), axes=axes, norm="ortho"), axes
    )
    kspace = kspace * (mask if not coils else mask[:, None])
    return {"kspace": pairs(kspace, "float32"), **inputs}


@pytest.mark.parametrize("cls", [PDHGCSNet, CPNet])
def test_starts_as_the_classical_iteration(cls):
    """Zero kernels: the network is PDHG for least squares, sigma = tau = 1/2."""
    inputs = scan()
    image = as_complex(cls(num_iterations=4, filters=4)(inputs))
    kspace = inputs["kspace"][..., 0] + 1j * inputs["kspace"][..., 1]
    from keras_imaging.operators import MaskedFourier

    A = MaskedFourier(inputs["mask"], (20, 17))
    result = pdhg(
        A,
        lambda v, sigma: (
            (v - keras.ops.cast(sigma, v.dtype) * kspace.astype("complex64"))
            / (1 + keras.ops.cast(sigma, v.dtype))
        ),
        start=A.adjoint(kspace.astype("complex64")),
        sigma=0.5,
        tau=0.5,
        n_iterations=4,
        tolerance=0,
    )
    np.testing.assert_allclose(image, to_numpy(result.x), atol=1e-5)


def perturbed(model):
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1 * noise(*variable.shape))
    return model


@pytest.mark.parametrize("cls", [PDHGCSNet, CPNet, PDNet])
def test_scans_of_any_unit_size_and_batch(cls):
    model = perturbed(cls(num_iterations=2, filters=4, multi_coil=True))
    inputs = scan(coils=3)
    image = to_numpy(model(inputs))
    assert image.shape == (2, 20, 17, 2) and np.isfinite(image).all()
    for factor in (1e-6, 1e4):
        scaled = {**inputs, "kspace": inputs["kspace"] * np.float32(factor)}
        np.testing.assert_allclose(
            to_numpy(model(scaled)), factor * image, atol=1e-5 * factor * np.abs(image).max()
        )
    # No sample touches another; other coils and sizes are taken by the same weights.
    alone = to_numpy(model({key: value[:1] for key, value in inputs.items()}))
    np.testing.assert_allclose(alone, image[:1], atol=1e-5)
    assert to_numpy(model(scan(coils=5, size=(12, 15)))).shape == (2, 12, 15, 2)
    zero = {**inputs, "kspace": 0 * inputs["kspace"]}
    assert not to_numpy(model(zero)).any()
    # A phone's products instead of FFTs.
    products = cls(num_iterations=2, filters=4, multi_coil=True, fft_method="matmul")
    products.set_weights(model.get_weights())
    np.testing.assert_allclose(to_numpy(products(inputs)), image, atol=1e-5)


def test_saving_and_mixed_precision():
    inputs = scan()
    for cls in (PDHGCSNet, CPNet, PDNet):
        model = perturbed(cls(num_iterations=2, filters=4, shared_weights=True))
        image = to_numpy(model(inputs))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            model.save(path)
            loaded = keras.saving.load_model(path)
        np.testing.assert_array_equal(to_numpy(loaded(inputs)), image)
        assert len(model.unfolded) == 1
        half = cls(num_iterations=2, filters=4, shared_weights=True, dtype="mixed_bfloat16")
        half.set_weights(model.get_weights())
        low = to_numpy(half(inputs))
        assert low.dtype == np.float32
        np.testing.assert_allclose(low, image, atol=0.03 * np.abs(image).max())


@pytest.mark.parametrize("cls", [PDHGCSNet, CPNet, PDNet])
def test_model(cls):
    inputs = scan()
    inputs["mask"] = np.tile(inputs["mask"], (1, 20, 1))
    # Of no symmetry: where two pixels are the largest, the scale has no slope.
    inputs["kspace"] = noise(*inputs["kspace"].shape) * inputs["mask"][..., None]
    arguments = {"num_iterations": 2, "filters": 4, "block_init": "glorot"}
    check_model(cls, arguments, inputs, dynamic=False)


def test_bounded_steps():
    model = PDHGCSNet(num_iterations=1, filters=4, bounded_steps=True)
    layer = model.unfolded[0]
    layer.sigma.assign(-3.0)
    layer.tau.assign(4.0)
    sigma, tau = (float(step) for step in layer._steps())
    assert min(sigma, tau) > 0 and sigma * tau == pytest.approx(0.99, rel=1e-5)
    assert sigma / tau == pytest.approx(0.75, rel=1e-5)


def test_counts_of_parameters():
    assert PDHGCSNet().count_params() == 104_370
    assert CPNet().count_params() == 214_470
    assert PDNet().count_params() == 225_960
    assert PDNet.from_preset("learned_primal_dual", weights=None).count_params() == 318_280


def test_bad_arguments_and_inputs():
    for make, message in (
        (lambda: PDHGCSNet(0), "num_iterations.*0"),
        (lambda: PDHGCSNet(filters=0), "filters.*0"),
        (lambda: PDHGCSNet(initial="ones"), "initial.*ones"),
        (lambda: CPNet(dual_skip="none"), "dual_skip.*none"),
        (lambda: CPNet(block_init="he"), "block_init.*he"),
        (lambda: PDNet(initial="zeros"), "every gradient is zero"),
        (lambda: PDNet(num_dual=0), "num_dual.*0"),
        (lambda: PDNet(multi_coil=True, input_shape=(8, 8)), r"\(coils, height, width, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    model, inputs = PDHGCSNet(1, 2), scan()
    coils = PDHGCSNet(1, 2, multi_coil=True)
    kspace, mask = inputs["kspace"], inputs["mask"]
    for network, given, message in (
        (model, kspace, "by name"),
        (model, {"kspace": kspace}, r"by name.*\['kspace'\]"),
        (model, [kspace.astype("int32"), mask], "`kspace` as float.*int32"),
        (model, [kspace[..., 0] + 0j, mask], "`kspace` as float.*complex"),
        (model, [kspace.transpose(0, 3, 1, 2), mask], "axis 1 is 2: move it to the end"),
        (model, [kspace, mask[..., 1:]], r"`mask` of shape.*\(2, 1, 16\)"),
        (model, [kspace, mask[0]], r"`mask` of shape.*\(1, 17\)"),
        (coils, [kspace, mask, kspace], r"multi_coil=True\) expected `kspace`"),
        (coils, [kspace[:, None], mask, kspace[:, None, 1:]], r"expected `maps`"),
    ):
        with pytest.raises(ValueError, match=message):
            network(given)
    one_coil = to_numpy(model([kspace[:, None], mask]))
    np.testing.assert_array_equal(one_coil, to_numpy(model(inputs)))
