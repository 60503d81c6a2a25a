"""Convolutional LISTA: an image as a sum of filters times sparse feature maps."""

import keras
import numpy as np

from keras_imaging.data.sparse import random_dictionary
from keras_imaging.layers.conv_synthesis import ConvSynthesis, filter_shape_and_values
from keras_imaging.layers.unfolded.ista import ConvLISTALayer
from keras_imaging.models.lista import percentages
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.unfolded import UnfoldedModel

_SIZE, _COUNT = 7, 32


@keras.saving.register_keras_serializable(package="keras_imaging")
class ConvLISTA(UnfoldedModel):
    """Images rebuilt from sparse feature maps that a fixed number of learned steps find.

    x+ = eta(x + W_k (image - D x)), D the synthesis by constant filters, W_k learned filters

    Args:
        filters: `(size, size, M)`: their values, or their shape if weights are to be loaded. None:
            32 random ones of 7 x 7, of length 1.
        num_layers: K.
        support_selection: `(p, p_max)` in percent of all features of an image, see `LISTA`; needs
            an `input_shape` of known sides. None: a plain soft threshold.
        lam: thresholds start at lam alpha.
        alpha: W starts at alpha times the filters, turned by 180 degrees. Below 2 / ||D||^2 the
            untrained network is ISTA for `lam`, but for the borders.
        return_all_layers: give a list of the images after every layer.
        input_shape: `(height, width, 1)`; None for sides of any size.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy.
        name: of the model.

    Input shape:
        `(batch, height, width, 1)`; sides at least `size`.
    Output shape:
        the same, or a list of K of them. The features after layer k are
        `model.unfolded[k].output`.

    Raises:
        ValueError: on filters of another rank or with NaN; fewer than one layer; percentages out
            of range; support selection without known sides.

    Example:
        >>> filters = np.random.default_rng(0).normal(size=(5, 5, 6))
        >>> model = ConvLISTA(filters, support_selection=(1.5, 4.0), input_shape=(16, 16, 1))
        >>> images = model(np.zeros((1, 16, 16, 1), "float32"))

    Reference:
        Liu, Chen, Wang, Yin, ALISTA (ICLR 2019), section 4 and its code.
    """

    not_architecture = (*UnfoldedModel.not_architecture, "lam", "return_all_layers")

    def __init__(
        self,
        filters: np.ndarray | tuple[int, int, int] | None = None,
        num_layers: int = 5,
        support_selection: tuple[float, float] | None = None,
        lam: float = 0.1,
        alpha: float = 0.1,
        return_all_layers: bool = False,
        input_shape: tuple[int | None, int | None, int] | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        if filters is None:
            filters = random_dictionary(_SIZE**2, _COUNT).reshape(_SIZE, _SIZE, _COUNT)
        shape, values = filter_shape_and_values(filters)
        filters = shape if values is None else values
        input_shape = (None, None, 1) if input_shape is None else tuple(input_shape)
        self._check_sides(input_shape, shape[0], support_selection)
        percents = percentages(num_layers, support_selection)
        policy, full = dtype_policies(dtype)
        images = keras.Input(input_shape, dtype=full, name="images")
        synthesis = ConvSynthesis(filters, dtype=policy, name="synthesis")
        x, outputs = None, []
        for k, percent in enumerate(percents, start=1):
            layer = ConvLISTALayer(
                filters,
                alpha=alpha,
                threshold=lam * alpha,
                percent=percent,
                dtype=policy,
                name=f"layer_{k}",
            )
            x = layer(images if x is None else [images, x])
            if return_all_layers or k == num_layers:
                outputs.append(synthesis(x))
        config = {
            "filters": list(shape),
            "num_layers": num_layers,
            "support_selection": support_selection and list(support_selection),
            "lam": lam,
            "alpha": alpha,
            "return_all_layers": return_all_layers,
            "input_shape": list(input_shape),
            "dtype": policy.name,
        }
        outputs = outputs if return_all_layers else outputs[-1]
        super().__init__(images, outputs, config, weights, name)

    @staticmethod
    def _check_sides(input_shape, size, support_selection):
        if len(input_shape) != 3 or input_shape[-1] != 1:
            raise ValueError(
                f"ConvLISTA takes images (height, width, 1). Received: input_shape={input_shape}"
            )
        if support_selection is not None and None in input_shape:
            raise ValueError(
                "Support selection counts the features of an image: give `input_shape` with known "
                f"sides. Received: input_shape={input_shape}"
            )
        if any(side is not None and side < size for side in input_shape[:2]):
            raise ValueError(
                f"Images must be at least as large as the filters, {size} x {size}. Received: "
                f"input_shape={input_shape}"
            )
