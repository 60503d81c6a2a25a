"""VOLO: outlook attention at a fine grid, self-attention at half of it."""

import math
from collections.abc import Sequence

import keras
import numpy as np

from keras_imaging.layers.class_attention import ClassAttentionBlock, ClassToken
from keras_imaging.layers.initialization import token_normal, torch_uniform
from keras_imaging.layers.normalization import normalization_layer
from keras_imaging.layers.outlooker import ATTENTIONS, Outlooker
from keras_imaging.layers.position_embedding import (
    PositionEmbedding2D,
    resize_position_embedding,
)
from keras_imaging.layers.transformer_block import EPSILON, TransformerBlock
from keras_imaging.models.classifier import Classifier
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.typing import Tensor

HEADS = ("dense", "token", "mean", None)
PATCH_SIZES = (4, 8, 16)
CLASS_BLOCKS = 2


@keras.saving.register_keras_serializable(package="keras_imaging")
class VOLO(Classifier):
    """Classifier of outlook attention, which is cheap on fine grids, and of self-attention.

    A stem makes patches of `patch_size` pixels; outlookers mix each patch with its neighbours;
    patches of twice the size pass through three stages of transformer blocks; a class token gathers
    them in two blocks. Trained with token labels it reaches 84.2 % (D1) to 86.1 % (D5) top-1 on
    ImageNet at 224 pixels, as the paper says.

    Args:
        blocks: number of outlookers, and of transformer blocks of three stages.
        widths: channels of the outlookers, and of the transformer blocks.
        num_heads: of the outlookers, and of the transformer blocks; they divide the widths.
        mlp_ratio: hidden units over channels, in all blocks.
        stem_filters: of the three convolutions in front.
        patch_size: 4, 8 or 16 pixels, of the fine grid.
        attention: of the first stage: `"outlook"`, or what the paper compares it with: `"local"`,
            `"convolution"` or `"self"`.
        kernel_size: of that attention, odd.
        stride: between windows of outlook attention, 1..kernel_size.
        head: `"dense"` (logits of the class token, and half of the largest of all tokens for each
            class), `"token"` (the class token alone), `"mean"` (of all tokens, without class token
            and its blocks), or None (the normalized tokens).
        classes: of the classifier.
        image_size: side, or (height, width), for which positions are learned, multiples of twice
            `patch_size`; the positions of other pictures are interpolated.
        qkv_bias: whether values, keys and queries have a bias.
        attention_dropout: of the weights of attentions, [0, 1).
        dropout: of the branches of blocks, and of the tokens with their positions, [0, 1).
        drop_path_rate: of the last transformer block, growing from 0 along all blocks, [0, 1).
        outlooker_drop_path: whether outlookers are dropped, too; the published code does not.
        input_shape: `(height, width, channels)`, sides known; None for `image_size` and colours.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; the classifiers are in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, uint8, or float, standardized as `data.standardized`
        does.
    Output shape:
        `(batch, classes)`, logits; or `(batch, 1 + tokens, channels)` without a head, the class
        token first.
    Raises:
        ValueError: if an argument is out of its range, a side is no multiple of twice the patch, on
            other integers, or for unknown weights.
    Example:
        >>> model = VOLO.from_preset("volo_small_32", weights=None, classes=10)
        >>> tuple(model(np.zeros((1, 32, 32, 3), "float32")).shape)
        (1, 10)
        >>> list(model.pyramid_outputs)
        ['P2', 'P3']
    Reference:
        Yuan et al., "VOLO: Vision Outlooker for Visual Recognition", TPAMI 2022, and its code.
    """

    head = ("classifier", "token_classifier")
    # Sums of numbers of two scales; a few multiplications in all.
    float_layers = (*head, "token_maximum", "half_maximum", "logits")
    not_architecture = (
        *Classifier.not_architecture,
        "attention_dropout",
        "dropout",
        "drop_path_rate",
        "outlooker_drop_path",
    )

    def __init__(
        self,
        blocks: Sequence[int] = (4, 4, 8, 2),
        widths: Sequence[int] = (192, 384),
        num_heads: Sequence[int] = (6, 12),
        mlp_ratio: float = 3.0,
        stem_filters: int = 64,
        patch_size: int = 8,
        attention: str = "outlook",
        kernel_size: int = 3,
        stride: int = 2,
        head: str | None = "dense",
        classes: int = 1000,
        image_size: int | Sequence[int] = 224,
        qkv_bias: bool = False,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
        drop_path_rate: float = 0.0,
        outlooker_drop_path: bool = False,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        blocks, widths, num_heads = tuple(blocks), tuple(widths), tuple(num_heads)
        _check(blocks, widths, num_heads, stem_filters, patch_size, attention, head, classes)
        for argument, rate in (
            ("attention_dropout", attention_dropout),
            ("dropout", dropout),
            ("drop_path_rate", drop_path_rate),
        ):
            if not 0 <= rate < 1:
                raise ValueError(f"`{argument}` must be in [0, 1). Received: {argument}={rate}")
        size = sides(image_size)
        check_multiple("image_size", size, 2 * patch_size)
        shape = (*size, 3) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or None in shape:
            raise ValueError(
                "`input_shape` must be (height, width, channels) of known sides. "
                f"Received: input_shape={shape}"
            )
        check_multiple("input_shape", shape[:2], 2 * patch_size)
        policy, full = dtype_policies(dtype)
        rates = drop_rates(blocks, drop_path_rate, outlooker_drop_path)
        options = {
            "mlp_ratio": mlp_ratio,
            "qkv_bias": qkv_bias,
            "attention_dropout": attention_dropout,
            "dropout": dropout,
            "dtype": policy,
        }

        inputs = keras.Input(shape, dtype=full, name="image")
        x = _stem(inputs, stem_filters, policy)
        # Half of the patch is the stem's stride.
        x = _patches(x, widths[0], patch_size // 2, policy, "patch_embedding")
        for stage, number in enumerate(blocks):
            if stage == 1:
                x = _patches(x, widths[1], 2, policy, "downsampling")
                grid = [side // (2 * patch_size) for side in size]
                x = PositionEmbedding2D(grid, dtype=policy, name="position")(x)
                if dropout:
                    x = keras.layers.Dropout(dropout, dtype=policy, name="position_dropout")(x)
            for block in range(number):
                own = {
                    **options,
                    "drop_path": rates[stage][block],
                    "name": f"stage{stage + 1}_block{block + 1}",
                }
                if stage == 0:
                    layer = Outlooker(num_heads[0], attention, kernel_size, stride, **own)
                else:
                    layer = TransformerBlock(num_heads[1], **own)
                x = layer(x)
        if head == "mean":
            x = keras.layers.Reshape((-1, widths[1]), dtype=policy, name="tokens")(x)
        else:
            x = ClassToken(dtype=policy, name="class_token")(x)
            for block in range(CLASS_BLOCKS):
                x = ClassAttentionBlock(num_heads[1], name=f"class_block{block + 1}", **options)(x)
        x = keras.layers.LayerNormalization(epsilon=EPSILON, dtype=full, name="norm")(x)
        if head is not None:
            x = _logits(x, head, classes, full)

        config = {
            "blocks": list(blocks),
            "widths": list(widths),
            "num_heads": list(num_heads),
            "mlp_ratio": mlp_ratio,
            "stem_filters": stem_filters,
            "patch_size": patch_size,
            "attention": attention,
            "kernel_size": kernel_size,
            "stride": stride,
            "head": head,
            "classes": classes,
            "image_size": list(size),
            "qkv_bias": qkv_bias,
            "attention_dropout": attention_dropout,
            "dropout": dropout,
            "drop_path_rate": drop_path_rate,
            "outlooker_drop_path": outlooker_drop_path,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, x, config, weights, name=name or "volo")
        self.blocks = blocks
        self.first_level = int(math.log2(patch_size))

    @classmethod
    def size_arguments(cls, image_size: int) -> dict:
        """Constructor arguments for pictures of a size."""
        return {"image_size": image_size}

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        super().check_inputs(inputs)
        if tuple(inputs.shape[1:]) != tuple(self.input_shape[1:]):
            raise ValueError(
                f"This VOLO takes pictures of {tuple(self.input_shape[1:])}. Received shape "
                f"{tuple(inputs.shape)}; `with_size` gives a network for another size."
            )

    def stage_outputs(self):
        """Output of the outlookers, and of the last transformer block."""
        last = max(stage for stage, number in enumerate(self.blocks, start=1) if number)
        return [
            self.get_layer(f"stage{stage}_block{self.blocks[stage - 1]}").output
            for stage in (1, last)
        ]

    def dense_logits(self, inputs: Tensor) -> Tensor:
        """The classifier of tokens at every place of the coarse grid.

        Args:
            inputs: as the model's.

        Returns:
            `(batch, height / (2 patch_size), width / (2 patch_size), classes)`.

        Raises:
            ValueError: if no classifier sees all tokens, or on inputs that the model does not take.
        """
        if self._config["head"] not in ("dense", "mean"):
            raise ValueError(
                f"Expected a model with head='dense' or 'mean'. Received head="
                f"{self._config['head']!r}."
            )
        inputs = self.from_bytes(inputs)
        self.check_inputs(inputs)
        dense = self._config["head"] == "dense"
        if not hasattr(self, "_tokens"):
            # As a bound method: a model among the attributes would become one of the layers.
            self._tokens = keras.Model(self.input, self.get_layer("norm").output).__call__
        tokens = self._tokens(inputs, training=False)
        layer = self.get_layer("token_classifier" if dense else "classifier")
        logits = layer(tokens[:, 1:] if dense else tokens)
        rows, columns = (n // (2 * self._config["patch_size"]) for n in self.input_shape[1:3])
        return keras.ops.reshape(logits, (-1, rows, columns, self._config["classes"]))

    def with_size(self, image_size: int | Sequence[int]) -> "VOLO":
        """The same network for pictures of another size, its positions interpolated.

        Args:
            image_size: side, or (height, width), multiples of twice the patch.

        Raises:
            ValueError: if it is none; the nearest that are are named.

        Example:
            >>> model = VOLO.from_preset("volo_small_32", weights=None)
            >>> model.with_size((48, 64)).input_shape
            (None, 48, 64, 3)
        """
        size = sides(image_size)
        return self._changed(image_size=list(size), input_shape=(*size, self.input_shape[-1]))

    def resized_like(self, model: keras.Model) -> "VOLO":
        """The network with positions for pictures as large as another VOLO's."""
        grids = [layer.grid for layer in model.layers if isinstance(layer, PositionEmbedding2D)]
        if not grids or grids[0] == self.get_layer("position").grid:
            return self
        return self.with_size([2 * self._config["patch_size"] * side for side in grids[0]])

    def with_classes(self, classes: int) -> "VOLO":
        """The same network with new classifiers.

        Args:
            classes: how many.

        Raises:
            ValueError: if there is none, or the network has no classifier.

        Example:
            >>> model = VOLO.from_preset("volo_small_32", weights=None)
            >>> model.with_classes(7).output_shape
            (None, 7)
        """
        if self._config["head"] is None:
            raise ValueError("Expected a model with a head. Received head=None.")
        return self._changed(classes=classes)

    def with_head(self, head: str | None) -> "VOLO":
        """The same network with less of a head: for phones, or as the base of another one.

        Without the classifier of tokens the logits are others: it saves `classes` multiplications
        for every channel of every token, and costs some accuracy.

        Args:
            head: `"token"` of a network with `"dense"`, or None of either.

        Raises:
            ValueError: if the network has not all layers that the other has.

        Example:
            >>> model = VOLO.from_preset("volo_small_32", weights=None, classes=10)
            >>> model.count_params() - model.with_head("token").count_params()
            970
        """
        own = self._config["head"]
        if (own, head) not in (("dense", "token"), ("dense", None), ("token", None)):
            raise ValueError(
                "Expected 'token' for a network with head='dense', or None. Received: "
                f"head={head!r} for one with head={own!r}"
            )
        return self._changed(head=head)

    def edge_form(
        self,
        input_shape: tuple | dict | None = None,
        expand_groups: bool = True,
        head: str | None = "dense",
    ) -> "VOLO":
        """The network itself; where it is asked for, without its classifier of tokens.

        Args:
            input_shape, expand_groups: see `PretrainedModel`.
            head: `"token"` for a smaller network that answers otherwise, see `with_head`.
        """
        return self if head == "dense" else self.with_head(head)

    def _changed(self, **arguments):
        """A network with some arguments changed and the weights that fit it."""
        new = type(self)(**{**self.get_config(), **arguments})
        mine = {layer.name: layer for layer in self.layers}
        for layer in new.layers:
            old = mine.get(layer.name)
            if not layer.weights or (layer.name in self.head and "classes" in arguments):
                continue
            values = old.get_weights()
            if layer.name == "position":
                values = [resize_position_embedding(values[0], layer.grid)]
            layer.set_weights(values)
        return new

    @classmethod
    def published_arguments(cls, arrays):
        """How many classes, and which size, weights of PyTorch are for."""
        from keras_imaging.models.converters.torch_volo import arguments_of

        found = arguments_of(arrays)
        top = {"head": None} if found["classes"] is None else {"classes": found["classes"]}
        return {**top, "image_size": found["image_size"]}

    def load_published(self, arrays):
        """Fill the network with the weights of the authors' or timm's."""
        # The converter knows our layers; this class need not be loaded for it.
        from keras_imaging.models.converters.torch_volo import load_weights

        load_weights(self, arrays)


def sides(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width.

    Raises:
        ValueError: if they are not one or two positive integers.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(
            "`image_size` must be a positive integer, or (height, width). "
            f"Received: image_size={image_size}"
        )
    return size


def check_multiple(argument: str, size: Sequence[int], unit: int) -> None:
    """Raise ValueError, with the nearest sides that are, unless all are multiples of `unit`."""
    for side in size:
        if side % unit or side < unit:
            below = side // unit * unit
            near = f"{below} or {below + unit}" if below else f"{unit}"
            raise ValueError(
                f"`{argument}` must have sides that are multiples of {unit}, twice the patch. "
                f"Received: {argument}={tuple(size)}; take {near} for {side}."
            )


def drop_rates(blocks: Sequence[int], rate: float, outlookers: bool) -> list[list[float]]:
    """Rate of stochastic depth of every block of every stage; see `VOLO`."""
    line = iter(np.linspace(0.0, rate, sum(blocks)).tolist())
    rates = [[next(line) for _ in range(number)] for number in blocks]
    return rates if outlookers else [[0.0] * blocks[0], *rates[1:]]


def _check(blocks, widths, num_heads, stem_filters, patch_size, attention, head, classes):
    if (
        len(blocks) != 4
        or any(type(n) is not int or n < 0 for n in blocks)
        or blocks[0] < 1
        or not any(blocks[1:])
    ):
        raise ValueError(
            "`blocks` must be four integers: outlookers, and transformer blocks of three stages, "
            f"at least one of either kind. Received: blocks={blocks}"
        )
    for name, pair in (("widths", widths), ("num_heads", num_heads)):
        if len(pair) != 2 or any(type(n) is not int or n < 1 for n in pair):
            raise ValueError(f"`{name}` must be two positive integers. Received: {name}={pair}")
    if any(width % heads for width, heads in zip(widths, num_heads, strict=True)):
        raise ValueError(
            f"`num_heads` must divide `widths`. Received: num_heads={num_heads}, widths={widths}"
        )
    for name, value in (("stem_filters", stem_filters), ("classes", classes)):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    for name, value, known in (
        ("patch_size", patch_size, PATCH_SIZES),
        ("attention", attention, ATTENTIONS),
        ("head", head, HEADS),
    ):
        if value not in known:
            raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")


def _stem(x, filters, policy):
    for number, (size, strides) in enumerate(((7, 2), (3, 1), (3, 1)), start=1):
        if strides > 1:
            # Keras' "same" would pad an even side by 2 and 3 pixels instead of 3 and 3.
            x = keras.layers.ZeroPadding2D(3, dtype=policy, name=f"stem_padding{number}")(x)
        x = keras.layers.Conv2D(
            filters,
            size,
            strides,
            "valid" if strides > 1 else "same",
            use_bias=False,
            kernel_initializer=torch_uniform(),
            dtype=policy,
            name=f"stem_conv{number}",
        )(x)
        x = normalization_layer("batch", policy, f"stem_norm{number}")(x)
        x = keras.layers.ReLU(dtype=policy, name=f"stem_activation{number}")(x)
    return x


def _patches(x, filters, size, policy, name):
    """A dense layer of each patch."""
    bound = (size * size * x.shape[-1]) ** -0.5
    return keras.layers.Conv2D(
        filters,
        size,
        size,
        kernel_initializer=torch_uniform(),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        dtype=policy,
        name=name,
    )(x)


def _logits(tokens, head, classes, dtype):
    def classifier(name):
        return keras.layers.Dense(
            classes, kernel_initializer=token_normal(), dtype=dtype, name=name
        )

    if head == "mean":
        mean = keras.layers.GlobalAveragePooling1D(dtype=dtype, name="pool")(tokens)
        return classifier("classifier")(mean)
    logits = classifier("classifier")(tokens[:, 0])
    if head == "token":
        return logits
    of_tokens = classifier("token_classifier")(tokens[:, 1:])
    largest = keras.layers.GlobalMaxPooling1D(dtype=dtype, name="token_maximum")(of_tokens)
    half = keras.layers.Rescaling(0.5, dtype=dtype, name="half_maximum")(largest)
    return keras.layers.Add(dtype=dtype, name="logits")([logits, half])


_LARGE = {"widths": (384, 768), "num_heads": (12, 16)}
_MIDDLE = {"widths": (256, 512), "num_heads": (8, 16)}
_USUAL = {"mlp_ratio": 3.0, "stem_filters": 64, "patch_size": 8}
_SMALL = {
    "blocks": (2, 1, 1, 1),
    "widths": (48, 96),
    "num_heads": (3, 6),
    "mlp_ratio": 3.0,
    "stem_filters": 32,
    "patch_size": 4,
}
VOLO.presets = {
    "volo_d1": {"blocks": (4, 4, 8, 2), "widths": (192, 384), "num_heads": (6, 12), **_USUAL},
    "volo_d2": {"blocks": (6, 4, 10, 4), **_MIDDLE, **_USUAL},
    "volo_d3": {"blocks": (8, 8, 16, 4), **_MIDDLE, **_USUAL},
    "volo_d4": {"blocks": (8, 8, 16, 4), **_LARGE, **_USUAL},
    "volo_d5": {
        "blocks": (12, 12, 20, 4),
        **_LARGE,
        **_USUAL,
        "mlp_ratio": 4.0,
        "stem_filters": 128,
    },
    # For small pictures; nobody has published weights of them.
    "volo_small_32": {**_SMALL, "image_size": 32},
    "volo_small_64": {**_SMALL, "image_size": 64},
}
