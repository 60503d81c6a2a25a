"""Batch normalization at inference, folded into the convolutions before it."""

import keras
import numpy as np

from keras_imaging.layers import FFCBNAct
from keras_imaging.layers.ffc_split import is_pair
from keras_imaging.layers.normalization import scale_and_shift
from keras_imaging.layers.real_spectral_norm import RealSpectralNormalization

# Axis of the kernel that counts output channels.
_FILTER_AXIS = {
    keras.layers.Conv2D: -1,
    keras.layers.Conv2DTranspose: -2,
    keras.layers.Dense: -1,
}


def fold_batch_normalization(model: keras.Model) -> keras.Model:
    """An equal model in which convolutions do what batch normalizations did.

    With a = gamma / sqrt(variance + epsilon),

        norm(W x) = (a W) x + (beta - a mean)

    Folded are normalizations that follow a convolution or dense layer directly, or with a cropping
    between, and all those of `FFCBNAct`: there the sum of two paths is normalized, which converters
    do not see through, so each path is scaled. Where an activation intervenes nothing changes.

    Layers that are not rewritten are shared with `model`.

    Of a convolution with real spectral normalization the effective kernel is taken.

    Args:
        model: a functional model in float32.
    """
    # How tensors were made, by their identity; what no one reads falls out of the graph.
    made = {}

    def call(layer, *args, **kwargs):
        x = args[0]
        if isinstance(layer, keras.layers.BatchNormalization):
            result = _through(layer, x, made)
            if result is not None:
                return result
        if isinstance(layer, FFCBNAct):
            shapes = tuple(tuple(part.shape) for part in x) if is_pair(x) else tuple(x.shape)
            layer = _folded_ffc(layer, shapes)
        result = layer(*args, **kwargs)
        made[id(result)] = (result, layer, x)
        return result

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _through(norm, x, made):
    """The normalized tensor from a convolution with other weights, if there is one."""
    _, layer, source = made.get(id(x), (None, None, None))
    if isinstance(layer, keras.layers.Cropping2D):
        result = _through(norm, source, made)
        return None if result is None else layer(result)
    if isinstance(layer, RealSpectralNormalization):
        layer = layer.finalize()
    axis = next((axis for kind, axis in _FILTER_AXIS.items() if isinstance(layer, kind)), None)
    last = norm.axis in (-1, len(x.shape) - 1)
    if axis is None or not last or layer.activation is not keras.activations.linear:
        return None
    kernel, *bias = layer.get_weights()
    scale, shift = scale_and_shift(norm)
    # The convolution may be read without the normalization, too: names must differ.
    config = {**layer.get_config(), "use_bias": True, "name": norm.name}
    twin = type(layer).from_config(config)
    result = twin(source)
    shape = [1] * kernel.ndim
    shape[axis] = -1
    twin.set_weights([kernel * scale.reshape(shape), shift + scale * bias[0] if bias else shift])
    return result


def _folded_ffc(layer, shapes):
    ffc = layer.ffc
    # Gates would scale the shift, and without a convolution from local channels none has a bias.
    unbiased = ffc.global_filters and ffc.local_to_global is None
    if ffc.normalization is None or ffc.gated or unbiased:
        return layer
    twin = FFCBNAct.from_config({**layer.get_config(), "normalization": None})
    twin.build(shapes)
    for norm, names in (
        (layer.norm_local, ("local_to_local", "global_to_local")),
        (layer.norm_global, ("local_to_global",)),
    ):
        if norm is None:
            continue
        scale, shift = scale_and_shift(norm)
        for name in names:
            old, new = getattr(ffc, name), getattr(twin.ffc, name)
            if old is not None:
                new.set_weights([old.get_weights()[0] * scale, shift])
                # Of a sum one part is shifted.
                shift = np.zeros_like(shift)
    if ffc.spectral_transform is not None:
        scale, _ = scale_and_shift(layer.norm_global)
        _fold_spectral_transform(ffc.spectral_transform, twin.ffc.spectral_transform, scale)
    return twin


def _fold_spectral_transform(old, new, scale):
    new.expansion.set_weights([old.expansion.get_weights()[0] * scale])
    parts = [(old.reduction, old.norm, new.reduction), (old.unit, old.unit.norm, new.unit)]
    if old.local_unit is not None:
        unit = old.local_unit.unit
        parts.append((unit, unit.norm, new.local_unit.unit))
    for layer, norm, twin in parts:
        scale, shift = scale_and_shift(norm)
        twin.kernel.assign(keras.ops.convert_to_numpy(layer.kernel) * scale)
        twin.bias.assign(shift)
        if getattr(layer, "use_se", False):
            for name in ("squeeze", "excite"):
                getattr(twin, name).set_weights(getattr(layer, name).get_weights())
