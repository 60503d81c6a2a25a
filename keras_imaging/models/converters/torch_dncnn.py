"""Published plug-and-play denoisers: PyTorch state dicts into `DnCNN` and `SimpleCNN`."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.layers.real_spectral_norm import RealSpectralNormalization
from keras_imaging.models.converters.torch_ffc import (
    Entry,
    batch_norm_entries,
    conv_entries,
    fill,
)
from keras_imaging.models.dncnn import NoisePredictor

_PREFIX = "dncnn."


def load_torch_weights(model: NoisePredictor, state: Mapping[str, np.ndarray]) -> None:
    """Fill a `DnCNN` or a `SimpleCNN` with the weights of the authors' PyTorch network.

    A network with real spectral normalization has `weight_orig` and, of which one is needed,
    `weight`, what it divides to, or `weight_u`. A model with `spectral_norm="real"` takes all; one
    without takes `weight`.

    Args:
        model: of the same arguments; `image_size` that of `weight_u`.
        state: arrays by PyTorch name, as in
            `{name: tensor.numpy() for name, tensor in torch.load(path).items()}`. The prefix
            `module.` of networks trained in parallel and counters of batches are ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape. The model is
            unchanged then.
    """
    state = {name.removeprefix("module."): np.asarray(value) for name, value in state.items()}
    for name, layer in _convolutions(model):
        original = state.get(f"{name}.weight_orig")
        if not isinstance(layer, RealSpectralNormalization):
            if original is not None and f"{name}.weight" in state:
                state.pop(f"{name}.weight_orig")
                state.pop(f"{name}.weight_u", None)
        elif original is not None:
            divided, u = state.pop(f"{name}.weight", None), state.get(f"{name}.weight_u")
            if divided is not None:
                # weight = weight_orig c / sigma
                sigma = layer.target * np.sum(original * original) / np.sum(original * divided)
            elif u is not None and u.ndim == 4 and u.shape[1] == original.shape[0]:
                sigma = _norm_at(original, u)
            else:
                continue
            state[f"{name}.sigma"] = np.asarray(sigma, "float32")
            # The state of the next training step; inference does not look at it.
            state.setdefault(
                f"{name}.weight_u", keras.ops.convert_to_numpy(layer.u).transpose(0, 3, 1, 2)
            )
    fill(list(_entries(model)), state)


def _entries(model: NoisePredictor) -> Iterator[Entry]:
    layers = {layer.name: layer for layer in model.layers}
    for number, (name, layer) in enumerate(_convolutions(model), start=1):
        if isinstance(layer, RealSpectralNormalization):
            for part in conv_entries(layer.layer, name):
                yield part._replace(name=f"{name}.weight_orig")
            yield Entry(
                f"{name}.weight_u",
                layer.u,
                lambda u: u.transpose(0, 2, 3, 1),
                lambda u: u.transpose(0, 3, 1, 2),
            )
            yield Entry(f"{name}.sigma", layer.sigma, lambda s: s, lambda s: s)
        else:
            yield from conv_entries(layer, name)
        if f"norm{number}" in layers:
            index = int(name.removeprefix(_PREFIX)) + 1
            yield from batch_norm_entries(layers[f"norm{number}"], f"{_PREFIX}{index}")


def _convolutions(model):
    """Convolutions with their PyTorch names: there activations and normalizations count too."""
    names = {layer.name for layer in model.layers}
    index = 0
    for number in range(1, model.get_config()["depth"] + 1):
        yield f"{_PREFIX}{index}", model.get_layer(f"conv{number}")
        index += 3 if f"norm{number}" in names else 2


def _norm_at(weight, u):
    """||K v|| for v = K^T u / ||K^T u||, in PyTorch's layout."""
    kernel = weight.transpose(2, 3, 1, 0)
    u = u.transpose(0, 2, 3, 1)
    back = kernel[::-1, ::-1].swapaxes(2, 3)
    v = keras.ops.convert_to_numpy(keras.ops.conv(u, back.copy(), padding="same"))
    v = v / np.linalg.norm(v)
    return np.linalg.norm(
        keras.ops.convert_to_numpy(keras.ops.conv(v, np.ascontiguousarray(kernel), padding="same"))
    )
