"""What classifiers share: what they take, and the features that other networks stand on."""

import keras

from keras_imaging.data.classification import SCALE, SHIFT, standardized
from keras_imaging.layers.ffc_split import FFCMerge
from keras_imaging.models.pretrained import PretrainedModel
from keras_imaging.typing import Tensor


class Classifier(PretrainedModel):
    """A network of stages, a mean over all positions, and a layer `classifier` that gives logits.

    Pictures of bytes (uint8) are standardized by the network itself, on its device; floats must be
    standardized already, as `prepare` does it.

    A subclass sets `blocks`, the number of blocks of each stage, and `first_level`, the base-2
    logarithm of the first stage's stride. Outputs of blocks are named `stageI_blockJ`, with
    `_local` and `_global` for pairs.
    """

    task = "classification"
    takes_bytes = True
    head = ("classifier",)
    not_architecture = (*PretrainedModel.not_architecture, "zero_init_residual")

    blocks: tuple[int, ...] = ()
    first_level: int = 2

    @classmethod
    def size_arguments(cls, image_size: int) -> dict:
        """Constructor arguments for pictures of a size; here none, for they may have any."""
        return {}

    def prepare(self, pictures):
        """Standardized by the mean and deviation of photographs' colours, as in training."""
        return standardized(pictures)

    def call(self, inputs, training=None, mask=None):
        return super().call(self.from_bytes(inputs), training=training, mask=mask)

    def from_bytes(self, inputs: Tensor) -> Tensor:
        """What `prepare` makes of uint8 pictures, as tensors; others are as they are."""
        if keras.backend.standardize_dtype(inputs.dtype) != "uint8":
            return inputs
        return keras.ops.cast(inputs, "float32") * SCALE - SHIFT

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(self).__name__} takes uint8 pictures, or floats standardized by "
                f"keras_imaging.data.standardized. Received dtype {dtype}."
            )
        super().check_inputs(inputs)

    def stage_outputs(self) -> list[tuple]:
        """Output of each stage, a pair (local, global) or a tensor, for networks on top."""
        names = {layer.name for layer in self.layers}
        outputs = []
        for stage, number in enumerate(self.blocks, start=1):
            prefix = f"stage{stage}_block{number}"
            parts = [n for n in (f"{prefix}_local", f"{prefix}_global", prefix) if n in names]
            tensors = tuple(self.get_layer(n).output for n in parts)
            outputs.append(tensors if len(tensors) > 1 else tensors[0])
        return outputs

    @property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """Output of each stage by its level, `"P2"` ... `"P5"` at strides 4 ... 32.

        Pairs are joined, local channels first. With a smaller `output_stride` the last levels keep
        their names.

        Example:
            >>> model = ResNetRS(50, input_shape=(64, 64, 3))
            >>> features = keras.Model(model.input, model.pyramid_outputs)
            >>> {name: tensor.shape[1:3] for name, tensor in features.output.items()}
            {'P2': (16, 16), 'P3': (8, 8), 'P4': (4, 4), 'P5': (2, 2)}
        """
        return {
            f"P{level}": FFCMerge(name=f"P{level}")(output) if type(output) is tuple else output
            for level, output in enumerate(self.stage_outputs(), start=self.first_level)
        }

    def dense_logits(self, inputs: Tensor) -> Tensor:
        """The classifier at every position of the last stage; the mean is the model's logits.

        Args:
            inputs: as the model's, of any size it takes.

        Returns:
            `(batch, height / stride, width / stride, classes)`, rounded up.

        Raises:
            ValueError: if the model has no classifier, or on inputs that it does not take.
        """
        if "classifier" not in {layer.name for layer in self.layers}:
            raise ValueError("Expected a model with include_top=True. Received one without.")
        inputs = self.from_bytes(inputs)
        self.check_inputs(inputs)
        # As a bound method: a model among the attributes would become one of the layers.
        if not hasattr(self, "_last_stage"):
            self._last_stage = keras.Model(self.input, self.stage_outputs()[-1]).__call__
        return self.get_layer("classifier")(self._last_stage(inputs, training=False))
