"""Small networks of known weights, and the goldens' as Keras models."""

import keras
import numpy as np

layers = keras.layers


def dense_network(arrays, kind):
    """The chain, residual or densely connected network of a golden file, in float64."""
    kernels = [arrays[f"kernel_{n + 1}"] for n in range(len(arrays["widths"]))]
    source = keras.Input((int(arrays["d"]),), dtype="float64")
    codes, denses = [], []
    for number, kernel in enumerate(kernels, start=1):
        x = codes[-1] if codes else source
        if kind == "densenet" and len(codes) > 1:
            x = layers.Concatenate(dtype="float64")(codes)
        denses.append(layers.Dense(kernel.shape[1], use_bias=False, dtype="float64"))
        x = denses[-1](x)
        if kind == "residual":
            for start, end in arrays["skips"]:
                if end == number:
                    x = layers.Add(dtype="float64")([x, codes[start - 1]])
        codes.append(layers.ReLU(dtype="float64")(x))
    model = keras.Model(source, codes[-1])
    for layer, kernel in zip(denses, kernels, strict=True):
        layer.set_weights([kernel])
    return model


def conv_chain(kernels, size):
    """3x3 convolutions with ReLUs, in float64."""
    model = keras.Sequential(
        [
            keras.Input((*size, kernels[0].shape[2]), dtype="float64"),
            *(
                layers.Conv2D(
                    kernel.shape[3], 3, padding="same", activation="relu", use_bias=False,
                    dtype="float64",
                )
                for kernel in kernels
            ),
        ]
    )  # fmt: skip
    model.set_weights(kernels)
    return model


def mixed_network(size=8, dtype="float32"):
    """Every kind of map: strides, skips, groups, dilation, poolings, a vector at the end."""
    f = {"dtype": dtype, "padding": "same"}
    source = keras.Input((size, size, 2), dtype=dtype)
    y = layers.Conv2D(3, 3, activation="relu", **f)(source)
    z = layers.BatchNormalization(dtype=dtype)(layers.Conv2D(3, 3, **f)(y))
    z = layers.ReLU(dtype=dtype)(layers.Add(dtype=dtype)([z, y]))
    z = layers.SeparableConv2D(4, 3, strides=2, activation="relu", depth_multiplier=2, **f)(z)
    z = layers.Concatenate(dtype=dtype)([z, layers.MaxPooling2D(2, dtype=dtype)(y)])
    z = layers.DepthwiseConv2D(3, dilation_rate=2, depth_multiplier=2, **f)(z)
    z = layers.ReLU(dtype=dtype)(z)
    z = layers.Conv2D(4, 1, activation="relu", groups=2, dtype=dtype)(z)
    z = layers.GlobalAveragePooling2D(dtype=dtype)(z)
    z = layers.Dense(5, activation="relu", dtype=dtype)(z)
    model = keras.Model(source, layers.Dense(3, dtype=dtype)(z))
    disturb(model)
    return model


def strided_network(size=8):
    """Two paths of stride 2 that meet."""
    source = keras.Input((size, size, 2))
    y = layers.Conv2D(3, 3, activation="relu", padding="same")(source)
    z = layers.Conv2D(3, 3, strides=2, activation="relu", padding="same")(y)
    z = layers.Conv2D(3, 3, padding="same")(z)
    z = layers.ReLU()(layers.Add()([z, layers.Conv2D(3, 1, strides=2)(y)]))
    model = keras.Model(source, z)
    disturb(model)
    return model


def disturb(model, seed=3):
    """Numbers in which no symmetry hides a mistake."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        value = keras.ops.convert_to_numpy(variable)
        moved = value + 0.1 * np.abs(rng.normal(size=value.shape))
        variable.assign(moved.astype(value.dtype))
