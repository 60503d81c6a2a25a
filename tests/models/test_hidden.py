import golden
import numpy as np
import pytest
from harness import BACKEND, check_model, noise, to_numpy

from keras_imaging.models.converters.torch_hidden import load_hidden_torch_weights
from keras_imaging.models.hidden import HiDDeNDecoder, HiDDeNDiscriminator, HiDDeNEncoder

TYPES = ["float32", "float64"] if BACKEND == "tensorflow" else ["float32"]


def networks(dtype="float32"):
    return (
        HiDDeNEncoder(6, 8, 2, dtype=dtype),
        HiDDeNDecoder(6, 8, 3, dtype=dtype),
        HiDDeNDiscriminator(8, 2, dtype=dtype),
    )


def arrays_and_state(dtype="float32"):
    arrays = golden.load(f"faceguard/hidden_tiny_f{dtype[-2:]}")
    return arrays, {n.removeprefix("w/"): w for n, w in arrays.items() if n.startswith("w/")}


@pytest.mark.parametrize("dtype", TYPES)
def test_published_implementation_gives_the_same(dtype):
    arrays, state = arrays_and_state(dtype)
    encoder, decoder, discriminator = networks(dtype)
    for model in (encoder, decoder, discriminator):
        load_hidden_torch_weights(model, state)
    tolerance = 1e-5 if dtype == "float32" else 1e-10
    marked = to_numpy(encoder([golden.channels_last(arrays["image"]), arrays["message"]]))
    for result, name in (
        (marked.transpose(0, 3, 1, 2), "encoded"),
        (to_numpy(decoder(marked)), "decoded_logits"),
        (to_numpy(discriminator(marked)), "disc_logits"),
    ):
        scale = np.abs(arrays[name]).max()
        np.testing.assert_allclose(result, arrays[name], rtol=0, atol=tolerance * scale)


def trainable(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


@pytest.mark.parametrize(
    ("bits", "encoder", "decoder"), [(30, 169_347, 242_556), (64, 188_931, 265_472)]
)
def test_published_parameter_counts(bits, encoder, decoder):
    assert trainable(HiDDeNEncoder(bits)) == encoder
    assert trainable(HiDDeNDecoder(bits)) == decoder
    assert trainable(HiDDeNDiscriminator()) == 76_097


def test_harness():
    arguments = {"message_length": 5, "filters": 4, "num_blocks": 1}
    check_model(HiDDeNDecoder, arguments, noise(2, 8, 9, 3))


def test_encoder_harness():
    arguments = {"message_length": 5, "filters": 4, "num_blocks": 1}
    check_model(HiDDeNEncoder, arguments, {"image": noise(2, 8, 9, 3), "bits": noise(2, 5)})


def test_discriminator_harness():
    check_model(HiDDeNDiscriminator, {"filters": 4, "num_blocks": 1}, noise(2, 8, 9, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("decoder.linear.bias"), "lacks .'linear.bias'"),
        (lambda s: s.update({"decoder.extra": np.zeros(1)}), "unknown .'extra'"),
        (lambda s: s.update({"decoder.linear.bias": np.zeros(7)}), "`linear.bias`"),
    ],
)
def test_weights_of_another_network_are_refused_whole(change, message):
    _, state = arrays_and_state()
    model = networks()[1]
    before = model.get_weights()
    change(state)
    with pytest.raises(ValueError, match=message):
        load_hidden_torch_weights(model, state)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
