"""How networks start."""

import keras


def he_fan_out() -> keras.initializers.Initializer:
    """He normal over the outputs, as ResNets start."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def token_normal() -> keras.initializers.Initializer:
    """Normal of deviation 0.02, as networks of tokens start."""
    return keras.initializers.RandomNormal(stddev=0.02)


def torch_uniform() -> keras.initializers.Initializer:
    """Uniform within 1 / sqrt(inputs of a unit), as PyTorch's layers start."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")
