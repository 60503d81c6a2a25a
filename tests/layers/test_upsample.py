import golden
import keras
import pytest
from harness import check_layer, close, disturb_weights, noise, to_numpy

from keras_imaging.layers import SubPixelUpsample, TransposedUpsample


def test_subpixel_harness():
    check_layer(SubPixelUpsample, {"factor": 2, "filters": 3}, noise(2, 5, 7, 4), edge=True)


def test_transposed_harness():
    arguments = {"factor": 2, "filters": 3, "kernel_size": 5, "crop": 2}
    check_layer(TransposedUpsample, arguments, noise(2, 5, 7, 4), edge=True)


@pytest.mark.parametrize(("kernel_size", "crop"), [(17, 7), (5, 3)])
def test_subpixel_form_of_any_kernel(kernel_size, crop):
    image = noise(2, 5, 7, 4)
    layer = TransposedUpsample(2, 3, kernel_size, crop)
    layer.build(image.shape)
    disturb_weights(layer)
    close(to_numpy(layer.to_subpixel()(image)), to_numpy(layer(image)), 1e-6)


@pytest.mark.parametrize("factor", [2, 3])
def test_golden(factor):
    arrays = golden.load(f"rdidn/transposed_to_subpixel_x{factor}")
    image = golden.channels_last(arrays["x"])
    expected = golden.channels_last(arrays["y"])

    transposed = TransposedUpsample(factor, 4)
    transposed.build(image.shape)
    transposed.set_weights([golden.kernel(arrays["w_transposed"]), arrays["bias"]])
    close(to_numpy(transposed(image)), expected, 1e-5)

    subpixel = SubPixelUpsample(factor, 4)
    subpixel.build(image.shape)
    subpixel.set_weights([golden.kernel(arrays["w_subpixel_conv"]), arrays["b_subpixel_conv"]])
    close(to_numpy(subpixel(image)), expected, 1e-5)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
def test_three_forms_are_equal(factor, size):
    image = noise(2, *size, 4)
    layer = TransposedUpsample(factor, 3)
    layer.build(image.shape)
    disturb_weights(layer)
    output = to_numpy(layer(image))

    subpixel = layer.to_subpixel()
    assert subpixel.name == layer.name
    close(to_numpy(subpixel(image)), output, 1e-6)

    # Keras crops "same" alike on both sides here, since kernel minus stride is even.
    keras_layer = keras.layers.Conv2DTranspose(3, 3 * factor, strides=factor, padding="same")
    keras_layer.build(image.shape)
    keras_layer.set_weights(layer.get_weights())
    close(to_numpy(keras_layer(image)), output, 1e-5)


@pytest.mark.parametrize("layer_class", [SubPixelUpsample, TransposedUpsample])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1, 4), "factor=1"), ((2.5, 4), "factor=2.5"), ((2, 0), "filters=0")],
)
def test_bad_arguments(layer_class, arguments, message):
    with pytest.raises(ValueError, match=message):
        layer_class(*arguments)


@pytest.mark.parametrize(("kernel_size", "crop"), [(1, None), (6, -1), (6, 5)])
def test_bad_kernels(kernel_size, crop):
    with pytest.raises(ValueError, match="kernel_size >= factor"):
        TransposedUpsample(2, 4, kernel_size, crop)


def test_to_subpixel_needs_weights():
    with pytest.raises(ValueError, match="Build the layer"):
        TransposedUpsample(2, 4).to_subpixel()
