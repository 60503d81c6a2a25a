"""Base of models that hide a message: image and bits as inputs."""

import keras

from keras_imaging.models.pretrained import PretrainedModel

NAMES = ("image", "bits")


def message_inputs(shape: tuple, message_length: int, dtype: str) -> dict[str, keras.KerasTensor]:
    """Symbolic inputs `{"image", "bits"}`."""
    return {
        "image": keras.Input(shape, dtype=dtype, name="image"),
        "bits": keras.Input((message_length,), dtype=dtype, name="bits"),
    }


class MessageModel(PretrainedModel):
    """A model of `{"image": ..., "bits": ...}`, or of the list `[image, bits]`."""

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._named(inputs), *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(self._named(inputs), training=training, mask=mask)

    def picture_shape(self, input_shape=None):
        """That of the image."""
        return self.input_shapes(input_shape)["image"]

    def input_of(self, picture, rng):
        """The picture and random bits."""
        (n,) = self.input_shapes()["bits"]
        bits = rng.integers(0, 2, (1, n)).astype("float32")
        return {"image": self.prepare(picture)[None], "bits": bits}

    def check_inputs(self, inputs) -> None:
        dtype = keras.backend.standardize_dtype(inputs["image"].dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(self).__name__} expected `image` as float. Received dtype {dtype}: divide "
                "by 255 first."
            )
        images, bits = (tuple(inputs[name].shape) for name in NAMES)
        # Keras would repeat a single row, and fail on others without naming them.
        known = len(images) == 4 and len(bits) == 2 and None not in (images[0], bits[0])
        if known and images[0] != bits[0]:
            raise ValueError(
                f"{type(self).__name__} expected as many rows of `bits` as images. Received: "
                f"`image` of shape {images} and `bits` of shape {bits}."
            )

    def _named(self, inputs):
        if isinstance(inputs, list | tuple) and len(inputs) == 2:
            inputs = dict(zip(NAMES, inputs, strict=True))
        if not isinstance(inputs, dict) or set(inputs) != set(NAMES):
            raise ValueError(
                f"{type(self).__name__} expected the inputs {{'image': ..., 'bits': ...}} or "
                f"[image, bits]. Received: {inputs}"
            )
        return inputs
