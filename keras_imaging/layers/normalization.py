"""Batch normalization as residual networks use it."""

import keras

NORMALIZATIONS = ("batch", None)


def normalization_layer(
    normalization: str | None, dtype, name: str, **options
) -> keras.layers.Layer | None:
    """Batch normalization with PyTorch's settings, or None.

    Args:
        normalization: `"batch"` or None.
        dtype: of the layer.
        name: of the layer.
        **options: of `keras.layers.BatchNormalization` where others are wanted.
    """
    if normalization is None:
        return None
    options = {"momentum": 0.9, "epsilon": 1e-5, **options}
    return keras.layers.BatchNormalization(dtype=dtype, name=name, **options)
