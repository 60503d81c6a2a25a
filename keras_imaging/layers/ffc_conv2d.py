"""Fast Fourier convolution in place of Conv2D."""

import keras

from keras_imaging.layers.ffc import FFC
from keras_imaging.layers.ffc_split import FFCMerge, FFCSplit, check_ratio
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class FFCConv2D(keras.layers.Layer):
    """A drop-in replacement of `keras.layers.Conv2D` whose outputs see the whole image.

    Splits the channels (local ones first), applies `FFC`, and joins the parts. The padding is
    always "same".

    Args:
        filters: output channels.
        kernel_size: odd integer, or a tuple of equal ones.
        strides: 1 or 2, or a tuple of them.
        padding: `"same"`, where `Conv2D` has "valid" by default; see `FFC`.
        ratio: part of the input and of the output channels that is global, 0..1; above 0 it must
            leave a global output channel.
        padding_mode: see `FFC`.
        dilation_rate: see `FFC`.
        groups: see `FFC`.
        activation: name of an activation, or None.
        use_bias: of the ordinary convolutions.
        use_lfu: see `FFC`; needs a multiple of 8 global filters.
        normalization: `"batch"` or None, inside the spectral transform.
        unit_options: see `FFC`.
        fft_method: see `FourierUnit`.

    Input shape:
        `(batch, height, width, channels)`.
    Output shape:
        `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    Raises:
        ValueError: as `FFC`.
    Example:
        >>> tuple(FFCConv2D(16, 3, strides=2)(np.zeros((1, 8, 9, 4), "float32")).shape)
        (1, 4, 5, 16)
    Reference:
        Chi, Jiang, Mu, "Fast Fourier Convolution", NeurIPS 2020.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple,
        strides: int | tuple = 1,
        padding: str = "same",
        ratio: float = 0.5,
        padding_mode: str = "zeros",
        dilation_rate: int | tuple = 1,
        groups: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        use_lfu: bool = False,
        normalization: str | None = "batch",
        unit_options: dict | None = None,
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.ratio = check_ratio("ratio", ratio)
        # A wrong name speaks here, not in the first call.
        keras.activations.get(activation)
        self.activation = activation
        self.split = FFCSplit(ratio, dtype=self.dtype_policy, name="split")
        self.merge = FFCMerge(dtype=self.dtype_policy, name="merge")
        self.ffc = FFC(
            filters,
            kernel_size,
            ratio_in=ratio,
            ratio_out=ratio,
            strides=strides,
            padding=padding,
            padding_mode=padding_mode,
            dilation_rate=dilation_rate,
            groups=groups,
            use_bias=use_bias,
            use_lfu=use_lfu,
            normalization=normalization,
            unit_options=unit_options,
            fft_method=fft_method,
            dtype=self.dtype_policy,
            name="ffc",
        )

    def build(self, input_shape):
        self.ffc.build(self.split.compute_output_shape(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        y = self.merge(self.ffc(self.split(inputs), training=training))
        return keras.activations.get(self.activation)(y)

    def compute_output_shape(self, input_shape):
        shape = self.ffc.compute_output_shape(self.split.compute_output_shape(input_shape))
        return self.merge.compute_output_shape(shape)

    def get_config(self):
        config = self.ffc.get_config()
        for name in ("ratio_in", "ratio_out", "gated"):
            del config[name]
        own = {"ratio": self.ratio, "activation": self.activation}
        return {**config, **super().get_config(), **own}
