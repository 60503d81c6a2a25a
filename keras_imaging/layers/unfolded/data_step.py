"""The half of a plug-and-play iteration that looks at the measurement."""

import keras
from keras import ops

from keras_imaging.layers.full_precision import FullPrecisionLayer
from keras_imaging.operators import (
    DataTerm,
    Gaussian,
    MaskedFourier,
    Poisson,
    Quanta,
    RealImages,
    Sampling,
)

PROBLEMS = ("inpaint", "poisson", "photon", "csmri")
KINDS = ("prox", "gradient", "start")


@keras.saving.register_keras_serializable(package="keras_imaging")
class DataStep(FullPrecisionLayer):
    """The proximal map of a data term, a step down its gradient, or an image to begin with.

    Args:
        problem: which data term: `"inpaint"`, `"poisson"`, `"photon"` or `"csmri"`, see
            `operators.Gaussian`, `Poisson`, `Quanta`.
        kind: `"prox"`: prox_{alpha f}(x); `"gradient"`: x - alpha grad f(x), drawn to where f is
            defined; `"start"`: that of f, which does not look at x.
        alpha: the step.
        oversampling: K, of `"photon"`.
        fft_method: of `ops.fft2c`, of `"csmri"`.
        **kwargs: of `keras.layers.Layer`.

    Input shape:
        a dictionary: `"x"`, `(batch, height, width, channels)`, but for `"start"`, and what was
        measured: `"image"` and `"known"`, 1 where a pixel is known, `(batch, height, width, 1)`;
        `"counts"`; `"ones"`; or `"kspace"`, `(batch, height, width, 2)`, and `"mask"`, `(batch,
        height, width)`.
    Output shape:
        `(batch, height, width, channels)`; for `"csmri"` one channel.

    Raises:
        ValueError: on another problem or kind, or an alpha that is not positive.

    Example:
        >>> counts = np.ones((1, 4, 5, 1), "float32")
        >>> tuple(DataStep("poisson")({"x": counts, "counts": counts}).shape)
        (1, 4, 5, 1)

    Reference:
        `steps.splitting`.
    """

    def __init__(
        self,
        problem: str = "inpaint",
        kind: str = "prox",
        alpha: float = 1.0,
        oversampling: int = 8,
        fft_method: str = "auto",
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if problem not in PROBLEMS:
            raise ValueError(f"`problem` must be one of {PROBLEMS}. Received: problem={problem!r}")
        if kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}. Received: kind={kind!r}")
        if not alpha > 0:
            raise ValueError(f"`alpha` must be positive. Received: alpha={alpha}")
        self.problem, self.kind, self.alpha = problem, kind, alpha
        self.oversampling, self.fft_method = oversampling, fft_method

    def call(self, inputs):
        inputs = {name: ops.cast(value, self.variable_dtype) for name, value in inputs.items()}
        f = self._data_term(inputs)
        if self.kind == "start":
            return f.start()
        if self.kind == "prox":
            return f.prox(inputs["x"], self.alpha)
        return f.project(inputs["x"] - self.alpha * f.gradient(inputs["x"]))

    def _data_term(self, inputs) -> DataTerm:
        if self.problem == "poisson":
            return Poisson(inputs["counts"])
        if self.problem == "photon":
            return Quanta(inputs["ones"], self.oversampling)
        if self.problem == "csmri":
            fourier = MaskedFourier(
                inputs["mask"], dtype=self.variable_dtype, fft_method=self.fft_method
            )
            sides = tuple(inputs["kspace"].shape[1:3])
            # What was not sampled does not count, whatever k-space holds there.
            y = inputs["kspace"] * inputs["mask"][..., None]
            return Gaussian(fourier @ RealImages(sides, self.variable_dtype), y)
        A = Sampling(inputs["known"], tuple(inputs["image"].shape[1:]), self.variable_dtype)
        return Gaussian(A, A(inputs["image"]))

    def compute_output_shape(self, input_shape):
        if "x" in input_shape:
            return tuple(input_shape["x"])
        if self.problem == "csmri":
            return (*input_shape["kspace"][:-1], 1)
        return tuple(next(input_shape[n] for n in ("image", "counts", "ones") if n in input_shape))

    def get_config(self):
        return {
            **super().get_config(),
            "problem": self.problem,
            "kind": self.kind,
            "alpha": self.alpha,
            "oversampling": self.oversampling,
            "fft_method": self.fft_method,
        }
