"""Segmentation: a light feature pyramid on any classifier's stages."""

import json

import keras

from keras_imaging.data.classification import standardized
from keras_imaging.layers.interpolation import InterpolationUpsample
from keras_imaging.layers.normalization import normalization_layer
from keras_imaging.layers.upsample_like import UpsampleLike
from keras_imaging.models.classifier import Classifier
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies

# Base-2 logarithm of the stride of the logits before they are enlarged.
_LEVEL = 2


@keras.saving.register_keras_serializable(package="keras_imaging")
class PyramidSegmenter(PretrainedModel):
    """A class for every pixel, from the stages of a classifier.

    Each stage is mapped to `width` channels and added to the enlarged coarser one; a convolution at
    each level down to stride 4, and the logits there, enlarged bilinearly.

    Args:
        backbone: a classifier with `pyramid_outputs`, such as a `VOLO`, `ResNetRS` or `FFCResNet`,
            whose layers become the segmenter's; or the name of its preset; or what `get_config`
            gives for it.
        classes: how many there are.
        width: channels of the pyramid.
        input_shape: `(height, width, channels)`; None as the backbone's.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy; None as the backbone's. The logits are in full precision.
        name: name of the model.

    Input shape:
        `(batch, height, width, channels)`, float, standardized as `data.standardized` does.
    Output shape:
        `(batch, height, width, classes)`, logits.
    Raises:
        ValueError: if an argument is out of its range, the backbone has no level of stride 4 or
            more, on integer input, or for unknown weights.
    Example:
        >>> model = PyramidSegmenter("volo_small_64", classes=5)
        >>> tuple(model(np.zeros((1, 64, 64, 3), "float32")).shape)
        (1, 64, 64, 5)
    Reference:
        Lin et al., "Feature Pyramid Networks", CVPR 2017; Kirillov et al., "Panoptic Feature
        Pyramid Networks", CVPR 2019.
    """

    task = "segmentation"
    head = ("classifier",)

    def __init__(
        self,
        backbone: Classifier | str | dict = "volo_small_64",
        classes: int = 21,
        width: int = 64,
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | keras.DTypePolicy | None = None,
        name: str | None = None,
    ):
        for argument, value in (("classes", classes), ("width", width)):
            if value < 1:
                raise ValueError(f"`{argument}` must be at least 1. Received: {argument}={value}")
        network = _backbone(backbone, input_shape, dtype)
        policy, full = dtype_policies(network.dtype_policy if dtype is None else dtype)
        levels = {
            int(level[1:]): tensor
            for level, tensor in network.pyramid_outputs.items()
            if int(level[1:]) >= _LEVEL
        }
        if not levels:
            raise ValueError(
                "Expected a backbone with a level of stride 4 or more. Received "
                f"{type(network).__name__} with {list(network.pyramid_outputs)}."
            )
        image = network.inputs[0]
        x = None
        for level in sorted(levels, reverse=True):
            own = _conv(width, 1, policy, f"pyramid{level}_lateral")(levels[level])
            if x is not None:
                enlarge = UpsampleLike(2, dtype=policy, name=f"pyramid{level}_enlarge")
                own = keras.layers.Add(dtype=policy, name=f"pyramid{level}_sum")(
                    [own, enlarge((x, own))]
                )
            x = _block(own, width, policy, f"pyramid{level}")
        for level in range(min(levels) - 1, _LEVEL - 1, -1):
            # Of an odd side too much is cut in the end.
            x = InterpolationUpsample(2, "bilinear", dtype=policy, name=f"pyramid{level}_enlarge")(
                x
            )
            x = _block(x, width, policy, f"pyramid{level}")
        x = keras.layers.Conv2D(classes, 1, dtype=full, name="classifier")(x)
        logits = UpsampleLike(2**_LEVEL, dtype=full, name="logits")((x, image))

        shape = tuple(network.input_shape[1:])
        config = {
            "backbone": _description(network),
            "classes": classes,
            "width": width,
            "input_shape": shape,
            "dtype": policy.name,
        }
        super().__init__(image, logits, config, weights, name=name or "segmenter")
        # Sides that are multiples of it are cut into tiles that see the same grids.
        self.unit = 2 ** max(levels)

    def prepare(self, pictures):
        """Standardized by the mean and deviation of photographs' colours, as in training."""
        return standardized(pictures)

    def check_inputs(self, inputs) -> None:
        """Raise ValueError on what the network would take for something else."""
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if "float" not in dtype:
            raise ValueError(
                f"{type(self).__name__} takes float images standardized as in training. Received "
                f"dtype {dtype}: pass uint8 pictures through keras_imaging.data.standardized."
            )
        super().check_inputs(inputs)


def _backbone(backbone, input_shape, dtype):
    """The classifier itself, or a new one."""
    if isinstance(backbone, Classifier):
        same = dtype is None or keras.dtype_policies.get(dtype) == backbone.dtype_policy
        if input_shape not in (None, tuple(backbone.input_shape[1:])) or not same:
            raise ValueError(
                "A backbone that is a network keeps its own `input_shape` and `dtype`. Received: "
                f"input_shape={input_shape}, dtype={dtype}"
            )
        return backbone
    from keras_imaging.models.loading import model_of_preset, pretrained_models

    shape = {} if input_shape is None else {"input_shape": tuple(input_shape)}
    if isinstance(backbone, str):
        cls, arguments = model_of_preset(backbone), None
    else:
        cls = pretrained_models().get(backbone["class_name"])
        arguments = {**backbone["config"], **shape, "dtype": dtype}
    if cls is None or not issubclass(cls, Classifier):
        raise ValueError(f"Expected a classifier as the backbone. Received: backbone={backbone!r}")
    if arguments is None:
        return cls.from_preset(backbone, weights=None, dtype=dtype, **shape)
    return cls(**arguments)


def _description(network):
    """As JSON gives it back; what belongs to the segmenter as well is said there."""
    config = {
        key: value
        for key, value in network.get_config().items()
        if key not in ("name", "dtype", "input_shape")
    }
    return json.loads(json.dumps({"class_name": type(network).__name__, "config": config}))


def _conv(filters, size, policy, name, **options):
    return keras.layers.Conv2D(
        filters,
        size,
        padding="same",
        kernel_initializer="he_normal",
        dtype=policy,
        name=name,
        **options,
    )


def _block(x, width, policy, name):
    x = _conv(width, 3, policy, f"{name}_conv", use_bias=False)(x)
    x = normalization_layer("batch", policy, f"{name}_norm")(x)
    return keras.layers.ReLU(dtype=policy, name=f"{name}_activation")(x)


PyramidSegmenter.presets = {
    "segmenter_volo_small_64": {"backbone": "volo_small_64", "width": 48},
}
