"""The generator and the discriminator of LaMa."""

import itertools
import math

import keras
import numpy as np
import pytest
from harness import check_model, close, disturb_weights, noise, to_numpy

from keras_imaging.layers import HarmonicFill
from keras_imaging.models import LaMaGenerator, PatchDiscriminator

TINY = {"width": 4, "num_downsamples": 1, "num_blocks": 1}


def trainable(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def test_harness():
    # Sizes are multiples of the stride, so "any size" is tested below.
    check_model(LaMaGenerator, TINY, noise(2, 6, 10, 4, low=0.0), dynamic=False)


HARMONIC = {**TINY, "harmonic": True}


def with_holes():
    image = noise(2, 6, 8, 3, low=0.0)
    mask = np.zeros((2, 6, 8, 1), "float32")
    mask[0, 1:5, 2:6] = 1
    mask[1, 3:, :4] = 1
    return np.concatenate([image * (1 - mask), mask], axis=-1)


def test_harmonic_harness(monkeypatch):
    # One cycle of multigrid: XLA takes a minute for four.
    monkeypatch.setattr("keras_imaging.ops.harmonic._step_lengths", lambda count: [1.0])
    check_model(LaMaGenerator, HARMONIC, with_holes(), dynamic=False)


def test_harmonic_network_adds_to_the_harmonic_fill():
    inputs = with_holes()
    picture, mask = inputs[..., :3], inputs[..., 3:]
    hole = mask[..., 0] == 1
    model = LaMaGenerator(**HARMONIC)
    smooth = to_numpy(HarmonicFill()([picture, mask]))
    # A new network adds nothing.
    close(to_numpy(model(inputs)), smooth, 1e-6)
    disturb_weights(model, size=0.2)
    filled = to_numpy(model(inputs))
    assert np.abs(filled - smooth)[hole].max() > 0.02
    np.testing.assert_allclose(filled[~hole], picture[~hole], atol=1e-6)


def test_harmonic_network_has_no_seam():
    """Whatever the network proposes: a constant on everything is taken back at the rims."""
    inputs = with_holes()
    model = LaMaGenerator(**HARMONIC)
    kernel, bias = model.get_layer("change").get_weights()
    model.get_layer("change").set_weights([kernel, bias + 0.3])
    smooth = to_numpy(HarmonicFill()([inputs[..., :3], inputs[..., 3:]]))
    np.testing.assert_allclose(to_numpy(model(inputs)), smooth, atol=2e-3)


def test_harmonic_network_continues_from_a_published_one():
    published, model = LaMaGenerator(**TINY), LaMaGenerator(**HARMONIC)
    disturb_weights(published)
    model.continue_from(published)
    inputs = with_holes()
    smooth = to_numpy(HarmonicFill()([inputs[..., :3], inputs[..., 3:]]))
    close(to_numpy(model(inputs)), smooth, 1e-6)
    # Where the trust is 1 it is the published proposal, with its rims put right.
    kernel, bias = model.get_layer("trust2").get_weights()
    model.get_layer("trust2").set_weights([kernel, bias + 1])
    mask = inputs[..., 3:]
    proposal = to_numpy(published(inputs))
    rims = to_numpy(HarmonicFill()([(inputs[..., :3] - proposal) * (1 - mask), mask]))
    close(to_numpy(model(inputs)), proposal + rims, 1e-4)
    with pytest.raises(ValueError, match="block2"):
        LaMaGenerator(**{**HARMONIC, "num_blocks": 2}).continue_from(published)


def test_discriminator_harness():
    check_model(PatchDiscriminator, {"width": 4, "num_downsamples": 1}, noise(2, 6, 7, 3))


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 27_048_835),
        ({"width": 24, "num_blocks": 6}, 2_694_195),
        ({"width": 16, "num_blocks": 4}, 867_747),
        ({"width": 16, "num_blocks": 4, "num_downsamples": 2}, 220_003),
        ({"width": 8, "num_blocks": 2, "num_downsamples": 2}, 35_731),
    ],
)
def test_published_parameter_counts(arguments, count):
    model = LaMaGenerator(**arguments)
    assert trainable(model) == count
    if not arguments:
        # Of big_lama, which has nine blocks more.
        block = sum(trainable(model.get_layer(f"block1_conv{k}")) for k in (1, 2))
        assert count + 9 * block == 50_975_875


@pytest.mark.parametrize("preset", ["lama_tiny", "lama_small"])
def test_plain_twin_has_as_many_parameters(preset):
    model = LaMaGenerator.from_preset(preset, weights=None)
    twin = model.plain_twin(dtype="float64")
    assert trainable(twin) == pytest.approx(trainable(model), rel=0.01)
    assert not any("spectral_transform" in v.path for v in twin.variables)
    assert twin.get_config()["ratio"] == 0
    assert twin.get_layer("stem").compute_dtype == "float64"
    # Only the blocks are of other widths.
    for name in ("stem", "up1", "head"):
        shapes = [w.shape for w in model.get_layer(name).weights]
        assert [w.shape for w in twin.get_layer(name).weights] == shapes


def test_any_multiple_of_the_stride():
    anywhere = LaMaGenerator(**TINY)
    disturb_weights(anywhere)
    assert anywhere.output_shape == (None, None, None, 3)
    for size in ((4, 6), (10, 8)):
        fixed = LaMaGenerator(**TINY, input_shape=(*size, 4))
        fixed.set_weights(anywhere.get_weights())
        image = noise(1, *size, 4, low=0.0)
        close(to_numpy(anywhere(image)), to_numpy(fixed(image)), 1e-5)


def test_every_output_pixel_sees_every_input_pixel():
    """Fourier convolutions join the two ends of a long picture, plain ones of this depth do not."""
    image = noise(1, 8, 128, 4, low=0.0)
    changed = image.copy()
    changed[:, :, :4] += 0.5
    model = LaMaGenerator(**TINY)
    twin = model.plain_twin()
    effects = []
    for network in (model, twin):
        disturb_weights(network, size=0.2)
        effect = np.abs(to_numpy(network(changed)) - to_numpy(network(image)))
        effects.append(effect[:, :, 64:].max())
    assert effects[0] > 1e-5
    assert effects[1] == 0


def test_outputs():
    image = noise(1, 8, 8, 4, low=0.0)
    results = {}
    for output in ("sigmoid", "tanh", "linear"):
        keras.utils.set_random_seed(1)
        results[output] = to_numpy(LaMaGenerator(**TINY, output=output)(image))
    np.testing.assert_allclose(
        results["sigmoid"], 1 / (1 + np.exp(-results["linear"])), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(results["tanh"], np.tanh(results["linear"]), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width=0"),
        ({"num_downsamples": 0}, "num_downsamples=0"),
        ({"num_blocks": 0}, "num_blocks=0"),
        ({"hidden": 0}, "hidden=0"),
        ({"channels": 0}, "channels=0"),
        ({"ratio": 1.5}, "ratio=1.5"),
        ({"output": "relu"}, "output='relu'"),
        ({"fft_method": "dct"}, "dct"),
        ({"input_shape": (None, None, 3)}, "picture and its mask"),
        ({"input_shape": (20, 24, 4)}, "multiples of 8.*24 x 20.*inpaint takes any size"),
        ({"input_shape": (8, 24, 4)}, "at least 16"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LaMaGenerator(**{"width": 8, "num_blocks": 1, **arguments})


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 9, 8, 4), "float32"), "multiples of 2"),
        (np.zeros((1, 2, 8, 4), "float32"), "at least 4"),
        (np.zeros((1, 8, 8, 4), "uint8"), "divide by 255"),
        (np.zeros((8, 8, 4), "float32"), "batch of images"),
        (np.zeros((1, 8, 8, 3), "float32"), "shape"),
    ],
)
def test_bad_input(image, message):
    with pytest.raises(ValueError, match=message):
        LaMaGenerator(**TINY)(image)


def test_discriminator():
    model = PatchDiscriminator()
    judgements, *features = (tuple(t.shape) for t in model(np.zeros((1, 64, 48, 3), "float32")))
    assert judgements == (1, 7, 6, 1)
    assert [shape[1:3] for shape in features] == [(33, 25), (17, 13), (9, 7), (5, 4), (6, 5)]
    assert [shape[-1] for shape in features] == [64, 128, 256, 512, 512]
    widths = [3, 64, 128, 256, 512, 512, 1]
    convs = sum(16 * i * o + o for i, o in itertools.pairwise(widths))
    assert trainable(model) == convs + 2 * sum(widths[2:6])
    copy = PatchDiscriminator.from_config(model.get_config())
    assert copy.get_config() == model.get_config()


def test_discriminator_in_low_precision_judges_in_full():
    model = PatchDiscriminator(4, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(model.outputs[0].dtype) == "float32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 0}, "width=0"),
        ({"num_downsamples": 0}, "num_downsamples=0"),
        ({"max_width": 0}, "max_width=0"),
        ({"channels": 0}, "channels=0"),
        ({"input_shape": (None, None, 4)}, r"\(height, width, 3\)"),
    ],
)
def test_discriminator_with_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        PatchDiscriminator(**arguments)
