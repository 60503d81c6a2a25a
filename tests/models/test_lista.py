import golden
import keras
import numpy as np
import pytest
from harness import check_model, noise, to_numpy

from keras_imaging.data import random_dictionary
from keras_imaging.models import ALISTA, LISTA, tilista
from keras_imaging.models.lista import percentages
from keras_imaging.ops.proximal import selected_count
from keras_imaging.solvers import ista

UNFOLDED = {
    "lista_tied": {"tied": True},
    "lista_untied": {},
    "lista_ss_tied": {"tied": True, "selects": True},
    "lista_ss_untied": {"selects": True},
    "lista_cp_tied": {"coupled": True, "tied": True},
    "lista_cp_untied": {"coupled": True},
    "lista_cpss_tied": {"coupled": True, "tied": True, "selects": True},
    "lista_cpss_tied_init": {"coupled": True, "tied": True, "selects": True},
    "lista_cpss_untied": {"coupled": True, "selects": True},
    "lista_cpss_coord": {"coupled": True, "selects": True, "coordinate_thresholds": True},
}


def fill(model, arrays):
    """Weights of the reference, which names them by layer."""
    for k, layer in enumerate(model.unfolded, start=1):
        theta = arrays[f"w_theta_{k}"]
        layer.threshold.theta.assign(theta.reshape(layer.threshold.theta.shape))
        weight = layer.backward_map if isinstance(model, LISTA) and model.coupled else layer.weight
        name = f"w_W_{k}" if f"w_W_{k}" in arrays else "w_W"
        if name in arrays:
            weight.matrix.assign(arrays[name])
        if hasattr(layer, "step_size"):
            layer.step_size.alpha.assign(arrays[f"w_alpha_{k}"])
    if "w_B" in arrays:
        model.get_layer("input_weight_1").matrix.assign(arrays["w_B"])


def compare(model, arrays):
    layers = model(arrays["y"].T)
    for ours, reference in zip(layers, arrays["x_layers"], strict=True):
        np.testing.assert_allclose(to_numpy(ours), reference.T, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", UNFOLDED)
def test_lista_goldens(name):
    arrays = golden.load(f"lista/{name}")
    options = dict(UNFOLDED[name])
    selection = None
    if options.pop("selects", False):
        selection = (float(arrays["cfg_percent"]), float(arrays["cfg_max_percent"]))
    model = LISTA(
        arrays["A"],
        int(arrays["cfg_T"]),
        support_selection=selection,
        lam=float(arrays["cfg_lam"]),
        return_all_layers=True,
        **options,
    )
    if name.endswith("init"):
        start = [to_numpy(w) for w in model.trainable_variables]
        fill(model, arrays)
        for ours, reference in zip(start, model.trainable_variables, strict=True):
            np.testing.assert_allclose(ours, to_numpy(reference), rtol=0, atol=1e-6)
    fill(model, arrays)
    compare(model, arrays)


def test_alista_golden():
    arrays = golden.load("lista/alista")
    model = ALISTA(
        arrays["A"],
        arrays["W_analytic"],
        num_layers=4,
        support_selection=(3.0, 10.0),
        return_all_layers=True,
    )
    fill(model, arrays)
    compare(model, arrays)
    assert sum(np.prod(w.shape, dtype=int) for w in model.trainable_variables) == 2 * 4


def test_tilista_golden():
    arrays = golden.load("lista/tilista")
    model = tilista(
        arrays["A"], num_layers=4, support_selection=(3.0, 10.0), return_all_layers=True
    )
    fill(model, arrays)
    compare(model, arrays)


def test_gradients_golden():
    """The selected entries are constants for the gradient."""
    arrays = golden.load("lista/lista_cpss_gradients")
    model = LISTA(arrays["A"], 3, coupled=True, support_selection=(3.0, 10.0))
    loss, gradients = value_and_gradients(model, arrays["y"].T, arrays["x_true"].T)
    np.testing.assert_allclose(loss, arrays["loss"], rtol=1e-5)
    for k in (1, 2, 3):
        layer = model.unfolded[k - 1]
        for variable, name in ((layer.backward_map.matrix, "W"), (layer.threshold.theta, "theta")):
            np.testing.assert_allclose(
                gradients[variable.path], arrays[f"grad_{name}_{k}"], rtol=0, atol=1e-4
            )


def value_and_gradients(model, y, x):
    """Of half the summed squares, by an optimizer step of length one."""
    before = {w.path: to_numpy(w) for w in model.trainable_variables}
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda true, codes: 0.5 * keras.ops.sum(keras.ops.square(codes - true)),
        auto_scale_loss=False,
    )
    loss = model.train_on_batch(y, x)
    return loss, {w.path: before[w.path] - to_numpy(w) for w in model.trainable_variables}


def test_starts_as_ista():
    """Before training, every network is so many iterations of ISTA."""
    A = random_dictionary(12, 30)
    y = noise(3, 12)
    expected = to_numpy(ista(y, _matrix(A), lam=0.4, n_iterations=3, tolerance=0).x)
    for model in (
        LISTA(A, 3),
        LISTA(A, 3, coupled=True),
        tilista(A, num_layers=3, support_selection=None),
    ):
        np.testing.assert_allclose(to_numpy(model(y)), expected, rtol=0, atol=1e-5)


def _matrix(A):
    from keras_imaging.operators import Matrix

    return Matrix(A)


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (lambda: LISTA(tied=True), 375_016),
        (lambda: LISTA(), 4_125_016),
        (lambda: LISTA(share_input_weights=False), 6_000_016),
        (lambda: LISTA(coupled=True, tied=True), 125_016),
        (lambda: LISTA(coupled=True), 2_000_016),
        (lambda: LISTA(coupled=True, tied=True, coordinate_thresholds=True), 125_000 + 16 * 500),
        (lambda: tilista(), 125_032),
        (lambda: ALISTA(), 32),
    ],
)
def test_parameter_counts(model, count):
    assert sum(np.prod(w.shape, dtype=int) for w in model().trainable_variables) == count


def test_selected_counts():
    counts = [selected_count(500, p) for p in percentages(16, (1.2, 13.0))]
    assert counts == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 65, 65, 65, 65, 65, 65]
    assert [selected_count(500, p) for p in percentages(16, (1.2, 12.0))][9:] == [60] * 7


@pytest.mark.parametrize(
    ("model_class", "arguments"),
    [
        (LISTA, {"coupled": True, "support_selection": (10.0, 20.0)}),
        # Where W is not shared, that of the first layer, which starts at zero, has no influence.
        (LISTA, {"tied": True}),
        (ALISTA, {"support_selection": (10.0, 20.0)}),
    ],
    ids=["cpss", "lista", "alista"],
)
def test_harness(model_class, arguments):
    A = random_dictionary(8, 20)
    check_model(
        model_class, {"A": A, "num_layers": 3, **arguments}, noise(3, 8), dynamic=False, edge=True
    )


def test_weights_of_another_matrix(tmp_path):
    model = LISTA(random_dictionary(6, 10), 2, coupled=True)
    path = tmp_path / "a.weights.h5"
    model.save_weights(path)
    again = LISTA((6, 10), 2, coupled=True, weights=str(path))
    np.testing.assert_array_equal(to_numpy(again(noise(2, 6))), to_numpy(model(noise(2, 6))))
    with pytest.raises(ValueError, match="for another A: entries differ"):
        LISTA(random_dictionary(6, 10, seed=1), 2, coupled=True, weights=str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": np.ones(3)}, r"two axes.*\(3,\)"),
        ({"A": np.full((2, 3), np.nan)}, "6 values that are NaN"),
        ({"A": np.array([[1.0, 0.0, 2.0]])}, "Column 1 of A is zero"),
        ({"A": np.ones((2, 3), "complex64")}, "must be real"),
        ({"A": np.ones((2, 3)), "num_layers": 0}, "num_layers=0"),
        ({"A": np.ones((2, 3)), "support_selection": (1.2, 101.0)}, "percent=101.0"),
        ({"A": np.ones((2, 3)), "support_selection": (5.0, 4.0)}, "p_max must not be below p"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LISTA(**arguments)


def test_bad_inputs():
    model = LISTA((4, 9), 1, coupled=True)
    with pytest.raises(ValueError, match=r"expected shape=\(None, 4\), found shape=\(2, 5\)"):
        model(noise(2, 5))
    with pytest.raises(ValueError, match="complex64"):
        model(noise(2, 4).astype("complex64"))
    with pytest.raises(ValueError, match=r"shape of A, \(4, 9\).*\(4, 8\)"):
        ALISTA((4, 9), (4, 8))
    A = random_dictionary(4, 9)
    with pytest.warns(UserWarning, match="differs by up to 0.5"):
        ALISTA(A, 0.5 * A)
    with pytest.warns(UserWarning, match="not under-determined"):
        LISTA(np.eye(5, 3), 1)
