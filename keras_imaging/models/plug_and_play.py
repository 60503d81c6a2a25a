"""Plug-and-play restoration as one network: a fixed number of iterations, laid open."""

import keras
import numpy as np

from keras_imaging.data.degradations import one_bit_counts, photon_limited
from keras_imaging.data.images import sample_image
from keras_imaging.data.kspace import image_to_kspace, to_pairs
from keras_imaging.data.patches import with_channels
from keras_imaging.data.picture_parts import fitted, picture_parts
from keras_imaging.data.sampling_masks import random_cartesian_mask
from keras_imaging.layers.unfolded.data_step import PROBLEMS, DataStep
from keras_imaging.models.dncnn import Denoiser
from keras_imaging.models.pretrained import PretrainedModel, dtype_policies
from keras_imaging.steps import admm_step, drs_step, proximal_step

ALGORITHMS = ("admm", "drs", "fbs")

# Of the samples.
_PEAK, _KNOWN, _SIDES = 4, 0.5, (32, 32)


@keras.saving.register_keras_serializable(package="keras_imaging")
class PlugAndPlay(PretrainedModel):
    """`solvers.pnp_admm`, `pnp_drs` or `pnp_fbs` with so many iterations, for servers and phones.

    A graph without a loop: it compiles whole, trains, and converts to LiteRT. The measurement goes
    in, the restored image comes out; the weights are those of the denoiser, once.

    Args:
        denoiser: H: a `Denoiser`, which becomes a part of this model, or its arguments; None is
            `Denoiser()`. Its `value_range` is that of the images of the problem.
        problem: what is measured: `"inpaint"`, `"poisson"`, `"photon"` or `"csmri"`.
        n_iterations: how many.
        algorithm: `"admm"`, `"drs"` or `"fbs"`.
        alpha: the step.
        data_first: the order of ADMM.
        returned: `"denoised"` or `"data"`: which image, see `solvers.pnp_fbs`.
        oversampling: K, of `"photon"`.
        fft_method: of `ops.fft2c`, of `"csmri"`.
        input_shape: `(height, width, channels)` of the image; None where a side is not fixed.
        weights: None, or the path of a file.
        dtype: dtype policy; iterates are in full precision.
        name: name of the model.

    Input shape:
        `{"image": (batch, height, width, channels), "known": (batch, height, width, 1)}`, 1 where a
        pixel is known; counts of photons, or of sensors that fired, `(batch, height, width,
        channels)`; or `{"kspace": (batch, height, width, 2), "mask": (batch, height, width)}`.
    Output shape:
        `(batch, height, width, channels)`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> denoiser = Denoiser({"network": "SimpleCNN", "filters": 4})
        >>> model = PlugAndPlay(denoiser, "inpaint", n_iterations=2)
        >>> image = np.zeros((1, 8, 9, 1), "float32")
        >>> tuple(model({"image": image, "known": image + 1}).shape)
        (1, 8, 9, 1)

    Reference:
        Ryu et al., "Plug-and-Play Methods Provably Converge with Properly Trained Denoisers", ICML
        2019.
    """

    not_architecture = (
        *PretrainedModel.not_architecture,
        *("problem", "n_iterations", "algorithm", "alpha", "data_first", "returned"),
        *("oversampling", "fft_method"),
    )

    def __init__(
        self,
        denoiser: Denoiser | dict | None = None,
        problem: str = "inpaint",
        n_iterations: int = 10,
        algorithm: str = "admm",
        alpha: float = 1.0,
        data_first: bool = False,
        returned: str = "denoised",
        oversampling: int = 8,
        fft_method: str = "auto",
        input_shape: tuple | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        for argument, value, known in (
            ("problem", problem, PROBLEMS),
            ("algorithm", algorithm, ALGORITHMS),
            ("returned", returned, ("denoised", "data")),
        ):
            if value not in known:
                raise ValueError(
                    f"`{argument}` must be one of {known}. Received: {argument}={value!r}"
                )
        if n_iterations < 1:
            raise ValueError(f"`n_iterations` must be at least 1. Received: {n_iterations}")
        policy, full = dtype_policies(dtype)
        if not isinstance(denoiser, keras.Model):
            denoiser = Denoiser(**{**(denoiser or {}), "dtype": policy.name})
        channels = denoiser.input_shape[-1]
        shape = (None, None, channels) if input_shape is None else tuple(input_shape)
        if len(shape) != 3 or shape[-1] != channels or (problem == "csmri" and channels != 1):
            raise ValueError(
                f"`input_shape` must be (height, width, {channels}), and for 'csmri' of one "
                f"channel. Received: input_shape={shape}"
            )
        inputs = {
            key: keras.Input(sides, dtype=full, name=key)
            for key, sides in _measured(problem, shape).items()
        }

        def part(kind):
            layer = DataStep(problem, kind, alpha, oversampling, fft_method, dtype=full, name=kind)
            return lambda x=None: layer(inputs if x is None else {"x": x, **inputs})

        step = _step(algorithm, part, denoiser, data_first)
        state, images = (part("start")(),), {}
        for _ in range(n_iterations):
            state, images = step(*state)
        outputs = images[returned]
        config = {
            "denoiser": _plain(denoiser),
            "problem": problem,
            "n_iterations": n_iterations,
            "algorithm": algorithm,
            "alpha": alpha,
            "data_first": data_first,
            "returned": returned,
            "oversampling": oversampling,
            "fft_method": fft_method,
            "input_shape": list(shape),
            "dtype": policy.name,
        }
        # Of one tensor that itself, as of all networks.
        given = inputs if len(inputs) > 1 else next(iter(inputs.values()))
        super().__init__(given, outputs, config, weights, name or "plug_and_play")

    @property
    def denoiser(self) -> keras.Model:
        """H."""
        return next(layer for layer in self.layers if isinstance(layer, keras.Model))

    def picture_shape(self, input_shape=None):
        """None: what goes in is a measurement."""
        return None

    def sample_inputs(self, input_shape=None):
        """Measurements of parts of the sample picture."""
        shape = next(iter(self.input_shapes(input_shape).values()))
        sides = tuple(side or own for side, own in zip(shape, _SIDES, strict=False))
        channels = self.output_shape[-1]
        picture = with_channels(sample_image(), channels)
        parts = picture_parts(picture, *sides, least=2, most=2)
        rng = np.random.default_rng(0)
        return [self._measurement(fitted(part, (*sides, channels)), rng) for part in parts]

    def _measurement(self, truth, rng):
        problem = self._config["problem"]
        if problem == "inpaint":
            known = rng.random((*truth.shape[:2], 1)) < _KNOWN
            found = {"image": known * (truth / 255), "known": known}
        elif problem == "poisson":
            found = {"counts": photon_limited(truth, _PEAK)}
        elif problem == "photon":
            found = {"ones": one_bit_counts(truth, self._config["oversampling"])}
        else:
            size = truth.shape[:2]
            mask = np.broadcast_to(random_cartesian_mask(size), size)
            kspace = image_to_kspace(truth[..., 0] / 255) * mask
            found = {"kspace": to_pairs(kspace), "mask": mask}
        return {key: np.asarray(value, "float32")[None] for key, value in found.items()}

    def edge_form(self, input_shape=None, expand_groups=True) -> "PlugAndPlay":
        """An equal model of ordinary convolutions, its transforms products with matrices.

        Args:
            input_shape: fixed shapes of the inputs by name; None keeps the model's own.
            expand_groups: there are no grouped convolutions.

        Raises:
            ValueError: if a side is not fixed where there are transforms.
        """
        shape = next(iter(self.input_shapes(input_shape).values()))
        if self._config["problem"] == "csmri" and None in shape:
            raise ValueError(
                "Fourier transforms on phones need a fixed size: give input_shape={'kspace': "
                f"(height, width, 2), 'mask': (height, width)}}. Received: {shape}"
            )
        config = {
            **self.get_config(),
            "denoiser": self.denoiser.edge_form(),
            "fft_method": "matmul",
            "input_shape": (*shape[:2], self.output_shape[-1]),
            "dtype": "float32",
        }
        return PlugAndPlay(**config)

    def check_inputs(self, inputs) -> None:
        """Raise ValueError unless all inputs are there, float, and of as many axes as they have."""
        expected = {tensor.name: len(tensor.shape) for tensor in self.inputs}
        if len(expected) == 1 and not isinstance(inputs, dict):
            inputs = dict.fromkeys(expected, inputs)
        if not isinstance(inputs, dict) or set(inputs) != set(expected):
            raise ValueError(
                f"PlugAndPlay expected the inputs {list(expected)} by name. Received: "
                f"{sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        for key, value in inputs.items():
            dtype = keras.backend.standardize_dtype(value.dtype)
            if "float" not in dtype or len(value.shape) != expected[key]:
                raise ValueError(
                    f"PlugAndPlay expected `{key}` as float, of {expected[key]} axes. Received "
                    f"{dtype} of shape {tuple(value.shape)}."
                )


def _measured(problem, shape):
    """Shapes of what is measured of an image, by name."""
    sides = tuple(shape[:2])
    return {
        "inpaint": {"image": tuple(shape), "known": (*sides, 1)},
        "poisson": {"counts": tuple(shape)},
        "photon": {"ones": tuple(shape)},
        "csmri": {"kspace": (*sides, 2), "mask": sides},
    }[problem]


def _step(algorithm, part, denoiser, data_first):
    """One iteration: from the state to the next one, and to the images by what they are."""
    if algorithm == "fbs":
        descend = part("gradient")

        def step(x):
            # The gradient step is the layer's: it ends where the data term is defined.
            data = descend(x)
            x = proximal_step(None, data, denoiser)
            return (x,), {"denoised": x, "data": data}

        return step
    prox = part("prox")
    if algorithm == "drs":

        def step(z):
            z, x, v = drs_step(z, prox, denoiser)
            return (z,), {"denoised": x, "data": v}

        return step
    first, second = (prox, denoiser) if data_first else (denoiser, prox)
    names = ("data", "denoised") if data_first else ("denoised", "data")

    def step(y, u=0.0):
        x, y, u = admm_step(y, u, first, second)
        return (y, u), dict(zip(names, (x, y), strict=True))

    return step


def _plain(denoiser):
    """The arguments of a denoiser; None of what has none, as the form for phones."""
    if not isinstance(denoiser, Denoiser):
        return None
    config = denoiser.get_config()
    return {key: config[key] for key in ("network", "sigma", "value_range", "span")}
