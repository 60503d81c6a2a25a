"""Dictionary learning: a dictionary in which given signals are sparse."""

from collections.abc import Callable
from functools import partial

import numpy as np
from keras import ops

from keras_imaging.ops.proximal import soft_threshold
from keras_imaging.steps import fista_step, step_size


def dictionary_learning(
    signals: np.ndarray,
    n_atoms: int,
    lam: float = 0.1,
    n_epochs: int = 2,
    batch_size: int = 512,
    n_iterations: int = 40,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """D of unit columns for which signals p are D x with few non-zeros: online learning.

    min over D and x of 1/2 ||D x - p||^2 + lam ||x||_1, summed over the signals

    Batch after batch, the codes x are found by FISTA, then each atom in turn takes its best place
    for all codes so far, of which only A = sum x x^T and B = sum p x^T are kept; older ones fade
    as D improves. An atom that no code uses is replaced by a signal that is badly represented.

    Args:
        signals: `(count, F)`, such as patches without their mean, in 0..1 units.
        n_atoms: N, columns of D; at most `count`.
        lam: weight of the l1 norm, in units of the signals, positive.
        n_epochs: passes over the signals.
        batch_size: signals coded at a time.
        n_iterations: of FISTA for each batch.
        seed: of the order of the signals and the first atoms.
        progress: called with (batches done, batches in all).

    Returns:
        D, `(F, N)` float32, columns of length 1. A function of the arguments alone.

    Raises:
        ValueError: on another shape, NaN, fewer signals other than zero than atoms, or a number
            out of range.

    Example:
        >>> patches = np.random.default_rng(0).normal(size=(50, 16))
        >>> dictionary_learning(patches, n_atoms=20, n_epochs=1).shape
        (16, 20)

    Reference:
        Mairal, Bach, Ponce, Sapiro, Online dictionary learning for sparse coding (ICML 2009),
        algorithms 1 and 2.
    """
    signals = _checked(signals, n_atoms, lam, n_epochs, batch_size, n_iterations)
    rng = np.random.default_rng(seed)
    D = _first_atoms(signals, n_atoms, rng)
    codes_energy = np.zeros((n_atoms, n_atoms), "float32")
    correlation = np.zeros_like(D)
    batches = [
        batch
        for _ in range(n_epochs)
        for batch in np.array_split(
            rng.permutation(len(signals)), max(1, len(signals) // batch_size)
        )
    ]
    for t, rows in enumerate(batches, start=1):
        batch = signals[rows]
        x = _sparse_codes(batch, D, lam, n_iterations)
        # The past counts as (1 - 1/t)^2 of what it did: its codes are of worse dictionaries.
        fade = np.float32((1 - 1 / t) ** 2)
        codes_energy = fade * codes_energy + x.T @ x
        correlation = fade * correlation + batch.T @ x
        error = np.sum((batch - x @ D.T) ** 2, axis=1)
        _update_atoms(D, codes_energy, correlation, batch[np.argsort(-error)])
        if progress is not None:
            progress(t, len(batches))
    return D


def _checked(signals, n_atoms, lam, n_epochs, batch_size, n_iterations):
    signals = np.asarray(signals, "float32")
    if signals.ndim != 2:
        raise ValueError(f"`signals` must be (count, F). Received shape {signals.shape}.")
    if not np.isfinite(signals).all():
        raise ValueError("`signals` holds values that are NaN or infinite.")
    numbers = {
        "n_atoms": n_atoms,
        "n_epochs": n_epochs,
        "batch_size": batch_size,
        "n_iterations": n_iterations,
    }
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {name}={number}")
    if not lam > 0:
        raise ValueError(f"`lam` must be positive. Received: lam={lam}")
    usable = np.count_nonzero(signals.any(axis=1))
    if usable < n_atoms:
        raise ValueError(
            f"{n_atoms} atoms need at least as many signals that are not zero. Received: {usable}"
        )
    return signals


def _first_atoms(signals, n_atoms, rng):
    usable = np.flatnonzero(signals.any(axis=1))
    atoms = signals[rng.choice(usable, n_atoms, replace=False)].T
    return np.ascontiguousarray(atoms / np.linalg.norm(atoms, axis=0))


def _sparse_codes(batch, D, lam, n_iterations):
    """FISTA on the normal equations, whose matrix D^T D all signals share."""
    gram = D.T @ D
    step = step_size(np.linalg.norm(D, 2))
    gram = ops.convert_to_tensor(gram)
    iteration = partial(
        fista_step,
        y=ops.convert_to_tensor(batch @ D),
        forward=lambda x: ops.matmul(x, gram),
        backward=lambda residual: step * residual,
        prox=lambda x: soft_threshold(x, step * lam),
    )
    x = ops.zeros((len(batch), D.shape[1]), "float32")
    state = x, x, ops.ones((), "float32")
    for _ in range(n_iterations):
        state = iteration(*state)
    return ops.convert_to_numpy(state[0])


def _update_atoms(D, codes_energy, correlation, worst_first):
    """One pass of block coordinate descent over the atoms, in place."""
    unused = iter(worst_first)
    for j in range(D.shape[1]):
        weight = codes_energy[j, j]
        if weight > 1e-6:
            atom = D[:, j] + (correlation[:, j] - D @ codes_energy[:, j]) / weight
        else:
            atom = next(unused, D[:, j])
        length = np.linalg.norm(atom)
        if length > 0:
            D[:, j] = atom / length
