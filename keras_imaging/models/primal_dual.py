"""Primal-dual networks for MR reconstruction: PDHG-CSnet, CP-net, PD-net."""

from collections.abc import Callable

import keras
import numpy as np

from keras_imaging.data.coil_maps import birdcage_maps
from keras_imaging.data.head_phantom import head_phantom
from keras_imaging.data.kspace import to_pairs
from keras_imaging.data.mri import simulate_kspace, synthetic_phase
from keras_imaging.data.sampling_masks import random_cartesian_mask
from keras_imaging.layers.unfolded import CPLayer, PDHGLayer, PrimalDualLayer, PrimalDualStart
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.unfolded import UnfoldedModel

NAMES = ("kspace", "mask", "maps")

# Of the sample scan, where the model leaves them open.
_SAMPLE_SIZE, _SAMPLE_COILS = (96, 96), 4


class _PrimalDualNetwork(UnfoldedModel):
    """K iterations of a primal-dual method with learned parts, from k-space to the image.

    Inputs by name, `{"kspace", "mask"}`, and with `multi_coil` also `"maps"`; or a list of them in
    this order. A subclass says which layer an iteration is.
    """

    task = "mri"
    not_architecture = (
        *UnfoldedModel.not_architecture,
        "fft_method",
        "return_all_layers",
        "block_init",
        "remat",
    )

    def __init__(
        self,
        make_layer: Callable[[str, bool], keras.layers.Layer],
        start: dict,
        config: dict,
        weights: str | None,
        name: str | None,
    ):
        num_iterations = config["num_iterations"]
        if not num_iterations >= 1:
            raise ValueError(f"`num_iterations` must be at least 1. Received: {num_iterations}")
        policy, full = dtype_policies(config["dtype"])
        inputs = _inputs(config["input_shape"], config["multi_coil"], full)
        started = PrimalDualStart(
            config["initial"],
            config["normalize"],
            fft_method=config["fft_method"],
            dtype=policy,
            name="start",
            **start,
        )(inputs)
        measured = {**inputs, "kspace": started["kspace"]}
        state = {key: started[key] for key in ("x", "x_bar", "d")}
        layer, outputs = None, []
        for k in range(1, num_iterations + 1):
            if layer is None or not config["shared_weights"]:
                layer = make_layer(
                    "iteration" if config["shared_weights"] else f"iteration_{k}",
                    # What the last one extrapolates is not used.
                    k < num_iterations,
                )
            state = layer({**measured, **state})
            outputs.append(state["x"][..., :2] * started["scale"])
        outputs = outputs if config["return_all_layers"] else outputs[-1]
        shape = config["input_shape"]
        config = {**config, "input_shape": shape and list(shape), "dtype": policy.name}
        super().__init__(inputs, outputs, config, weights, name)

    def picture_shape(self, input_shape=None):
        """None: what goes in is k-space."""
        return None

    def sample_inputs(self, input_shape=None):
        """A phantom with phase, scanned four times too fast; with birdcage coils, if several."""
        shapes = self.input_shapes(input_shape)
        sides = zip(shapes["kspace"][-3:-1], _SAMPLE_SIZE, strict=True)
        size = tuple(side or sample for side, sample in sides)
        image = head_phantom(size) * np.exp(1j * synthetic_phase(size, 0))
        mask = np.broadcast_to(random_cartesian_mask(size), size)
        maps = None
        if "maps" in shapes:
            maps = birdcage_maps(size, shapes["maps"][0] or _SAMPLE_COILS)
        sample = {"kspace": to_pairs(simulate_kspace(image, mask, maps)), "mask": mask}
        if maps is not None:
            sample["maps"] = to_pairs(maps)
        return [{name: array[None].astype("float32") for name, array in sample.items()}]

    def shapes_of_size(self, height, width):
        """Of k-space, mask and maps; the number of coils stays as it is."""
        size = (height, width)
        own = self.input_shapes()
        return {n: size if n == "mask" else (*s[:-3], *size, 2) for n, s in own.items()}

    def further_signatures(self):
        """Of a network for coils: `one_coil`, k-space of a single one, without maps."""
        own = self.input_shapes()
        if "maps" not in own:
            return {}

        def run(inputs):
            inputs = {name: keras.ops.convert_to_tensor(x) for name, x in inputs.items()}
            kspace = keras.ops.expand_dims(inputs["kspace"], 1)
            real = keras.ops.ones_like(kspace[..., :1])
            maps = keras.ops.concatenate([real, 0 * real], axis=-1)
            return self({"kspace": kspace, "mask": inputs["mask"], "maps": maps}, training=False)

        if own["kspace"][0] not in (None, 1):
            return {}
        return {"one_coil": ({"kspace": own["kspace"][1:], "mask": own["mask"]}, run)}

    def edge_form(self, input_shape=None, expand_groups=True):
        """An equal model for phones: transforms by products with matrices.

        Args:
            input_shape: fixed shapes of the inputs by name; None keeps the model's own.
            expand_groups: there are no grouped convolutions.

        Raises:
            ValueError: if a side is not fixed: the matrices depend on them.
        """
        shape = self.input_shapes(input_shape)["kspace"]
        if None in shape:
            raise ValueError(
                "Fourier transforms on phones need a fixed size: give input_shape={'kspace': (..., "
                f"height, width, 2), 'mask': (height, width)}}. Received: {shape}"
            )
        config = {**self.get_config(), "fft_method": "matmul", "dtype": "float32"}
        twin = type(self)(**{**config, "input_shape": shape})
        twin.set_weights(self.get_weights())
        return twin

    def __call__(self, inputs, *args, **kwargs):
        inputs = self._named(inputs)
        # Before Keras compares shapes, and says less.
        self.check_inputs(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(self._named(inputs), training=training, mask=mask)

    def check_inputs(self, inputs):
        """Raise ValueError on k-space, mask or maps of a wrong kind or shape."""
        cls = type(self).__name__
        for key, value in inputs.items():
            dtype = keras.backend.standardize_dtype(value.dtype)
            if "float" not in dtype:
                raise ValueError(
                    f"{cls} expected `{key}` as float. Received dtype {dtype}: stack real and "
                    "imaginary part along a last axis of 2, in float32."
                )
        multi_coil = self._config["multi_coil"]
        kspace, mask = (tuple(inputs[key].shape) for key in NAMES[:2])
        if len(kspace) != 4 + multi_coil or kspace[-1] not in (2, None):
            turned = " Its axis 1 is 2: move it to the end." if 2 in kspace[1:2] else ""
            coils = "coils, " if multi_coil else ""
            raise ValueError(
                f"{cls}(multi_coil={multi_coil}) expected `kspace` of shape (batch, {coils}height, "
                f"width, 2), real and imaginary part last. Received shape {kspace}.{turned}"
            )
        known = [None, *kspace[-3:-1]]
        if len(mask) != 3 or any(
            None not in (a, b) and a not in (1, b) for a, b in zip(mask, known, strict=True)
        ):
            raise ValueError(
                f"{cls} expected `mask` of shape (batch, height, width), sides of 1 standing for "
                f"all, for k-space of shape {kspace}. Received shape {mask}."
            )
        if multi_coil:
            maps = tuple(inputs["maps"].shape)
            if len(maps) != 5 or any(
                None not in (a, b) and a != b for a, b in zip(maps[1:], kspace[1:], strict=True)
            ):
                raise ValueError(
                    f"{cls} expected `maps` of the coils and the size of k-space, {kspace}. "
                    f"Received shape {maps}."
                )

    def _named(self, inputs):
        names = NAMES[: 2 + self._config["multi_coil"]]
        if isinstance(inputs, list | tuple) and len(inputs) == len(names):
            inputs = dict(zip(names, inputs, strict=True))
        if not isinstance(inputs, dict) or set(inputs) != set(names):
            raise ValueError(
                f"{type(self).__name__}(multi_coil={self._config['multi_coil']}) expected the "
                f"inputs {names} by name, or a list of them. Received: "
                f"{sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__}"
            )
        inputs = dict(inputs)
        kspace = inputs["kspace"]
        # One coil may be written as an axis of length 1.
        if len(names) == 2 and len(kspace.shape) == 5 and kspace.shape[1] == 1:
            inputs["kspace"] = kspace[:, 0]
        return inputs


@keras.saving.register_keras_serializable(package="keras_imaging")
class PDHGCSNet(_PrimalDualNetwork):
    """PDHG-CSnet: the primal-dual hybrid gradient method with a learned proximal map of the image.

    For research. Not a medical device.

    Args:
        num_iterations: K.
        filters: of the convolutions, see `layers.ComplexConvBlock`.
        depth: convolutions in a block.
        initial: `"adjoint"`, start from the zero-filled image, or `"zeros"`.
        normalize: divide by the largest value of the zero-filled image within the network, and
            multiply at its end.
        shared_weights: one set of weights for all iterations.
        bounded_steps: see `layers.PDHGLayer`.
        block_init: `"classical"` or `"glorot"`, see `layers.ComplexConvBlock`.
        multi_coil: take several coils and their maps.
        return_all_layers: give a list of the images after every iteration.
        fft_method: of `ops.fft2c`; `"matmul"` is what phones can run.
        remat: compute each iteration again in the backward pass, to train in less memory.
        input_shape: of k-space, `(height, width, 2)`, with `multi_coil` `(coils, height, width,
            2)`; None for any.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy.
        name: of the model.

    Input shape:
        `{"kspace": (batch, height, width, 2), "mask": (batch, height, width)}`, or with coils
        `{"kspace": (batch, coils, height, width, 2), "mask": ..., "maps": as "kspace"}`. Sides of
        length 1 of a mask stand for all, where `input_shape` is not given.
    Output shape:
        `(batch, height, width, 2)`: real and imaginary part; or a list of K of them.

    Raises:
        ValueError: on numbers below 1, or names that there are not.

    Example:
        >>> model = PDHGCSNet(num_iterations=2, filters=8)
        >>> kspace, mask = np.zeros((1, 16, 20, 2), "float32"), np.ones((1, 1, 20), "float32")
        >>> tuple(model({"kspace": kspace, "mask": mask}).shape)
        (1, 16, 20, 2)

    Reference:
        Cheng, Wang, Ying, Liang, Model learning: primal dual networks for fast MR imaging (MICCAI
        2019, arXiv 1908.02426).
    """

    presets = {"pdhg_csnet": {}, "pdhg_csnet_small": {"num_iterations": 5}}

    def __init__(
        self,
        num_iterations: int = 10,
        filters: int = 32,
        depth: int = 3,
        initial: str = "adjoint",
        normalize: bool = True,
        shared_weights: bool = False,
        bounded_steps: bool = False,
        block_init: str = "classical",
        multi_coil: bool = False,
        return_all_layers: bool = False,
        fft_method: str = "auto",
        remat: bool = False,
        input_shape: tuple[int | None, ...] | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        config = {
            "num_iterations": num_iterations,
            "filters": filters,
            "depth": depth,
            "initial": initial,
            "normalize": normalize,
            "shared_weights": shared_weights,
            "bounded_steps": bounded_steps,
            "block_init": block_init,
            "multi_coil": multi_coil,
            "return_all_layers": return_all_layers,
            "fft_method": fft_method,
            "remat": remat,
            "input_shape": input_shape,
            "dtype": dtype,
        }
        layer = {key: config[key] for key in ("bounded_steps", *_OF_ALL_LAYERS)}
        super().__init__(
            lambda name, more: PDHGLayer(**layer, extrapolate=more, name=name),
            {},
            config,
            weights=weights,
            name=name,
        )


@keras.saving.register_keras_serializable(package="keras_imaging")
class CPNet(_PrimalDualNetwork):
    """CP-net: as PDHG-CSnet, with the proximal map of the dual variable learned, too.

    For research. Not a medical device.

    Args:
        dual_skip: `"prox"` or `"identity"`, see `layers.CPLayer`.
        num_iterations, filters, depth, initial, normalize, shared_weights, bounded_steps,
            block_init, multi_coil, return_all_layers, fft_method, remat, input_shape, weights,
            dtype, name: as of `PDHGCSNet`.

    Input shape:
        as of `PDHGCSNet`.
    Output shape:
        as of `PDHGCSNet`.

    Raises:
        ValueError: as `PDHGCSNet`, or on another `dual_skip`.

    Example:
        >>> model = CPNet(num_iterations=2, filters=8, multi_coil=True)
        >>> kspace, mask = np.zeros((1, 4, 16, 20, 2), "float32"), np.ones((1, 1, 20), "float32")
        >>> tuple(model({"kspace": kspace, "mask": mask, "maps": kspace}).shape)
        (1, 16, 20, 2)

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019).
    """

    presets = {"cp_net": {}, "cp_net_small": {"num_iterations": 5}}

    def __init__(
        self,
        num_iterations: int = 10,
        filters: int = 32,
        depth: int = 3,
        dual_skip: str = "prox",
        initial: str = "adjoint",
        normalize: bool = True,
        shared_weights: bool = False,
        bounded_steps: bool = False,
        block_init: str = "classical",
        multi_coil: bool = False,
        return_all_layers: bool = False,
        fft_method: str = "auto",
        remat: bool = False,
        input_shape: tuple[int | None, ...] | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        config = {
            "num_iterations": num_iterations,
            "filters": filters,
            "depth": depth,
            "dual_skip": dual_skip,
            "initial": initial,
            "normalize": normalize,
            "shared_weights": shared_weights,
            "bounded_steps": bounded_steps,
            "block_init": block_init,
            "multi_coil": multi_coil,
            "return_all_layers": return_all_layers,
            "fft_method": fft_method,
            "remat": remat,
            "input_shape": input_shape,
            "dtype": dtype,
        }
        layer = {key: config[key] for key in ("dual_skip", "bounded_steps", *_OF_ALL_LAYERS)}
        super().__init__(
            lambda name, more: CPLayer(**layer, extrapolate=more, name=name),
            {},
            config,
            weights=weights,
            name=name,
        )


@keras.saving.register_keras_serializable(package="keras_imaging")
class PDNet(_PrimalDualNetwork):
    """PD-net: both updates are networks; with memory, Learned Primal-Dual.

    For research. Not a medical device.

    Args:
        num_primal: images that an iteration hands on.
        num_dual: k-spaces that an iteration hands on.
        num_iterations, filters, depth, initial, normalize, shared_weights, block_init, multi_coil,
            return_all_layers, fft_method, remat, input_shape, weights, dtype, name: as of
            `PDHGCSNet`.

    Input shape:
        as of `PDHGCSNet`.
    Output shape:
        as of `PDHGCSNet`.

    Raises:
        ValueError: as `PDHGCSNet`; or for `initial="zeros"` with `block_init="classical"`, from
            which nothing could be learned.

    Example:
        >>> model = PDNet.from_preset("learned_primal_dual", weights=None, num_iterations=1)
        >>> kspace, mask = np.zeros((1, 16, 20, 2), "float32"), np.ones((1, 1, 20), "float32")
        >>> tuple(model({"kspace": kspace, "mask": mask}).shape)
        (1, 16, 20, 2)

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019); Adler and Oktem, Learned primal-dual reconstruction
        (2018, arXiv 1707.06474).
    """

    presets = {
        "pd_net": {},
        "pd_net_small": {"num_iterations": 5},
        "pd_net_small_coils": {"num_iterations": 5, "multi_coil": True},
        "learned_primal_dual": {
            "num_primal": 5,
            "num_dual": 5,
            "initial": "zeros",
            "block_init": "glorot",
        },
    }

    def __init__(
        self,
        num_iterations: int = 10,
        filters: int = 32,
        depth: int = 3,
        num_primal: int = 1,
        num_dual: int = 1,
        initial: str = "adjoint",
        normalize: bool = True,
        shared_weights: bool = False,
        block_init: str = "classical",
        multi_coil: bool = False,
        return_all_layers: bool = False,
        fft_method: str = "auto",
        remat: bool = False,
        input_shape: tuple[int | None, ...] | None = None,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        if min(num_primal, num_dual) < 1:
            raise ValueError(
                "`num_primal` and `num_dual` must be at least 1. Received: "
                f"{num_primal}, {num_dual}"
            )
        if initial == "zeros" and block_init == "classical":
            raise ValueError(
                "From zeros with zero kernels every gradient is zero: take initial='adjoint', or "
                "block_init='glorot'."
            )
        config = {
            "num_iterations": num_iterations,
            "filters": filters,
            "depth": depth,
            "num_primal": num_primal,
            "num_dual": num_dual,
            "initial": initial,
            "normalize": normalize,
            "shared_weights": shared_weights,
            "block_init": block_init,
            "multi_coil": multi_coil,
            "return_all_layers": return_all_layers,
            "fft_method": fft_method,
            "remat": remat,
            "input_shape": input_shape,
            "dtype": dtype,
        }
        memory = {"num_primal": num_primal, "num_dual": num_dual}
        layer = {**memory, **{key: config[key] for key in _OF_ALL_LAYERS}}
        super().__init__(
            lambda name, _: PrimalDualLayer(**layer, name=name),
            memory,
            config,
            weights=weights,
            name=name,
        )


_OF_ALL_LAYERS = ("filters", "depth", "block_init", "remat", "fft_method", "dtype")


def _inputs(input_shape, multi_coil, dtype):
    """Symbolic inputs by name."""
    shape = tuple(input_shape or (*(None,) * (2 + multi_coil), 2))
    if len(shape) != 3 + multi_coil or shape[-1] != 2:
        raise ValueError(
            f"`input_shape` must be {'(coils, ' if multi_coil else '('}height, width, 2) for "
            f"multi_coil={multi_coil}. Received: input_shape={input_shape}"
        )
    shapes = {"kspace": shape, "mask": shape[-3:-1]}
    if multi_coil:
        shapes["maps"] = shape
    return {name: keras.Input(shape, dtype=dtype, name=name) for name, shape in shapes.items()}
