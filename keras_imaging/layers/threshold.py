"""Learned soft thresholds."""

import keras
from keras import ops

from keras_imaging.ops.proximal import selected_count, soft_threshold, support_selection_threshold
from keras_imaging.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_imaging")
class SoftThreshold(keras.layers.Layer):
    """Soft threshold: sign(x) max(|x| - theta, 0), theta learned.

    Args:
        initial: theta at the start.
        coordinatewise: one theta for each entry of the last axis instead of one for all.
        clamp: use max(theta, 0). Without it a theta below 0 adds magnitude.

    Input shape:
        `(batch, ..., n)`, real.
    Output shape:
        the same.

    Raises:
        ValueError: on a complex input.

    Example:
        >>> x = np.array([[3.0, 0.5, -1.5]])
        >>> keras.ops.convert_to_numpy(SoftThreshold(1.0)(x)).tolist()
        [[2.0, 0.0, -0.5]]

    Reference:
        Gregor and LeCun, Learning fast approximations of sparse coding (ICML 2010).
    """

    def __init__(self, initial: float = 0.1, coordinatewise: bool = False, clamp=False, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial
        self.coordinatewise = coordinatewise
        self.clamp = clamp

    def build(self, input_shape):
        self.theta = self.add_weight(
            shape=(input_shape[-1],) if self.coordinatewise else (),
            initializer=keras.initializers.Constant(self.initial),
            name="theta",
        )

    def call(self, inputs):
        return soft_threshold(self._checked(inputs), self._threshold())

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        names = ("initial", "coordinatewise", "clamp")
        return {**config, **{name: getattr(self, name) for name in names}}

    def _threshold(self):
        theta = ops.convert_to_tensor(self.theta, dtype=self.compute_dtype)
        return ops.maximum(theta, 0) if self.clamp else theta

    def _checked(self, x: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype.startswith("complex"):
            raise ValueError(
                f"{type(self).__name__} takes real entries. Received dtype {dtype}: give real and "
                "imaginary part apart, or use ops.soft_threshold, which keeps the phase."
            )
        return x


@keras.saving.register_keras_serializable(package="keras_imaging")
class SupportSelectionThreshold(SoftThreshold):
    """Soft threshold that lets the largest entries of each sample pass as they are.

    Args:
        percent: of the entries of a sample that pass at most, 0 ... 100.
        initial: see `SoftThreshold`.
        coordinatewise: see `SoftThreshold`.
        clamp: see `SoftThreshold`.

    Input shape:
        `(batch, ..., n)`, real, of known sizes.
    Output shape:
        the same.

    Raises:
        ValueError: on a percentage outside 0 ... 100, or as `SoftThreshold`.

    Example:
        >>> layer = SupportSelectionThreshold(percent=50, initial=1.0)
        >>> keras.ops.convert_to_numpy(layer(np.array([[3.0, 0.5, -1.5]]))).tolist()
        [[3.0, 0.0, -0.5]]

    Reference:
        Chen et al., Theoretical linear convergence of unfolded ISTA (NeurIPS 2018), section 3.2.
    """

    def __init__(self, percent: float, initial=0.1, coordinatewise=False, clamp=False, **kwargs):
        selected_count(1, percent)
        super().__init__(initial, coordinatewise, clamp, **kwargs)
        self.percent = percent

    def call(self, inputs):
        return support_selection_threshold(self._checked(inputs), self._threshold(), self.percent)

    def get_config(self):
        return {**super().get_config(), "percent": self.percent}
