"""Files of the networks that reconstruct MR images: from k-space to the image."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.schema_py_generated import ModelT, TensorType
from harness import disturb_weights

from keras_imaging.data import birdcage_maps, head_phantom, random_cartesian_mask, simulate_kspace
from keras_imaging.data.kspace import to_pairs
from keras_imaging.export import to_litert, to_saved_model, verify
from keras_imaging.export.runtime import LiteRTModel
from keras_imaging.models import CPNet, PDHGCSNet

SIZE = (20, 17)
# Largest error in parts of the largest output.
TOLERANCE = {None: 1e-5, "float16": 2e-3, "dynamic": 3e-2}


def scan(coils=0):
    """Inputs of a network: a phantom with phase, of an even and an odd side."""
    image = head_phantom(SIZE) * np.exp(1j * np.linspace(0, 2, SIZE[1]))
    mask = np.repeat(random_cartesian_mask(SIZE, 2, 0.2, seed=1), SIZE[0], axis=0)
    maps = birdcage_maps(SIZE, coils) if coils else None
    inputs = {"kspace": to_pairs(simulate_kspace(image, mask, maps)), "mask": mask}
    if coils:
        inputs["maps"] = to_pairs(maps)
    return {name: array[None] for name, array in inputs.items()}


def disturbed(cls, **options):
    keras.utils.set_random_seed(0)
    model = cls(num_iterations=1, filters=4, block_init="glorot", **options)
    disturb_weights(model)
    return model


def types_of_matrices(path):
    """Types of the constant matrices that products are with."""
    model = ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph, types = model.subgraphs[0], set()
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in (9, 126):
            types |= {graph.tensors[index].type for index in operator.inputs[:2]}
    return types


@pytest.mark.parametrize("coils", [0, 2])
def test_files_for_phones(coils, tmp_path):
    """By builtin operators; in all of them the transforms in float32."""
    model, inputs = disturbed(CPNet, multi_coil=coils > 0), scan(coils)
    expected = np.asarray(model(inputs))
    shapes = {name: value.shape[1:] for name, value in inputs.items()}
    sizes = {}
    for mode in TOLERANCE if coils == 0 else (None,):
        path = to_litert(model, tmp_path / f"{mode}.tflite", mode, shapes)
        (result,) = LiteRTModel(path).run(inputs)
        assert np.abs(result - expected).max() <= TOLERANCE[mode] * np.abs(expected).max()
        assert types_of_matrices(path) == {TensorType.FLOAT32}
        sizes[mode] = path.stat().st_size
    if coils == 0:
        report = verify(model, path, [inputs], runs=1)
        assert report.psnr_keras > 30
        for mode in ("int8", "int16x8"):
            with pytest.raises(ValueError, match="the centre of k-space is thousands of times"):
                to_litert(model, tmp_path / "net.tflite", mode, shapes)
    assert not (tmp_path / "net.tflite").exists()
    with pytest.raises(ValueError, match="need a fixed size"):
        to_litert(model, tmp_path / "net.tflite")


def test_saved_model_with_and_without_maps(tmp_path):
    model, inputs = disturbed(PDHGCSNet, multi_coil=True), scan(coils=3)
    loaded = tf.saved_model.load(to_saved_model(model, tmp_path / "net"))
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    result = loaded.signatures["serving_default"](**tensors)["output_0"]
    expected = np.asarray(model(inputs))
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())
    # The same weights in a network of one coil.
    single = disturbed(PDHGCSNet)
    single.set_weights(model.get_weights())
    assert single.further_signatures() == {}
    assert to_saved_model(single, tmp_path / "single").is_dir()
    inputs = scan()
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    result = loaded.signatures["one_coil"](**tensors)["output_0"]
    expected = np.asarray(single(inputs))
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())
