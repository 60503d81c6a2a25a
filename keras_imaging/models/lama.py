"""LaMa: large mask inpainting with Fourier convolutions."""

import math

import keras
import numpy as np

from keras_imaging.data.inpainting_masks import draw_inpainting_mask
from keras_imaging.layers.ffc import FFC, FFCBNAct
from keras_imaging.layers.ffc_split import FFCMerge
from keras_imaging.layers.harmonic_fill import HarmonicFill
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.models.fourier_model import FourierModel
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.picture_size import size_text

OUTPUTS = ("sigmoid", "tanh", "linear")

_TRUST_WIDTH = 32


@keras.saving.register_keras_serializable(package="keras_imaging")
class LaMaGenerator(FourierModel):
    """The generator of LaMa: proposes a picture for the holes of a picture.

    Strided convolutions, residual blocks of fast Fourier convolutions, transposed convolutions. The
    network sees the whole picture from its first block on, so it continues patterns over large
    holes, also in pictures larger than those it was trained on. `inference.inpaint` puts its
    proposal into the holes and takes pictures of any size.

    With `harmonic` the network is given the harmonic fill h of the holes and adds to it (ours). Of
    its proposal p and two further maps, trust t and colours e, it makes d = t (p - h) + e; what is
    added is d less the harmonic fill of d's own values outside the holes, so it vanishes at their
    rims: there are no seams. A new network has t = e = 0 and gives h itself.

    Args:
        width: channels after the stem; every downsampling doubles them.
        num_downsamples: strided convolutions; height and width are multiples of
            2**num_downsamples.
        num_blocks: residual blocks.
        ratio: part of a block's channels that is global, 0..1; 0 gives ordinary convolutions.
        hidden: channels between the two convolutions of a block; None for as many as the block has.
        channels: of the picture.
        max_width: limit of the doubling.
        output: activation of the proposal: `"sigmoid"`, `"tanh"` or `"linear"`.
        harmonic: see above; False is the published network.
        fft_method: see `ops.rfft2`; any gives the same result.
        input_shape: `(height, width, channels + 1)`; None where a side is not fixed.
        weights: None, `"pretrained"` (the shipped weights for these arguments), the name of shipped
            weights, or the path of a file.
        dtype: dtype policy, such as `"mixed_bfloat16"`; Fourier transforms and the output are in
            full precision under all of them.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels + 1)`, float: the picture in 0..1 with its holes at zero,
        then the mask, 1 in a hole and 0 elsewhere.
    Output shape:
        `(batch, height, width, channels)`: the whole picture, proposed; what is known is not
        copied, with `harmonic` it is.
    Raises:
        ValueError: if an argument is out of its range, for sizes that are no multiples of
            2**num_downsamples, on integer input, or for unknown weights.
    Example:
        >>> model = LaMaGenerator(width=16, num_blocks=4)
        >>> tuple(model(np.zeros((1, 64, 96, 4), "float32")).shape)
        (1, 64, 96, 3)
    Reference:
        Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV
        2022.
    """

    task = "inpainting"

    # What a harmonic network has beside a published one.
    head = ("change", "trust1", "trust2")

    def __init__(
        self,
        width: int = 64,
        num_downsamples: int = 3,
        num_blocks: int = 9,
        ratio: float = 0.75,
        hidden: int | None = None,
        channels: int = 3,
        max_width: int = 1024,
        output: str = "sigmoid",
        harmonic: bool = False,
        fft_method: str = "auto",
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        _check(width, num_downsamples, num_blocks, ratio, hidden, channels, output)
        shape = (None, None, channels + 1) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or shape[-1] != channels + 1:
            raise ValueError(
                f"`input_shape` must be (height, width, {channels + 1}): the picture and its mask. "
                f"Received: input_shape={input_shape}"
            )
        _check_size(shape[:2], num_downsamples)
        policy, full = dtype_policies(dtype)

        def ffc(filters, kernel_size, ratio_in, ratio_out, name, strides=1):
            return FFCBNAct(
                filters,
                kernel_size,
                ratio_in=ratio_in,
                ratio_out=ratio_out,
                strides=strides,
                padding_mode="reflect",
                use_lfu=False,
                activation="relu",
                fft_method=fft_method,
                dtype=policy,
                name=name,
            )

        widths = [min(width * 2**k, max_width) for k in range(num_downsamples + 1)]
        inputs = keras.Input(shape, dtype=full, name="picture_and_mask")
        x = inputs
        if harmonic:
            picture, mask = inputs[..., :channels], inputs[..., channels:]
            smooth = HarmonicFill(dtype=full, name="harmonic")([picture, mask])
            x = keras.ops.concatenate([inputs, smooth * mask], axis=-1)
        x = ffc(widths[0], 7, 0, 0, "stem")(x)
        for k in range(1, num_downsamples + 1):
            ratio_out = ratio if k == num_downsamples else 0
            x = ffc(widths[k], 3, 0, ratio_out, f"down{k}", strides=2)(x)
        for k in range(1, num_blocks + 1):
            y = ffc(hidden or widths[-1], 3, ratio, ratio, f"block{k}_conv1")(x)
            y = ffc(widths[-1], 3, ratio, ratio, f"block{k}_conv2")(y)
            x = _add(x, y, f"block{k}", policy)
        joined = x = FFCMerge(dtype=policy, name="join")(x)
        for k in range(num_downsamples, 0, -1):
            x = _double(x, widths[k - 1], f"up{k}", policy)
        head = FFC(
            channels,
            7,
            ratio_in=0,
            ratio_out=0,
            padding_mode="reflect",
            use_bias=True,
            dtype=policy,
            name="head",
        )
        proposal = keras.layers.Activation(output, dtype=full, name="picture")(head(x))
        if harmonic:
            trust = _trust(joined, 2**num_downsamples, policy, full)
            change = keras.layers.Conv2D(
                channels,
                3,
                padding="same",
                kernel_initializer="zeros",
                dtype=policy,
                name="change",
            )
            change = trust * (proposal - smooth) + keras.ops.cast(change(x), full)
            known = HarmonicFill(dtype=full, name="rim")([change * (1 - mask), mask])
            proposal = smooth + change - known

        config = {
            "width": width,
            "num_downsamples": num_downsamples,
            "num_blocks": num_blocks,
            "ratio": ratio,
            "hidden": hidden,
            "channels": channels,
            "max_width": max_width,
            "output": output,
            "harmonic": harmonic,
            "fft_method": fft_method,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(inputs, proposal, config, weights, name=name or "lama")
        self.stride = 2**num_downsamples
        self.harmonic = harmonic

    @classmethod
    def architecture_of(cls, arguments):
        # Files that are older than the argument are of published networks.
        return super().architecture_of({"harmonic": False, **arguments})

    def load_published(self, arrays):
        """Fill the network with the weights of the authors' PyTorch generator."""
        # The converter knows our layers; this class need not be loaded for it.
        from keras_imaging.models.converters.torch_lama import load_torch_weights

        load_torch_weights(self, arrays)

    def picture_shape(self, input_shape=None):
        """That of the input without its mask."""
        (shape,) = self.input_shapes(input_shape).values()
        return (*shape[:-1], shape[-1] - 1)

    def input_of(self, picture, rng):
        """The picture with random holes, and their mask."""
        hole = draw_inpainting_mask(rng, picture.shape[:2])
        known = self.prepare(picture) * (1 - hole)
        return {self.inputs[0].name: np.concatenate([known, hole], axis=-1)[None]}

    def check_inputs(self, inputs) -> None:
        super().check_inputs(inputs)
        _check_size(inputs.shape[1:3], self._config["num_downsamples"])

    def continue_from(self, other: "LaMaGenerator") -> None:
        """Take the weights of a network of the same arguments without `harmonic`.

        The stem begins by not seeing the harmonic fill; layers that the other has not stay as they
        are.

        Args:
            other: the network.

        Raises:
            ValueError: if this network is not a harmonic one or the shapes do not agree otherwise.
        """
        sources = {weight.path: weight for weight in other.weights}
        for weight in self.weights:
            if weight.path.split("/")[0] in self.head:
                continue
            source = sources.get(weight.path)
            if source is None:
                raise ValueError(f"The other network has no {weight.path}.")
            values = keras.ops.convert_to_numpy(source)
            if values.shape != weight.shape and weight.path.startswith("stem/"):
                surplus = weight.shape[2] - values.shape[2]
                values = np.pad(values, ((0, 0), (0, 0), (0, max(surplus, 0)), (0, 0)))
            weight.assign(values)

    def plain_twin(self, **kwargs) -> "LaMaGenerator":
        """A network of ordinary convolutions with as many parameters, to compare with.

        Stem, downsampling, upsampling and depth are the same; the blocks have ratio 0 and are made
        narrower inside until the parameters agree (within half a channel of every block).

        Args:
            **kwargs: constructor arguments that override this model's.
        """
        outer = self.get_layer("block1_conv2").output
        outer = sum(t.shape[-1] for t in keras.tree.flatten(outer))
        parameters = sum(
            math.prod(weight.shape)
            for name in ("block1_conv1", "block1_conv2")
            for weight in self.get_layer(name).trainable_weights
        )
        # Two 3x3 convolutions, outer -> hidden -> outer, each with scale and shift.
        hidden = round((parameters - 2 * outer) / (18 * outer + 2))
        config = {**self._config, "ratio": 0.0, "hidden": max(hidden, 1), **kwargs}
        return LaMaGenerator(**config)


def _check(width, num_downsamples, num_blocks, ratio, hidden, channels, output):
    for name, value in (
        ("width", width),
        ("num_downsamples", num_downsamples),
        ("num_blocks", num_blocks),
        ("hidden", 1 if hidden is None else hidden),
        ("channels", channels),
    ):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
    if not 0 <= ratio <= 1:
        raise ValueError(f"`ratio` must be in 0..1. Received: ratio={ratio}")
    if output not in OUTPUTS:
        raise ValueError(f"`output` must be one of {OUTPUTS}. Received: output={output!r}")


def _check_size(size, num_downsamples):
    stride = 2**num_downsamples
    # Reflection needs two pixels on the smallest map.
    if any(side is not None and (side % stride or side < 2 * stride) for side in size):
        raise ValueError(
            f"LaMaGenerator takes heights and widths that are multiples of {stride}, and at least "
            f"{2 * stride}. Received {size_text(*size)}; keras_imaging.inference.inpaint takes "
            "any size."
        )


def _add(x, y, name, policy):
    """The sum of each branch."""
    branches = ("_local", "_global") if keras.tree.is_nested(x) else ("",)
    sums = [
        keras.layers.Add(dtype=policy, name=name + branch)([a, b])
        for branch, a, b in zip(branches, keras.tree.flatten(x), keras.tree.flatten(y), strict=True)
    ]
    return sums[0] if len(sums) == 1 else tuple(sums)


def _trust(x, stride, policy, dtype):
    """How much of the proposal is taken, at every pixel; of a new network nothing."""
    x = keras.layers.Conv2D(
        _TRUST_WIDTH, 3, padding="same", activation="relu", dtype=policy, name="trust1"
    )(x)
    last = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", dtype=policy, name="trust2")
    larger = InterpolationUpsample(stride, "bilinear", dtype=dtype, name="trust")
    return larger(last(x))


def _double(x, filters, name, policy):
    """Transposed convolution to twice the size, normalization, ReLU."""
    x = keras.layers.Conv2DTranspose(filters, 3, 2, "valid", dtype=policy, name=name)(x)
    # The published network crops one row and one column at the start and none at the end; "same"
    # would crop them at the end.
    x = keras.layers.Cropping2D(((1, 0), (1, 0)), dtype=policy, name=f"{name}_crop")(x)
    x = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, dtype=policy, name=f"{name}_norm"
    )(x)
    return keras.layers.ReLU(dtype=policy, name=f"{name}_activation")(x)


LaMaGenerator.presets = {
    "lama_tiny": {"width": 8, "num_downsamples": 2, "num_blocks": 2},
    "lama_small": {"width": 16, "num_blocks": 4, "harmonic": True},
    "lama_small_published": {"width": 16, "num_blocks": 4},
    "lama_fourier": {"width": 64, "num_blocks": 9},
    "big_lama": {"width": 64, "num_blocks": 18},
}
