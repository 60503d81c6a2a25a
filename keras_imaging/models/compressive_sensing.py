"""Compressive sensing of images: unfolded ISTA with a dictionary of patches."""

import math

import keras
import numpy as np

from keras_imaging.data.sensing import gaussian_measurement_matrix
from keras_imaging.data.sparse import random_dictionary
from keras_imaging.layers.composed_map import ComposedMap
from keras_imaging.layers.linear_map import LinearMap, shape_and_values
from keras_imaging.layers.unfolded.ista import LISTACPLayer, initial_step, initial_weight
from keras_imaging.models.lista import Values, percentages
from keras_imaging.models.pretrained import dtype_policies
from keras_imaging.models.unfolded import MeasurementModel
from keras_imaging.operators.matrix import checked_matrix

_FEATURES, _MEASUREMENTS, _ATOMS = 256, 128, 512


@keras.saving.register_keras_serializable(package="keras_imaging")
class CompressiveSensing(MeasurementModel):
    """Image patches f from few measurements y = Phi f, in a fixed number of learned steps.

    Codes x are found by LISTA-CPSS for A = Phi D, and f = D_K x, where D_K is a learned copy of
    the dictionary D.

    Args:
        phi: measurement matrix Phi `(m, f)`, constant: its values, or its shape if weights are to
            be loaded. None: `data.gaussian_measurement_matrix(128, 256)`.
        dictionary: D `(f, n)`, constant, likewise, such as of `data.dictionary_learning`. None:
            `data.random_dictionary(256, 512)`.
        num_layers: K.
        support_selection: `(p, p_max)`, see `LISTA`; None: a plain soft threshold.
        tied: one W for all layers.
        lam: thresholds start at lam / L, L = 1.001 ||A||^2.
        return_all_layers: give a list of the patches after every layer, by D before the last one.
        weights: None, `"pretrained"`, the name of shipped weights, or the path of a file.
        dtype: dtype policy.
        name: of the model.

    Input shape:
        `(batch, m)`: measurements of patches without their mean, in 0..1 units.
    Output shape:
        `(batch, f)`, or a list of K of them.

    Raises:
        ValueError: on matrices that are complex, hold NaN, do not fit each other, or whose product
            has a zero column; fewer than one layer; percentages out of range.

    Example:
        >>> model = CompressiveSensing.from_preset("lista_cs_50")
        >>> tuple(model(np.zeros((3, 128), "float32")).shape)
        (3, 256)

    Reference:
        Chen, Liu, Wang, Yin (NeurIPS 2018, arXiv 1808.10038), section 4.2.
    """

    task = "sensing"
    not_architecture = (*MeasurementModel.not_architecture, "lam", "return_all_layers")

    presets = {
        f"lista_cs_{rate}": {"phi": (m, _FEATURES), "dictionary": (_FEATURES, _ATOMS)}
        for rate, m in ((50, 128), (25, 64), (10, 26))
    }

    def __init__(
        self,
        phi: Values | None = None,
        dictionary: Values | None = None,
        num_layers: int = 16,
        support_selection: tuple[float, float] | None = (1.2, 13.0),
        tied: bool = True,
        lam: float = 0.4,
        return_all_layers: bool = False,
        weights: str | None = None,
        dtype: str | None = None,
        name: str | None = None,
    ):
        if phi is None:
            phi = gaussian_measurement_matrix(_MEASUREMENTS, _FEATURES)
        if dictionary is None:
            dictionary = random_dictionary(_FEATURES, _ATOMS)
        A, (m, f, n) = _product(phi, dictionary)
        percents = percentages(num_layers, support_selection)
        policy, full = dtype_policies(dtype)
        measurements = keras.Input((m,), dtype=full, name="measurements")
        atoms = LinearMap(dictionary, trainable=False, dtype=policy, name="dictionary")
        sensing = LinearMap(phi, trainable=False, dtype=policy, name="phi")
        forward = ComposedMap(sensing, atoms, dtype=policy, name="phi_dictionary")
        weight = initial_weight(A)
        if tied:
            weight = LinearMap(weight, dtype=policy, name="weight")
        threshold = lam * initial_step(A)
        x, codes = None, []
        for k, percent in enumerate(percents, start=1):
            layer = LISTACPLayer(
                forward, weight, threshold, lam, percent, dtype=policy, name=f"layer_{k}"
            )
            x = layer(measurements if x is None else [measurements, x])
            codes.append(x)
        _, values = shape_and_values(dictionary)
        # Files number layers by class: a LinearMap would have another name with all layers' patches
        # than without.
        patches = keras.layers.Dense(
            f,
            use_bias=False,
            kernel_initializer="zeros" if values is None else keras.initializers.Constant(values.T),
            dtype=full,
            name="synthesis",
        )(x)
        if return_all_layers:
            patches = [*(atoms(x) for x in codes[:-1]), patches]
        config = {
            "phi": [m, f],
            "dictionary": [f, n],
            "num_layers": num_layers,
            "support_selection": support_selection and list(support_selection),
            "tied": tied,
            "lam": lam,
            "return_all_layers": return_all_layers,
            "dtype": policy.name,
        }
        super().__init__(measurements, patches, config, weights, name)

    @property
    def synthesis(self) -> keras.layers.Dense:
        """D_K, its kernel transposed: patches from the last layer's codes."""
        return self.get_layer("synthesis")

    @property
    def dictionary(self) -> LinearMap:
        """D: patches from the codes of the layers before the last."""
        return self.unfolded[0].forward_map.inner

    @property
    def measurement_matrix(self) -> np.ndarray:
        """Phi, `(m, f)`."""
        return keras.ops.convert_to_numpy(self.unfolded[0].forward_map.outer.matrix)

    def picture_shape(self, input_shape=None):
        """That of a patch, if patches are square."""
        side = math.isqrt(self._config["phi"][1])
        return (side, side, 1) if side**2 == self._config["phi"][1] else None

    def input_of(self, picture, rng):
        """The measurements of a patch without its mean."""
        patch = self.prepare(picture).ravel()
        return {self.inputs[0].name: (self.measurement_matrix @ (patch - patch.mean()))[None]}


def _product(phi, dictionary):
    """A = Phi D, or its shape if only shapes are known; m, f, n."""
    ((m, f), phi), ((inner, n), dictionary) = map(shape_and_values, (phi, dictionary))
    if f != inner:
        raise ValueError(
            f"Phi must have as many columns as D has rows. Received shapes {(m, f)} and "
            f"{(inner, n)}."
        )
    if phi is None or dictionary is None:
        return (m, n), (m, f, n)
    A = checked_matrix(phi @ dictionary, "Phi D", allow_zero_columns=False)
    if A.dtype.kind == "c":
        raise ValueError(f"Phi and D must be real. Received dtypes {phi.dtype}, {dictionary.dtype}")
    return A, (m, f, n)
