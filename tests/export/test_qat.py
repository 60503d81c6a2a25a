import keras
import numpy as np
import pytest
import tf_keras
from small import picture, tiny

from keras_imaging.data import central_crop, sample_image
from keras_imaging.export import plain_graph, quantization_aware, quantization_aware_to_litert
from keras_imaging.export.classifier_emulation import opened_classifier
from keras_imaging.export.runtime import LiteRTModel, operators
from keras_imaging.models import ResNetRS


@pytest.fixture(scope="module")
def case():
    model = tiny()
    samples = [picture(16, 16, seed=seed) for seed in range(4)]
    return model, quantization_aware(model, calibration=samples)


def error_to(expected, result):
    return float(np.sqrt(np.mean(np.square(np.clip(expected, 0, 1) - result))))


def test_computes_as_the_network_with_8_bits(case):
    model, network = case
    x = picture(12, 20, seed=7)[None]
    result = network(x, training=False).numpy()
    assert error_to(model(x), result) < 0.02
    # 256 steps from 0 to 1.
    np.testing.assert_allclose(255 * result, np.round(255 * result), atol=1e-3)
    assert len(network.trainable_weights) == len(plain_graph(model).trainable_weights)


def test_trains_and_becomes_an_int8_file(case, tmp_path):
    _, network = case
    x = np.stack([picture(16, 16, seed=seed) for seed in range(8)])
    # Something new to learn, which only trained weights give.
    y = np.clip(0.6 * x.repeat(2, 1).repeat(2, 2), 0, 1)
    network.compile(tf_keras.optimizers.Adam(3e-3), "mae")
    before = network.evaluate(x, y, verbose=0)
    network.fit(x, y, batch_size=4, epochs=15, verbose=0)
    after = network.evaluate(x, y, verbose=0)
    assert after < 0.7 * before

    path = quantization_aware_to_litert(network, tmp_path / "a.tflite")
    file = LiteRTModel(path)
    for end in (file.input, file.output):
        assert end["dtype"] is np.uint8
        assert end["quantization"] == (np.float32(1 / 255), 0)
    assert {name for name, _ in operators(path)} == {
        "CONV_2D",
        "LEAKY_RELU",
        "ADD",
        "CONCATENATION",
        "DEPTH_TO_SPACE",
        "QUANTIZE",
    }
    assert file.partitions() == (1, {"QUANTIZE": 2})
    result = file(x[:1])
    assert np.mean(np.abs(result - y[:1])) < 0.8 * before
    assert error_to(network(x[:1], training=False), result) < 0.01


def test_bad_arguments(case, tmp_path):
    _, network = case
    with pytest.raises(ValueError, match=r"ends with \.tflite"):
        quantization_aware_to_litert(network, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="`io_dtype` must be"):
        quantization_aware_to_litert(network, tmp_path / "a.tflite", io_dtype="float32")
    with pytest.raises(ValueError, match=r"with .*InterpolationUpsample"):
        quantization_aware(tiny(global_skip="bicubic"), calibration=[picture(8, 8)])
    image = keras.Input((8, 8, 1))
    with pytest.raises(ValueError, match="Expected a super-resolution network"):
        quantization_aware(keras.Model(image, keras.layers.Conv2D(1, 3)(image)))


def classifier(**arguments):
    """With all parts of one, and logits that differ."""
    keras.utils.set_random_seed(0)
    model = ResNetRS(
        blocks=(2, 1),
        filters=(8, 8),
        width_multiplier=0.5,
        classes=6,
        dropout_rate=0.1,
        stochastic_depth_rate=0.1,
        zero_init_residual=False,
        **arguments,
    )
    last = model.get_layer("classifier")
    kernel, bias = last.get_weights()
    last.set_weights([100 * kernel, bias])
    return model


def test_classifier_trains_and_becomes_an_int8_file(tmp_path):
    model = classifier()
    crops = [central_crop(sample_image()[k : k + 80], 40) for k in range(0, 300, 30)]
    network = quantization_aware(model, (40, 40, 3), crops)
    x = np.stack(crops).astype("float32")
    wanted = np.asarray(model(model.prepare(np.stack(crops))))
    before = np.asarray(network(x))
    assert error_to_logits(wanted, before) < 0.1
    # Of a layer deep inside, rounding has not moved the mean of any channel.
    graph = opened_classifier(model.taking_pixels(), (40, 40, 3))
    means = []
    for one in (graph, network):
        # Layers stand in several graphs; this one was made last.
        output = one.get_layer("stage2_block1_norm3")._inbound_nodes[-1].outputs[0]
        means.append(np.asarray(keras.Model(one.input, output)(x)).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(means[1], means[0], atol=1e-4)
    # Kernels are rounded, and trained all the same.
    kernels = [v for v in model.trainable_variables if len(v.shape) > 1]
    assert len([v for v in network.trainable_variables if len(v.shape) > 1]) == len(kernels)
    others = wanted[:, ::-1]

    def loss(targets, logits):
        return keras.losses.mean_squared_error(targets, logits)

    network.compile(keras.optimizers.Adam(3e-3), loss, jit_compile=False)
    network.fit(x, others, batch_size=5, epochs=10, verbose=0)
    trained = np.asarray(network(x))
    assert np.mean((trained - others) ** 2) < 0.7 * np.mean((before - others) ** 2)

    path = quantization_aware_to_litert(network, tmp_path / "a.tflite")
    file = LiteRTModel(path)
    assert file.input["dtype"] is np.uint8 and file.input["quantization"] == (1.0, 0)
    assert file.output["dtype"] is np.float32
    found = [name for name, _ in operators(path)]
    assert found.count("LOGISTIC") == found.count("MEAN") - 1 == 3
    result = np.concatenate([file(row[None]) for row in x])
    assert error_to_logits(trained, result) < 0.05


def error_to_logits(expected, result):
    return float(np.sqrt(np.mean(np.square(expected - result))) / np.std(expected))


def test_classifiers_whose_rounding_is_not_known():
    with pytest.raises(ValueError, match=r"channel attention. Received: ResNetRS with .*silu"):
        quantization_aware(classifier(variant="garden"), (32, 32, 3), [picture(32, 32, 3)])
    with pytest.raises(ValueError, match=r"sides that are known. .*\(None, None, 3\)"):
        quantization_aware(classifier(), calibration=[picture(32, 32, 3)])
