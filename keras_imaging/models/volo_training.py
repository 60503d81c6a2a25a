"""Train a VOLO with token labels and mixed tokens."""

import keras

from keras_imaging.layers.mix_token import MixToken
from keras_imaging.losses import TokenLabelLoss
from keras_imaging.models.volo import VOLO
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class VOLOTraining(keras.Model):
    """A VOLO that `fit` trains on the class of a picture and of every token.

    `fit` takes pictures and boxes of tokens that are exchanged in pairs of pictures, and labels as
    `TokenLabelLoss` does. The boxes are inputs: what is drawn, is drawn before, so that a step is
    the same on every device and after a restart. Boxes of zeros exchange nothing, as one wants for
    validation.

    Args:
        volo: a `VOLO` with `head="dense"`.
        loss: a `TokenLabelLoss`, whose pairing is also that of the exchange; None for its defaults.
        mix_token: whether tokens are exchanged; without it no boxes are taken.
        name: name of the model.

    Input shape:
        a dictionary: `image`, as the VOLO takes it, and with `mix_token` `box`, `(batch, 4)`: first
        row, first column, row and column behind the last, in tokens of the coarse grid.
    Output shape:
        a pair of logits: `(batch, classes)` of the picture, and `(batch, tokens, classes)` of the
        tokens, put back to their pictures.
    Raises:
        ValueError: if the VOLO has another head.
    Example:
        >>> volo = VOLO.from_preset("volo_small_32", weights=None, classes=2)
        >>> model = VOLOTraining(volo)
        >>> model.compile("sgd")
        >>> box = np.array([[0, 0, 2, 2]] * 2)
        >>> inputs = {"image": np.zeros((2, 32, 32, 3), "float32"), "box": box}
        >>> history = model.fit(inputs, np.eye(2), verbose=0)
    Reference:
        Jiang et al., "All Tokens Matter: Token Labeling for Training Better Vision Transformers",
        NeurIPS 2021.
    """

    def __init__(
        self,
        volo: VOLO,
        loss: TokenLabelLoss | None = None,
        mix_token: bool = True,
        name: str | None = None,
    ):
        super().__init__(name=name)
        config = volo.get_config()
        if config["head"] != "dense":
            raise ValueError(
                f"Expected a VOLO with head='dense', which classifies tokens. Received head="
                f"{config['head']!r}."
            )
        self.volo = volo
        self.token_label_loss = TokenLabelLoss() if loss is None else loss
        self.mix_token = mix_token
        pairing = self.token_label_loss.pairing
        # The exchange is in tokens of the fine grid, the boxes in those of the coarse one.
        self.exchange = MixToken(2, pairing, name="exchange")
        self.put_back = MixToken(1, pairing, name="put_back")
        patches = volo.get_layer("patch_embedding").output
        heads = [volo.get_layer(name).output for name in volo.head]
        # As bound methods: they have no weights of their own to be tracked a second time.
        self._patches = keras.Model(volo.input, patches).__call__
        self._heads = keras.Model(patches, heads).__call__
        # The network has its weights, and there are no others.
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None):
        image = self.volo.from_bytes(inputs["image"])
        self.volo.check_inputs(image)
        patches = self._patches(image, training=training)
        if not self.mix_token:
            return tuple(self._heads(patches, training=training))
        patches = self.exchange((patches, inputs["box"]))
        of_picture, of_tokens = self._heads(patches, training=training)
        unit = 2 * self.volo.get_config()["patch_size"]
        rows, columns = (side // unit for side in self.volo.input_shape[1:3])
        classes = of_tokens.shape[-1]
        maps = keras.ops.reshape(of_tokens, (-1, rows, columns, classes))
        maps = self.put_back((maps, inputs["box"]))
        return of_picture, keras.ops.reshape(maps, (-1, rows * columns, classes))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels = (y, x["box"]) if self.mix_token else y
        return self.token_label_loss(labels, y_pred, sample_weight)

    def get_config(self):
        return {
            "volo": keras.saving.serialize_keras_object(self.volo),
            "loss": keras.saving.serialize_keras_object(self.token_label_loss),
            "mix_token": self.mix_token,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        volo, loss = (
            keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("volo", "loss")
        )
        return cls(volo, loss, config["mix_token"], config["name"])
