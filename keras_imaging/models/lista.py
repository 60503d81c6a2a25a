"""Unfolded ISTA: LISTA, LISTA-CP, LISTA-SS, LISTA-CPSS, TiLISTA, ALISTA."""

import warnings

import keras
import numpy as np
from keras import ops

from keras_imaging.data.sparse import SparseSampler, random_dictionary
from keras_imaging.layers.linear_map import LinearMap, shape_and_values
from keras_imaging.layers.unfolded.ista import (
    ALISTALayer,
    LISTACPLayer,
    LISTALayer,
    initial_step,
    initial_weight,
)
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.unfolded import MeasurementModel
from keras_imaging.operators import solve_analytic_weight
from keras_imaging.operators.matrix import checked_matrix
from keras_imaging.ops.proximal import selected_count
from keras_imaging.silence import Silence

Values = np.ndarray | tuple[int, int]

# Largest distance of W_i . A_i from 1 that passes in silence: the authors' own file is 0.0025 off.
_UNIT_TOLERANCE = 1e-2

# Problems among the samples.
_SAMPLES = 32


class SparseRecovery(MeasurementModel):
    """What the networks share: a dictionary, layers that start at zero, and all their outputs."""

    task = "sparse_recovery"
    not_architecture = (*MeasurementModel.not_architecture, "lam", "return_all_layers")

    def __init__(self, measurements, codes, A, config, weights, name):
        outputs = codes if config["return_all_layers"] else codes[-1]
        super().__init__(measurements, outputs, config, weights=None, name=name)
        if weights is not None:
            self.load_pretrained(weights)
            _, values = shape_and_values(A)
            if values is not None:
                self.check_dictionary(values, weights)

    @property
    def coupled(self) -> bool:
        """Whether the recursion sees A: all but LISTA and LISTA-SS."""
        return self._config.get("coupled", True)

    @property
    def dictionary(self):
        """A, `(m, n)`, as a variable; None unless `coupled`."""
        return self.unfolded[0].forward_map.matrix if self.coupled else None

    def picture_shape(self, input_shape=None):
        """None: measurements are of no picture."""
        return None

    def sample_inputs(self, input_shape=None):
        """Measurements of random sparse codes."""
        A = self.dictionary
        if A is None:
            # B starts as a multiple of A^T.
            B = ops.convert_to_numpy(self.get_layer("input_weight_1").matrix)
            A = B.T / np.linalg.norm(B, axis=1)
        # Random codes are recovered far beyond what is guaranteed.
        with Silence(r"\d+ non-zeros: "):
            sampler = SparseSampler(ops.convert_to_numpy(A), batch_size=_SAMPLES)
        measurements, _ = sampler.batch(0)
        return [{self.inputs[0].name: row[None]} for row in measurements]

    def check_dictionary(self, A: np.ndarray, weights: str) -> None:
        """Raise ValueError unless the weights are for this A.

        Args:
            A: the matrix, `(m, n)`.
            weights: what to call them.
        """
        shape = tuple(self._config["A"])
        if A.shape != shape:
            raise ValueError(
                f"The weights {str(weights)!r} are for A of shape {shape}. Received an A of shape "
                f"{A.shape}: train others with `keras-imaging train lista --matrix FILE`."
            )
        if self.dictionary is None:
            return
        stored = ops.convert_to_numpy(self.dictionary)
        if not np.allclose(stored, A, atol=1e-3):
            raise ValueError(
                f"The weights {str(weights)!r} are for another A: entries differ by up to "
                f"{np.abs(stored - A).max():.3g}. Train others with `keras-imaging train lista "
                f"--matrix FILE`; or give A as its shape, {stored.shape}, to take theirs, in the "
                "attribute `dictionary`."
            )


@keras.saving.register_keras_serializable(package="keras_imaging")
class LISTA(SparseRecovery):
    """Sparse codes from few measurements, y = A x + noise, in a fixed number of learned steps.

    Args:
        A: dictionary `(m, n)`, constant: its values, or its shape if weights are to be loaded.
            None: `data.random_dictionary(250, 500)`.
        num_layers: K.
        coupled: False: x+ = eta(B y + W x), LISTA; True: x+ = eta(x + W (y - A x)), LISTA-CP.
        support_selection: `(p, p_max)` in percent: layer k = 0, 1, ... lets the largest
            min(p (k + 1), p_max) percent of the entries pass: LISTA-SS, LISTA-CPSS.
        tied: one W for all layers.
        share_input_weights: of LISTA and LISTA-SS: one B for all layers, as the reference has it
            even where each layer has its own W.
        lam: thresholds start at lam / L, L = 1.001 ||A||^2.
        coordinate_thresholds: one threshold for each entry.
        return_all_layers: give a list of the codes after every layer.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy.
        name: of the model.

    Input shape:
        `(batch, m)`.
    Output shape:
        `(batch, n)`, or a list of K of them.

    Raises:
        ValueError: on an A that is not a matrix, holds NaN or a zero column; weights of another A;
            fewer than one layer; percentages out of range.

    Example:
        >>> A = random_dictionary(8, 20)
        >>> model = LISTA(A, 4, coupled=True, support_selection=(5.0, 20.0))  # LISTA-CPSS
        >>> tuple(model(np.ones((3, 8), "float32")).shape)
        (3, 20)
        >>> trained = LISTA.from_preset("lista_cpss_16")

    Reference:
        Gregor and LeCun (ICML 2010); Chen, Liu, Wang, Yin (NeurIPS 2018, arXiv 1808.10038).
    """

    presets = {
        "lista_16": {"A": (250, 500)},
        "lista_cp_16": {"A": (250, 500), "coupled": True},
        "lista_ss_16": {"A": (250, 500), "support_selection": (1.2, 12.0)},
        "lista_cpss_16": {"A": (250, 500), "coupled": True, "support_selection": (1.2, 13.0)},
    }

    def __init__(
        self,
        A: Values | None = None,
        num_layers: int = 16,
        coupled: bool = False,
        support_selection: tuple[float, float] | None = None,
        tied: bool = False,
        share_input_weights: bool = True,
        lam: float = 0.4,
        coordinate_thresholds: bool = False,
        return_all_layers: bool = False,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        A, (m, n) = checked_dictionary(A)
        percents = percentages(num_layers, support_selection)
        policy, full = dtype_policies(dtype)
        measurements = keras.Input((m,), dtype=full, name="measurements")
        threshold = lam * initial_step(A)
        W = initial_weight(A)
        if coupled:
            dictionary = LinearMap(A, trainable=False, dtype=policy, name="dictionary")
        else:
            B, W = W, (n, n) if isinstance(A, tuple) else np.eye(n, dtype="float32") - W @ A
        weight = LinearMap(W, dtype=policy, name="weight") if tied else W
        options = {"coordinate_thresholds": coordinate_thresholds, "dtype": policy}
        x, codes = None, []
        for k, percent in enumerate(percents, start=1):
            if coupled:
                layer = LISTACPLayer(
                    dictionary, weight, threshold, lam, percent, name=f"layer_{k}", **options
                )
                x = layer(measurements if x is None else [measurements, x])
            else:
                if k == 1 or not (tied or share_input_weights):
                    drive = LinearMap(B, dtype=policy, name=f"input_weight_{k}")(measurements)
                layer = LISTALayer(weight, threshold, percent, name=f"layer_{k}", **options)
                # The product with zeros keeps W of the first layer in the graph, as it is counted.
                x = layer([drive, ops.zeros_like(drive) if x is None else x])
            codes.append(x)
        config = {
            "A": [m, n],
            "num_layers": num_layers,
            "coupled": coupled,
            "support_selection": support_selection and list(support_selection),
            "tied": tied,
            "share_input_weights": share_input_weights,
            "lam": lam,
            "coordinate_thresholds": coordinate_thresholds,
            "return_all_layers": return_all_layers,
            "dtype": policy.name,
        }
        super().__init__(measurements, codes, A, config, weights, name)


@keras.saving.register_keras_serializable(package="keras_imaging")
class ALISTA(SparseRecovery):
    """LISTA-CPSS with the weight solved from A: two learned numbers a layer.

    x+ = eta(x + alpha W^T (y - A x))

    Args:
        A: see `LISTA`.
        W: analytic weight `(m, n)`: its values or its shape; None solves it where A is given.
        num_layers: K.
        support_selection: see `LISTA`; None: a plain soft threshold.
        train_weight: learn W too, the same for all layers: TiLISTA.
        lam: see `LISTA`.
        return_all_layers: see `LISTA`.
        weights: see `LISTA`.
        dtype: dtype policy.
        name: of the model.

    Input shape:
        `(batch, m)`.
    Output shape:
        `(batch, n)`, or a list of K of them.

    Raises:
        ValueError: as `LISTA`, or if W is of another shape than A.

    Warns:
        UserWarning: if some W_i . A_i differs from 1 by more than 0.01.

    Example:
        >>> model = ALISTA.from_preset("alista_16")
        >>> tuple(model(np.ones((3, 250), "float32")).shape)
        (3, 500)

    Reference:
        Liu, Chen, Wang, Yin, ALISTA (ICLR 2019), equation 15.
    """

    presets = {"alista_16": {"A": (250, 500)}}

    def __init__(
        self,
        A: Values | None = None,
        W: Values | None = None,
        num_layers: int = 16,
        support_selection: tuple[float, float] | None = (1.2, 13.0),
        train_weight: bool = False,
        lam: float = 0.4,
        return_all_layers: bool = False,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        A, (m, n) = checked_dictionary(A)
        if W is None:
            W = A if isinstance(A, tuple) else solve_analytic_weight(A).astype("float32")
        self._check_weight(W, A)
        percents = percentages(num_layers, support_selection)
        policy, full = dtype_policies(dtype)
        measurements = keras.Input((m,), dtype=full, name="measurements")
        dictionary = LinearMap(A, trainable=False, dtype=policy, name="dictionary")
        shape, values = shape_and_values(W)
        transposed = shape[::-1] if values is None else values.T
        weight = LinearMap(transposed, trainable=train_weight, dtype=policy, name="weight")
        threshold = lam * initial_step(A)
        x, codes = None, []
        for k, percent in enumerate(percents, start=1):
            layer = ALISTALayer(
                dictionary,
                weight,
                threshold=threshold,
                lam=lam,
                percent=percent,
                dtype=policy,
                name=f"layer_{k}",
            )
            x = layer(measurements if x is None else [measurements, x])
            codes.append(x)
        config = {
            "A": [m, n],
            "W": [m, n],
            "num_layers": num_layers,
            "support_selection": support_selection and list(support_selection),
            "train_weight": train_weight,
            "lam": lam,
            "return_all_layers": return_all_layers,
            "dtype": policy.name,
        }
        super().__init__(measurements, codes, A, config, weights, name)

    @staticmethod
    def _check_weight(W, A):
        shape, values = shape_and_values(W)
        a_shape, a_values = shape_and_values(A)
        if shape != a_shape:
            raise ValueError(f"W must be of the shape of A, {a_shape}. Received shape {shape}.")
        if values is None or a_values is None:
            return
        distance = np.abs((values * a_values).sum(0) - 1).max()
        if distance > _UNIT_TOLERANCE:
            warnings.warn(
                f"W_i . A_i should be 1 for every column; it differs by up to {distance:.3g}.",
                stacklevel=3,
            )


def tilista(A: Values | None = None, **kwargs) -> ALISTA:
    """TiLISTA: one learned W for all layers, x+ = eta(x + alpha W (y - A x)); W starts at A^T / L.

    Args:
        A: see `LISTA`.
        **kwargs: see `ALISTA`.
    """
    A, shape = checked_dictionary(A)
    # A / L is no analytic weight and need not satisfy its constraint.
    with Silence("W_i . A_i should be 1"):
        W = shape if isinstance(A, tuple) else A * np.float32(initial_step(A))
        return ALISTA(A, W, train_weight=True, **kwargs)


def percentages(num_layers: int, support_selection) -> list[float | None]:
    """Percent of entries that pass in each layer.

    Raises:
        ValueError: if there is no layer or a percentage is out of range.
    """
    if num_layers < 1:
        raise ValueError(f"`num_layers` must be at least 1. Received: num_layers={num_layers}")
    if support_selection is None:
        return [None] * num_layers
    p, p_max = support_selection
    if p_max < p:
        raise ValueError(f"p_max must not be below p. Received: (p, p_max) = ({p}, {p_max})")
    for percent in (p, p_max):
        selected_count(1, percent)
    return [min(p * (k + 1), p_max) for k in range(num_layers)]


def checked_dictionary(A: Values | None) -> tuple[Values, tuple[int, int]]:
    """A, or a random one for None, and its shape.

    Raises:
        ValueError: if A is not a matrix, holds NaN or has a zero column.
    """
    if A is None:
        A = random_dictionary(250, 500)
    shape, values = shape_and_values(A)
    if values is not None:
        A = checked_matrix(values, allow_zero_columns=False)
        if A.dtype.kind == "c":
            raise ValueError(f"A must be real. Received dtype {A.dtype}.")
    else:
        A = shape
    if shape[0] > shape[1]:
        warnings.warn(
            f"A is {shape[0]} x {shape[1]}: with m > n, y = A x is not under-determined.",
            stacklevel=3,
        )
    return A, shape
