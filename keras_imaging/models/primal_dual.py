"""Primal-dual networks for MR reconstruction: PDHG-CSnet, CP-net, PD-net."""

from collections.abc import Callable

import keras

from keras_imaging.layers.unfolded import CPLayer, PDHGLayer, PrimalDualLayer, PrimalDualStart
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.unfolded import UnfoldedModel

NAMES = ("kspace", "mask", "maps")


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
    )

    def __init__(
        self,
        make_layer: Callable[[str], keras.layers.Layer],
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
                layer = make_layer("iteration" if config["shared_weights"] else f"iteration_{k}")
            state = layer({**measured, **state})
            outputs.append(state["x"][..., :2] * started["scale"])
        outputs = outputs if config["return_all_layers"] else outputs[-1]
        config = {**config, "input_shape": config["input_shape"] and list(config["input_shape"])}
        super().__init__(inputs, outputs, config, weights, name)

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
        input_shape: `(height, width)`, with `multi_coil` `(coils, height, width)`; None for any.
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

    presets = {"pdhg_csnet": {}}

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
            "input_shape": input_shape,
            "dtype": dtype,
        }
        layer = {key: config[key] for key in ("bounded_steps", *_OF_ALL_LAYERS)}
        super().__init__(
            lambda name: PDHGLayer(**layer, name=name), {}, config, weights=weights, name=name
        )


@keras.saving.register_keras_serializable(package="keras_imaging")
class CPNet(_PrimalDualNetwork):
    """CP-net: as PDHG-CSnet, with the proximal map of the dual variable learned, too.

    For research. Not a medical device.

    Args:
        dual_skip: `"prox"` or `"identity"`, see `layers.CPLayer`.
        num_iterations, filters, depth, initial, normalize, shared_weights, bounded_steps,
            block_init, multi_coil, return_all_layers, fft_method, input_shape, weights, dtype,
            name: as of `PDHGCSNet`.

    Input shape:
        as of `PDHGCSNet`.
    Output shape:
        as of `PDHGCSNet`.

    Raises:
        ValueError: as `PDHGCSNet`.

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019).
    """

    presets = {"cp_net": {}}

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
            "input_shape": input_shape,
            "dtype": dtype,
        }
        layer = {key: config[key] for key in ("dual_skip", "bounded_steps", *_OF_ALL_LAYERS)}
        super().__init__(
            lambda name: CPLayer(**layer, name=name), {}, config, weights=weights, name=name
        )


@keras.saving.register_keras_serializable(package="keras_imaging")
class PDNet(_PrimalDualNetwork):
    """PD-net: both updates are networks; with memory, Learned Primal-Dual.

    For research. Not a medical device.

    Args:
        num_primal: images that an iteration hands on.
        num_dual: k-spaces that an iteration hands on.
        num_iterations, filters, depth, initial, normalize, shared_weights, block_init, multi_coil,
            return_all_layers, fft_method, input_shape, weights, dtype, name: as of `PDHGCSNet`.

    Input shape:
        as of `PDHGCSNet`.
    Output shape:
        as of `PDHGCSNet`.

    Raises:
        ValueError: as `PDHGCSNet`; or for `initial="zeros"` with `block_init="classical"`, from
            which nothing could be learned.

    Reference:
        Cheng, Wang, Ying, Liang (MICCAI 2019); Adler and Oktem, Learned primal-dual reconstruction
        (2018, arXiv 1707.06474).
    """

    presets = {
        "pd_net": {},
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
            "input_shape": input_shape,
            "dtype": dtype,
        }
        memory = {"num_primal": num_primal, "num_dual": num_dual}
        layer = {**memory, **{key: config[key] for key in _OF_ALL_LAYERS}}
        super().__init__(
            lambda name: PrimalDualLayer(**layer, name=name),
            memory,
            config,
            weights=weights,
            name=name,
        )


_OF_ALL_LAYERS = ("filters", "depth", "block_init", "fft_method", "dtype")


def _inputs(input_shape, multi_coil, dtype):
    """Symbolic inputs by name."""
    shape = tuple(input_shape or (None,) * (2 + multi_coil))
    if len(shape) != 2 + multi_coil:
        raise ValueError(
            f"`input_shape` must be {'(coils, height, width)' if multi_coil else '(height, width)'}"
            f" for multi_coil={multi_coil}. Received: input_shape={input_shape}"
        )
    shapes = {"kspace": (*shape, 2), "mask": shape[-2:]}
    if multi_coil:
        shapes["maps"] = (*shape, 2)
    return {name: keras.Input(shape, dtype=dtype, name=name) for name, shape in shapes.items()}
