import pathlib

import numpy as np
import pytest
import volo_golden
from harness import check_layer, close, disturb_weights, noise, to_numpy

from keras_imaging.layers import OutlookAttention
from keras_imaging.models.converters import torch_volo

GOLDENS = ("k3_s1", "k3_s2", "k3_s2_odd", "k5_s2")


def golden_layer(name, dtype="float32", **arguments):
    arrays = volo_golden.load(f"outlook_attention_{name}")
    _, heads, kernel_size, padding, stride, bias = (int(n) for n in arrays["cfg"])
    assert padding == (kernel_size - 1) // 2
    layer = OutlookAttention(heads, kernel_size, stride, bool(bias), dtype=dtype, **arguments)
    layer.build(arrays["x"].shape)
    volo_golden.fill_attention(layer, arrays)
    return layer, arrays


def test_harness():
    check_layer(
        OutlookAttention, {"num_heads": 2}, noise(2, 5, 7, 4), edge=True, mixed_tolerance=0.05
    )


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name):
    layer, arrays = golden_layer(name)
    result = to_numpy(layer(arrays["x"]))
    assert np.abs(result - arrays["y_f32"]).max() <= 2e-5 * arrays["y_f32"].std()
    # The logits are large: weights in another order would be far off.
    assert np.abs(arrays["w/attn.weight"]).max() > 0.2


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", GOLDENS)
def test_goldens_in_float64_and_gradients(name):
    import tensorflow as tf

    layer, arrays = golden_layer(name, "float64")
    x = tf.constant(arrays["x"], "float64")
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * tf.constant(arrays["grad_out"], "float64"))
    entries = list(torch_volo.attention_entries(layer, ""))
    of_input, *of_weights = tape.gradient(total, [x, *(e.variable.value for e in entries)])
    np.testing.assert_allclose(to_numpy(y), arrays["y_f64"], rtol=0, atol=1e-10)
    close(to_numpy(of_input), arrays["grad_x"])
    for e, gradient in zip(entries, of_weights, strict=True):
        if f"g/{e.name}" in arrays:
            close(e.to_torch(to_numpy(gradient)), arrays[f"g/{e.name}"])


def written_out(x, layer):
    """The definition, window by window in NumPy."""
    weights = {w.path.split("/", 1)[1]: to_numpy(w) for w in layer.weights}
    _, height, width, channels = x.shape
    kernel, stride, heads = layer.kernel_size, layer.stride, layer.num_heads
    padding, size = (kernel - 1) // 2, channels // heads
    value = x @ weights["value/kernel"]
    y = np.zeros_like(value)
    for row in range(-(-height // stride)):
        for column in range(-(-width // stride)):
            window = x[
                :, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride
            ]
            logits = window.mean(axis=(1, 2)) @ weights["attention/kernel"]
            logits = (logits + weights["attention/bias"]).reshape(-1, heads, kernel**2, kernel**2)
            mix = np.exp(logits * size**-0.5)
            mix /= mix.sum(axis=-1, keepdims=True)
            places = [
                (row * stride - padding + p, column * stride - padding + q)
                for p in range(kernel)
                for q in range(kernel)
            ]
            inside = [0 <= r < height and 0 <= c < width for r, c in places]
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                for p, to in enumerate(places):
                    for q, source in enumerate(places):
                        if inside[p] and inside[q]:
                            gain = mix[:, head, p, q, None]
                            y[:, to[0], to[1], part] += gain * value[:, *source, part]
    return y @ weights["projection/kernel"] + weights["projection/bias"]


@pytest.mark.parametrize(
    ("kernel_size", "stride", "sides"),
    [
        (1, 1, (3, 2)),
        (3, 2, (1, 2)),
        (3, 3, (7, 9)),
        (5, 3, (8, 7)),
        (5, 4, (9, 5)),
        (7, 5, (6, 11)),
    ],
)
def test_definition(kernel_size, stride, sides):
    layer = OutlookAttention(2, kernel_size, stride)
    x = noise(1, *sides, 4)
    layer.build(x.shape)
    disturb_weights(layer, 0.3)
    expected = written_out(x.astype("float64"), layer)
    close(to_numpy(layer(x)), expected, 1e-5)
    # Keras' fold leaves out tokens at the end that lie in no window.
    if stride <= (kernel_size + 1) // 2:
        twin = OutlookAttention(2, kernel_size, stride, implementation="reference")
        twin.build(x.shape)
        twin.set_weights(layer.get_weights())
        close(to_numpy(twin(x)), expected, 1e-5)


def test_worked_example():
    """That of docs/volo.md."""
    layer = OutlookAttention(1)
    x = np.arange(1.0, 17.0, dtype="float32").reshape(1, 4, 4, 1)
    layer.build(x.shape)
    for dense, kernel in ((layer.value, 1), (layer.attention, 0), (layer.projection, 1)):
        dense.kernel.assign(np.full(dense.kernel.shape, kernel))
    expected = [[14, 44, 30, 30], [71, 200, 129, 129], [57, 156, 99, 99], [57, 156, 99, 99]]
    np.testing.assert_allclose(9 * to_numpy(layer(x))[0, ..., 0], expected, rtol=1e-5)


def test_ten_lines():
    """The code of docs/volo.md is the layer."""
    text = (pathlib.Path(__file__).parents[2] / "docs" / "volo.md").read_text()
    code = text.partition("## The layer in ten lines")[2].split("```")[1].removeprefix("python")
    layer = OutlookAttention(1)
    x = noise(1, 5, 6, 3)
    layer.build(x.shape)
    disturb_weights(layer, 0.3)
    wv, wa, ba, wo, bo = layer.get_weights()
    names = {"np": np, "x": x[0], "Wv": wv, "Wa": wa, "ba": ba, "Wo": wo, "bo": bo}
    exec(code, names)
    close(to_numpy(layer(x))[0], names["out"], 1e-5)


@pytest.mark.tensorflow
def test_unknown_sides_with_a_stride_of_three():
    import tensorflow as tf

    layer = OutlookAttention(2, 5, 3)
    layer.build((None, None, None, 4))
    disturb_weights(layer, 0.3)
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 4))])
    for sides in ((8, 7), (3, 10)):
        x = noise(2, *sides, 4)
        close(to_numpy(traced(tf.constant(x))), to_numpy(layer(x)), 1e-6)


def test_dropouts():
    layer = OutlookAttention(2, attention_dropout=0.5, dropout=0.25, seed=1)
    x = noise(1, 6, 6, 4)
    layer.build(x.shape)
    disturb_weights(layer)
    dropped = to_numpy(layer(x, training=True))
    assert 0.05 < (dropped == 0).mean() < 0.5
    assert not np.array_equal(dropped, to_numpy(layer(x, training=True)))
    np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(layer(x)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_heads": 0}, "num_heads=0"),
        ({"num_heads": 2, "kernel_size": 4}, "kernel_size=4"),
        ({"num_heads": 2, "stride": 0}, "stride=0"),
        ({"num_heads": 2, "stride": 4}, "stride=4, kernel_size=3"),
        ({"num_heads": 2, "dropout": 1.0}, "dropout=1.0"),
        ({"num_heads": 2, "attention_dropout": -0.1}, "attention_dropout=-0.1"),
        ({"num_heads": 2, "implementation": "fast"}, "implementation='fast'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        OutlookAttention(**arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match="num_heads=3, input shape"):
        OutlookAttention(3)(noise(1, 4, 4, 8))
    with pytest.raises(ValueError, match=r"takes \(batch, height"):
        OutlookAttention(2)(noise(1, 4, 8))
    with pytest.raises(ValueError, match="unknown sides"):
        OutlookAttention(2, implementation="reference").build((None, None, 4, 8))
