"""Files of networks other than those for pictures in and pictures out."""

import collections
import io
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from harness import disturb_weights, with_statistics
from PIL import Image
from small import picture

from keras_imaging.data.images import sample_image
from keras_imaging.data.sensing import gaussian_measurement_matrix
from keras_imaging.data.sparse import random_dictionary
from keras_imaging.export import litert, to_litert, to_saved_model, verify
from keras_imaging.export.inputs import call, input_shapes
from keras_imaging.export.precision import clipped_ranges
from keras_imaging.export.quantization import _quiet_quantizer, _recipe, float_parts
from keras_imaging.export.runtime import LiteRTModel, operators
from keras_imaging.export.samples import sample_inputs
from keras_imaging.layers import FFCBNAct, SpectralTransform
from keras_imaging.models import (
    ALISTA,
    LISTA,
    VOLO,
    CompressiveSensing,
    ConvLISTA,
    FaceGuardDecoder,
    FaceGuardEncoder,
    LaMaGenerator,
    tilista,
)

A = random_dictionary(20, 40)


def snr(expected, result):
    """In dB."""
    return 10 * np.log10(np.sum(np.square(expected)) / np.sum(np.square(result - expected)))


@pytest.fixture(scope="module")
def lista():
    options = {"coupled": True, "support_selection": (2.0, 13.0), "return_all_layers": True}
    return LISTA(A, num_layers=11, **options)


@pytest.fixture(scope="module")
def lista_file(lista, tmp_path_factory):
    return to_litert(lista, tmp_path_factory.mktemp("lista") / "a.tflite")


def test_outputs_keep_their_order(lista, lista_file):
    file = LiteRTModel(lista_file)
    assert list(file.inputs) == ["measurements"]
    assert list(file.outputs) == [f"output_{k}" for k in range(11)]
    for sample in sample_inputs(lista, input_shapes(lista))[:3]:
        for own, expected in zip(file.run(sample), call(lista, sample), strict=True):
            np.testing.assert_allclose(own, expected, atol=1e-5)


def test_vectors_are_verified(lista, lista_file):
    samples = sample_inputs(lista, input_shapes(lista))[:2]
    # With and without a batch axis.
    data = [samples[0]["measurements"], samples[1]["measurements"][0]]
    report = verify(lista, lista_file, data, runs=1)
    assert report.images == 2
    assert report.psnr_keras > 100
    assert report.measured_shape == report.input_shape == (1, 20)
    assert "output_10 float32" in report.output
    with pytest.raises(ValueError, match=r"arrays \(20,\). Received shape \(21,\)"):
        verify(lista, lista_file, [np.zeros(21)])


def test_int16x8_of_sparse_codes(tmp_path):
    model = LISTA(A, num_layers=4, coupled=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Of NumPy to TensorFlow; Python shows it to nobody.
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        path = to_litert(model, tmp_path / "a.tflite", "int16x8")
    sample = sample_inputs(model, input_shapes(model))[-1]
    assert snr(call(model, sample)[0], LiteRTModel(path).run(sample)[0]) > 30


def test_the_quantizer_shows_no_bars(capsys):
    from litert_quantizer.utils import progress_utils

    bar = progress_utils.ProgressBar
    with _quiet_quantizer(), progress_utils.ProgressBar(1000, "Calibration:") as shown:
        shown.update_single_step()
    assert capsys.readouterr().err == ""
    assert progress_utils.ProgressBar is bar


def test_saved_model_of_several_outputs(lista, tmp_path):
    loaded = tf.saved_model.load(to_saved_model(lista, tmp_path / "net"))
    batch = np.concatenate(
        [sample["measurements"] for sample in sample_inputs(lista, input_shapes(lista))[:3]]
    )
    results = loaded.signatures["serving_default"](measurements=tf.constant(batch))
    for k, expected in enumerate(lista(batch)):
        np.testing.assert_allclose(results[f"output_{k}"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "quantization"),
    [
        # The first layer's matrix meets zeros, and is not in the file.
        (lambda: LISTA(random_dictionary(50, 100), num_layers=2), None),
        (lambda: ALISTA(A, num_layers=2), "float16"),
        (lambda: tilista(A, num_layers=2), None),
        (
            lambda: CompressiveSensing(
                gaussian_measurement_matrix(8, 16), random_dictionary(16, 32), num_layers=2
            ),
            "float16",
        ),
        (lambda: ConvLISTA(num_layers=2, input_shape=(16, 20, 1)), "dynamic"),
    ],
    ids=["lista", "alista", "tilista", "compressive_sensing", "conv_lista"],
)
def test_sparse_recovery(make, quantization, tmp_path):
    # Its own checks compare the file with Keras.
    path = to_litert(make(), tmp_path / "a.tflite", quantization)
    assert LiteRTModel(path).partitions()[0] > 0


@pytest.fixture(scope="module")
def guards():
    keras.utils.set_random_seed(0)
    encoder, decoder = FaceGuardEncoder(8, 32, 2), FaceGuardDecoder(8, 32, 4)
    kernel, bias = encoder.get_layer("out").get_weights()
    # As initialised, the residual is small.
    encoder.get_layer("out").set_weights([5 * kernel, bias])
    # Every bit reads from everywhere, as after training.
    kernel, bias = decoder.get_layer("logits").get_weights()
    dense = keras.random.normal(kernel.shape, stddev=0.3, seed=1)
    decoder.get_layer("logits").set_weights([np.asarray(dense), bias])
    return encoder, decoder


def test_bits_survive_in_int8_files_as_in_keras(guards, tmp_path):
    encoder, decoder = guards
    files = [
        LiteRTModel(to_litert(model, tmp_path / f"{model.name}.tflite", "int8")) for model in guards
    ]
    assert list(files[0].input_shapes.values()) == [(1, 8), (1, 32, 32, 3)]
    samples = encoder.inputs_of([raw(32, seed) for seed in range(8)])
    by_keras = np.stack([read(call, decoder, mark(call, encoder, x)) for x in samples])
    by_files = np.stack([read(run, files[1], mark(run, files[0], x)) for x in samples])
    clear = np.abs(by_keras) > 0.1 * np.abs(by_keras).std()
    assert clear.mean() > 0.8
    assert np.mean((by_keras > 0) == (by_files > 0), where=clear) > 0.95


@pytest.mark.parametrize("mode", ["dynamic", "int8"])
def test_shipped_decoder_is_measured_on_stamped_pictures(mode, tmp_path):
    decoder = FaceGuardDecoder.from_preset("faceguard_decoder_nano")
    samples = decoder.inputs_of([raw(128)])
    # Unmarked, its logits are near zero: no quantization keeps those.
    assert np.abs(call(decoder, samples[0])[0]).mean() > 3
    file = LiteRTModel(to_litert(decoder, tmp_path / "a.tflite", mode))
    bits = [read(run, file, samples[0]) > 0, read(call, decoder, samples[0]) > 0]
    assert np.mean(bits[0] == bits[1]) > 0.95


def test_own_decoders_are_measured_on_what_is_given(guards, tmp_path):
    _, decoder = guards
    shown = [raw(32, seed) for seed in range(3)]
    for given, sample in zip(shown, decoder.inputs_of(shown), strict=True):
        np.testing.assert_array_equal(sample["image"][0], given / np.float32(255))
    with pytest.raises(ValueError, match="finite"):
        to_litert(
            decoder, tmp_path / "a.tflite", "dynamic", calibration=[np.full((32, 32, 3), np.nan)]
        )


def raw(side, seed=0):
    return np.uint8(255 * picture(side, side, 3, seed=seed) + 0.5)


def run(file, batch):
    return file.run(batch)


def mark(run, encoder, sample):
    """The marked picture after JPEG."""
    marked = np.clip(sample["image"] + 0.03 * run(encoder, sample)[0], 0, 1)
    stream = io.BytesIO()
    Image.fromarray(np.uint8(255 * marked[0] + 0.5)).save(stream, "JPEG", quality=75)
    return {"image": np.asarray(Image.open(stream), "float32")[None] / 255}


def read(run, decoder, sample):
    return run(decoder, sample)[0][0]


def test_several_inputs(guards, tmp_path):
    encoder, _ = guards
    sample = encoder.inputs_of([raw(32)])[0]
    loaded = tf.saved_model.load(to_saved_model(encoder, tmp_path / "net"))
    two = {name: tf.constant(np.concatenate([x, x])) for name, x in sample.items()}
    result = loaded.signatures["serving_default"](**two)["output_0"]
    np.testing.assert_allclose(result, encoder(two), atol=1e-5)

    path = to_litert(encoder, tmp_path / "a.tflite")
    report = verify(encoder, path, [{name: x[0] for name, x in sample.items()}], runs=1)
    assert report.psnr_keras > 100
    assert report.input_shape == {"bits": (1, 8), "image": (1, 32, 32, 3)}
    assert report.input == "bits float32; image float32"
    with pytest.raises(ValueError, match=r"dictionaries of the inputs \['bits', 'image'\]"):
        verify(encoder, path, [picture(32, 32, 3)])
    with pytest.raises(ValueError, match="`input_shape` must be a dictionary"):
        to_litert(encoder, tmp_path / "b.tflite", input_shape=(32, 32, 3))


def test_lama(tmp_path):
    model = with_statistics(LaMaGenerator(width=4, num_downsamples=1, num_blocks=1))
    path = to_litert(model, tmp_path / "a.tflite", input_shape=(32, 40, 4))
    assert LiteRTModel(path).partitions() == (1, {})
    assert "MUL" not in {name for name, _ in operators(path)}
    with pytest.raises(ValueError, match="Fourier transforms on phones need a fixed size"):
        to_litert(model, tmp_path / "b.tflite")


def test_harmonic_lama(tmp_path, monkeypatch):
    """The multigrid converts to builtin operators, and computes the same."""
    # One cycle: all are alike.
    monkeypatch.setattr("keras_imaging.ops.harmonic._step_lengths", lambda count: [1.0])
    model = with_statistics(LaMaGenerator(width=4, num_downsamples=1, num_blocks=1, harmonic=True))
    disturb_weights(model)
    path = to_litert(model, tmp_path / "a.tflite", input_shape=(16, 24, 4))
    names = {name for name, _ in operators(path)}
    assert not any(name.startswith("Flex") or name == "CUSTOM" for name in names)
    inputs = np.random.default_rng(0).random((1, 16, 24, 4)).astype("float32")
    inputs[..., 3] = 0
    inputs[:, 3:11, 5:20, 3] = 1
    inputs[..., :3] *= 1 - inputs[..., 3:]
    (result,) = LiteRTModel(path).run({"picture_and_mask": inputs})
    np.testing.assert_allclose(result, np.asarray(model(inputs)), atol=1e-4)
    with pytest.raises(ValueError, match="not quantized to 'int8': an int8 harmonic fill ends"):
        to_litert(model, tmp_path / "b.tflite", "int8", input_shape=(16, 24, 4))


@pytest.fixture(scope="module")
def photographs():
    """Not noise: their spectra fall, as those of all photographs do."""
    sample = sample_image()[..., :3] / np.float32(255)
    return np.stack([sample[k : k + 64, 2 * k : 2 * k + 64] for k in range(0, 120, 20)])


@pytest.fixture(scope="module")
def fourier(photographs):
    """A convolution, then one more beside a spectral transform."""
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3), name="image")
    local, global_ = FFCBNAct(16, 3, ratio_in=0, name="first")(image)
    local = keras.layers.Conv2D(8, 3, name="local")(local)
    spectral = SpectralTransform(8, fft_method="matmul", name="spectral")(global_)
    model = keras.Model(image, [local, global_, spectral])
    for _ in range(30):
        # Until the normalizations know the photographs.
        model(photographs, training=True)
    return model


def test_fourier_units_are_taken_whole(fourier, tmp_path):
    path = to_litert(fourier, tmp_path / "a.tflite")
    assert LiteRTModel(path).partitions() == (1, {})


def test_int8_spatial_keeps_spectra(fourier, photographs, tmp_path):
    path = to_litert(fourier, tmp_path / "a.tflite", "int8_spatial", calibration=photographs[1:])
    batch = {"image": photographs[:1]}
    expected = call(fourier, batch)
    for wanted, output in zip(expected, LiteRTModel(path).run(batch), strict=True):
        assert snr(wanted, output) > 30
    kinds = collections.Counter(name for name, _ in operators(path))
    assert kinds["QUANTIZE"] > 0
    assert kinds["FULLY_CONNECTED"] == 8


def test_errors_say_what_does_well(tmp_path, monkeypatch):
    image = keras.Input((8, 8, 2))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    monkeypatch.setitem(litert._QUANTIZED_TOLERANCE, "int8", 0)
    samples = [picture(8, 8, 2, seed) for seed in range(2)]
    words = "well here: 'int8_islands', 'int16x8', 'dynamic', 'float16'"
    with pytest.raises(ValueError, match=words):
        to_litert(model, tmp_path / "a.tflite", "int8", calibration=samples)


def test_what_of_a_transformer_stays_in_float():
    blocks = {"blocks": (1, 1, 0, 0), "widths": (4, 8), "num_heads": (2, 2), "patch_size": 4}
    volo = VOLO(**blocks, mlp_ratio=2.0, stem_filters=2, classes=3, image_size=8)
    parts = float_parts(volo, volo)
    assert parts.clipped == [("attention", "attention")]
    assert set(parts.layers) == {"norm", "norm1", "norm2", *VOLO.float_layers}
    rules = _recipe("int8_islands", parts, ["volo_1/stem_norm1_1/convolution"])

    def in_float(name):
        fitting = [r for r in rules if r["operation"] == "*" and re.search(r["regex"], name)]
        return fitting[-1]["algorithm_key"].value in ("no_quantize", "float_casting")

    block = "volo_1/stage1_block1_1"
    fused = (
        f"{block}/attention_1/attention_1/Tensordot;{block}/attention_1/mul;{block}/attention_1/x"
    )
    for name, wanted in (
        (f"{block}/attention_1/Softmax", True),
        (f"{block}/attention_1/strided_slice_3", True),
        (f"{block}/add_1", True),
        (f"{block}/mlp_1/Gelu/mul_2;;{block}/mlp_1/Gelu/mul", True),
        (f"{block}/norm1_1/moments/mean", True),
        ("volo_1/token_classifier_1/Tensordot", True),
        ("volo_1/token_maximum_1/Max", True),
        (fused, False),
        (f"{block}/attention_1/value_1/Tensordot", False),
        (f"{block}/mlp_1/expand_1/Tensordot", False),
        ("volo_1/patch_embedding_1/convolution", False),
    ):
        assert in_float(name) == wanted, name


def test_few_values_far_above_all_others_are_cut(tmp_path):
    image = keras.Input((100, 100, 1), name="image")
    model = keras.Model(image, keras.layers.Dense(1, use_bias=False, name="dense")(image))
    model.set_weights([np.full((1, 1), 3.0, "float32")])
    path = to_litert(model, tmp_path / "a.tflite")
    x = np.linspace(-1, 1, 10_000, dtype="float32").reshape(1, 100, 100, 1)
    x[0, 0, 0], x[0, -1, -1] = -50, 50
    ranges = clipped_ranges(path, {"image": (100, 100, 1)}, [{"image": x}], ".*")
    assert ranges
    for low, high in ranges.values():
        np.testing.assert_allclose([low, high], [-3, 3], atol=0.1)
