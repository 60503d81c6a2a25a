"""How residual networks start."""

import keras


def he_fan_out() -> keras.initializers.Initializer:
    """He normal over the outputs, as ResNets start."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
