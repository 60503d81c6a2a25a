"""Base of networks of Fourier convolutions: their form for phones."""

from keras_imaging.models.pretrained import PretrainedModel


class FourierModel(PretrainedModel):
    """A network of one input, with an argument `fft_method`."""

    not_architecture = (*PretrainedModel.not_architecture, "fft_method")

    def edge_form(self, input_shape=None, expand_groups=True):
        """An equal model for phones: transforms by products with matrices.

        Args:
            input_shape: fixed `(height, width, channels)`; None keeps the model's own.
            expand_groups: grouped convolutions are computed as dense ones on the backends that
                export, whatever it says.

        Raises:
            ValueError: if height or width is not fixed: the matrices depend on them.
        """
        (shape,) = self.input_shapes(input_shape).values()
        if None in shape:
            raise ValueError(
                "Fourier transforms on phones need a fixed size: give input_shape=(height, width, "
                f"channels). Received: input_shape={shape}"
            )
        config = {**self.get_config(), "fft_method": "matmul", "dtype": "float32"}
        twin = type(self)(**{**config, "input_shape": shape})
        twin.set_weights(self.get_weights())
        return twin
