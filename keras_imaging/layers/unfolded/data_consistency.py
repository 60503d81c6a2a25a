"""Data consistency: an image made to agree with the samples of k-space."""

import keras
from keras import ops

from keras_imaging.layers.unfolded.primal_dual import MRILayer
from keras_imaging.ops.fourier import fft2c, ifft2c


@keras.saving.register_keras_serializable(package="keras_imaging")
class DataConsistency(MRILayer):
    """Sampled k-space of an image is replaced by what was measured, or drawn towards it.

    One coil: F^H of (k + v f) / (1 + v) where the mask is 1, k = F x elsewhere; without noise, f.
    With coils: argmin over z of ||z - x||^2 + v ||A z - f||^2, by conjugate gradients.

    Args:
        noise_level: None: measurements are exact (one coil only). Else v is `1 / noise_level`, a
            positive number, by which an exact sample counts more than the image.
        learn_noise_level: learn v.
        n_iterations: of conjugate gradients, with coils.
        fft_method: of `ops.fft2c`.

    Input shape:
        a dictionary: `"x"`, `(batch, height, width, 2)`, and `"kspace"`, `"mask"`, `"maps"` as of
        `PrimalDualStart`.
    Output shape:
        that of `"x"`.

    Raises:
        ValueError: if the noise level is not positive, or, with coils, None.

    Example:
        >>> mask = np.ones((1, 1, 9), "float32")
        >>> x = f = np.ones((1, 8, 9, 2), "float32")
        >>> tuple(DataConsistency()({"x": x, "kspace": f, "mask": mask}).shape)
        (1, 8, 9, 2)

    Reference:
        Schlemper et al., A deep cascade of convolutional neural networks for dynamic MR image
        reconstruction (2018), equation 8; Aggarwal, Mani, Jacob, MoDL (2019), equation 10.
    """

    def __init__(
        self,
        noise_level: float | None = None,
        learn_noise_level: bool = False,
        n_iterations: int = 10,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if noise_level is not None and not noise_level > 0:
            raise ValueError(
                f"`noise_level` must be positive, or None. Received: noise_level={noise_level}"
            )
        if learn_noise_level and noise_level is None:
            raise ValueError("A noise level that is learned needs a start: give `noise_level`.")
        self.noise_level, self.learn_noise_level = noise_level, learn_noise_level
        self.n_iterations = n_iterations

    def build(self, input_shape):
        if self.noise_level is None and "maps" in input_shape:
            raise ValueError("With coils data consistency needs a `noise_level`.")
        if self.noise_level is not None:
            self.v = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(1 / self.noise_level),
                trainable=self.learn_noise_level,
                autocast=False,
                name="v",
            )

    def call(self, inputs):
        x, f = (ops.cast(inputs[name], self.variable_dtype) for name in ("x", "kspace"))
        if "maps" in inputs:
            A = self.operator(inputs)
            b = x + self.v * A.adjoint(f)
            return A.resolvent(b, ops.convert_to_tensor(self.v), self.n_iterations, tolerance=0)
        mask = ops.expand_dims(ops.cast(inputs["mask"], x.dtype), -1)
        # How much a sample counts beside the image's own k-space.
        share = 1.0 if self.noise_level is None else self.v / (1 + self.v)
        k = fft2c(x, self.fft_method)
        return ifft2c(k + share * mask * (f - k), self.fft_method)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape["x"])

    def get_config(self):
        return {
            **super().get_config(),
            "noise_level": self.noise_level,
            "learn_noise_level": self.learn_noise_level,
            "n_iterations": self.n_iterations,
        }
