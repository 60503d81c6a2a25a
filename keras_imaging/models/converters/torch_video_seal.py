"""Published Video Seal weights: a PyTorch state dict into `models.VideoSealUNet` and back."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from keras_imaging.models.converters.torch_state import (
    Entry,
    batch_norm_entries,
    conv_entries,
    entry,
    fill,
    part_of,
    state_of,
)


def load_torch_weights(model: keras.Model, state: Mapping[str, np.ndarray]) -> None:
    """Fill a `VideoSealUNet` with the weights of the authors' PyTorch network.

    Args:
        model: a `VideoSealUNet` of the same arguments.
        state: arrays by PyTorch name. Of a whole checkpoint, or of its embedder, the network
            `unet.` is taken; counters of batches are ignored.

    Raises:
        ValueError: naming the entries that are missing, surplus or of another shape. The model is
            unchanged then.
    """
    state = part_of(part_of(state, "embedder."), "unet.")
    fill(list(unet_entries(model)), state)


def torch_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """The weights of a `VideoSealUNet` as the authors' PyTorch network names them."""
    return state_of(list(unet_entries(model)))


def unet_entries(model: keras.Model) -> Iterator[Entry]:
    """All entries of a `VideoSealUNet`."""
    config = model.get_config()
    stages = len(config["multipliers"]) - 1
    yield entry("msg_processor.msg_embeddings.weight", model.get_layer("message").table)
    yield from _residual_block_entries(model, "in", "inc")
    for k in range(1, stages + 1):
        theirs = f"downs.{k - 1}"
        yield from conv_entries(model.get_layer(f"down{k}_halve"), f"{theirs}.down")
        yield from _residual_block_entries(model, f"down{k}", f"{theirs}.conv")
    for k in range(1, config["num_blocks"] + 1):
        yield from _residual_block_entries(model, f"middle{k}", f"bottleneck.model.{k - 1}")
    for k in range(stages, 0, -1):
        theirs = f"ups.{stages - k}"
        # Numbers 0 and 1 enlarge and pad.
        yield from conv_entries(model.get_layer(f"up{k}_double"), f"{theirs}.up.upsample_block.2")
        norm = model.get_layer(f"up{k}_norm")
        yield entry(f"{theirs}.up.upsample_block.3.weight", norm.gamma)
        yield entry(f"{theirs}.up.upsample_block.3.bias", norm.beta)
        yield from _residual_block_entries(model, f"up{k}", f"{theirs}.conv")
    yield from conv_entries(model.get_layer("residual"), "outc")


def _residual_block_entries(model, ours, theirs):
    # Numbers 2 and 5 are activations.
    for part, number in (("conv1", 0), ("conv2", 3)):
        layer = model.get_layer(f"{ours}_{part}")
        yield from conv_entries(layer.conv, f"{theirs}.double_conv.{number}")
        yield from batch_norm_entries(layer.norm, f"{theirs}.double_conv.{number + 1}")
    yield from conv_entries(model.get_layer(f"{ours}_shortcut"), f"{theirs}.res_conv")
