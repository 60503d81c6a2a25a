import keras
import numpy as np
import pytest
from analysis.networks import disturb, layers
from harness import close, noise, run_litert, to_numpy

from keras_imaging.analysis import SparseCodingNetwork


@pytest.fixture(scope="module")
def model():
    """Every map that has an operator: strides, borders, skips, joined channels, a vector."""
    keras.utils.set_random_seed(0)
    source = keras.Input((9, 9, 2))
    y = layers.Conv2D(3, 3, activation="relu", padding="same")(source)
    z = layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(y))
    z = layers.ReLU()(layers.Add()([z, y]))
    z = layers.SeparableConv2D(4, 3, strides=2, padding="same", activation="relu")(z)
    padded = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
    z = layers.Concatenate()([layers.AveragePooling2D(2)(padded), z])
    z = layers.Conv2D(4, 3, strides=2, groups=1, activation="relu")(layers.ZeroPadding2D(1)(z))
    z = layers.Conv2D(4, 1, groups=2, activation="relu")(z)
    z = layers.Dense(5, activation="relu")(layers.Flatten()(z))
    model = keras.Model(source, layers.Dense(3, activation="softmax")(z))
    disturb(model)
    return model


@pytest.fixture(scope="module")
def network(model):
    return SparseCodingNetwork(model, iterations=3)


def test_one_iteration_is_the_network(model):
    inputs = noise(2, 9, 9, 2)
    once = SparseCodingNetwork(model)
    close(to_numpy(once(inputs)), to_numpy(model(inputs)), 1e-5)


def test_adjoints(network):
    rng = np.random.default_rng(0)
    for block in network.coding._code_blocks:
        for paths in block.maps.pieces.values():
            for path in paths:
                x = rng.normal(size=(1, *path.input_shape)).astype("float32")
                y = rng.normal(size=(1, *path.output_shape)).astype("float32")
                there = (to_numpy(path(x)) * y).sum()
                back = (x * to_numpy(path.adjoint(y))).sum()
                scale = np.linalg.norm(x) * np.linalg.norm(y)
                assert abs(there - back) < 1e-5 * scale


def test_the_objective_falls(network):
    coding, inputs = network.coding, noise(2, 9, 9, 2)
    values = [
        to_numpy(coding.objective(inputs, coding.codes(inputs, count))) for count in range(1, 9)
    ]
    steps = np.diff(values, axis=0)
    assert (steps < 0).all()
    assert all((to_numpy(code) >= 0).all() for code in coding.codes(inputs, 3))


def test_file(network, tmp_path):
    inputs = noise(2, 9, 9, 2)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(to_numpy(loaded(inputs)), to_numpy(network(inputs)))
    assert loaded.get_config()["iterations"] == 3


@pytest.mark.tensorflow
def test_edge(network, tmp_path):
    from keras_imaging import export

    inputs = noise(4, 9, 9, 2)
    expected = to_numpy(network(inputs[:1]))
    for mode, tolerance in ((None, 1e-4), ("int8", 0.1)):
        path = tmp_path / f"{mode}.tflite"
        calibration = list(inputs) if mode else None
        export.to_litert(network, path, mode, calibration=calibration)
        operators, result = run_litert(path, inputs[:1])
        assert "TRANSPOSE_CONV" in operators
        assert not [name for name in operators if name.startswith("Flex") or name == "CUSTOM"]
        close(result, expected, tolerance)
    _check_scales(tmp_path / "int8.tflite")
    export.to_saved_model(network, tmp_path / "saved")
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


def _check_scales(path):
    """Transposed convolutions have a scale for each filter, along the axis of their outputs."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    details = {d["index"]: d for d in interpreter.get_tensor_details()}
    checked = 0
    for operator in interpreter._get_ops_details():
        if operator["op_name"] != "TRANSPOSE_CONV":
            continue
        kernel = details[operator["inputs"][1]]
        scales = kernel["quantization_parameters"]["scales"]
        if kernel["dtype"] == np.int8 and len(scales) > 1:
            assert kernel["quantization_parameters"]["quantized_dimension"] == 0
            assert len(scales) == kernel["shape"][0]
            checked += 1
    assert checked


def test_bad_input(model):
    with pytest.raises(ValueError, match="`iterations` must be at least 1"):
        SparseCodingNetwork(model, 0)

    def functional(function, shape=(8, 8, 2)):
        source = keras.Input(shape)
        return keras.Model(source, layers.Dense(2)(layers.Flatten()(function(source))))

    for function, message in (
        (lambda x: layers.Conv2D(2, 3, activation="tanh")(x), "must be a ReLU"),
        (lambda x: layers.MaxPooling2D(2)(layers.ReLU()(x)), "is not linear"),
        (
            lambda x: layers.ReLU()(layers.AveragePooling2D(3, 1, "same")(layers.ReLU()(x))),
            "fewer units at the border",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            SparseCodingNetwork(functional(function))
    source = keras.Input((None, None, 2))
    with pytest.raises(ValueError, match="needs an input of known height"):
        SparseCodingNetwork(keras.Model(source, layers.Conv2D(2, 3, activation="relu")(source)))
