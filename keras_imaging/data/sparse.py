"""Synthetic sparse-recovery problems."""

import os
import warnings

import numpy as np

from keras_imaging.data.arrays import read_arrays
from keras_imaging.data.reading import reading
from keras_imaging.operators.coherence import mutual_coherence, recoverable_sparsity
from keras_imaging.operators.matrix import checked_matrix


def random_dictionary(m: int, n: int, condition_number: float = 0.0, seed: int = 0) -> np.ndarray:
    """Gaussian matrix with columns of length 1.

    Args:
        m: rows.
        n: columns.
        condition_number: above 0, the singular values are first replaced by ones that fall
            geometrically from 1 to 1 / condition_number. Scaling the columns afterwards, as the
            reference does, changes the condition number again a little.
        seed: of the entries.

    Returns:
        `(m, n)` float32.

    Raises:
        ValueError: if a size is below 1 or the condition number lies below 1 without being 0.
    """
    if m < 1 or n < 1:
        raise ValueError(f"Sizes must be at least 1. Received: m={m}, n={n}")
    if condition_number and not condition_number >= 1:
        raise ValueError(f"`condition_number` must be 0 or >= 1. Received: {condition_number}")
    A = np.random.default_rng(seed).normal(0, m**-0.5, (m, n))
    A /= np.linalg.norm(A, axis=0)
    if condition_number:
        left, _, right = np.linalg.svd(A, full_matrices=False)
        singular = np.logspace(0, -np.log10(condition_number), min(m, n))
        A = left * (singular * np.sqrt(n) / np.linalg.norm(singular)) @ right
        A /= np.linalg.norm(A, axis=0)
    return A.astype("float32")


def read_matrix(path: str | os.PathLike) -> np.ndarray:
    """A from a `.npy` file, or the array `A` of an `.npz` file.

    Args:
        path: the file.

    Raises:
        ValueError: naming the file, if it cannot be read, holds no such array, or the array cannot
            serve as A.
    """
    with reading(path, "{path} holds no matrix A: "):
        arrays = read_arrays(path)
        loaded = arrays[""] if "" in arrays else arrays["A"]
        return checked_matrix(loaded, allow_zero_columns=False)


class SparseSampler:
    """Endless random problems y = A x + noise whose every batch is a function of seed and step.

    x is Bernoulli times standard normal. The noise of a sample is Gaussian, its standard deviation
    that of the sample's clean measurements (mean removed) times 10^(-SNR / 20).

    Args:
        A: `(m, n)`.
        sparsity: probability that an entry is not zero, in (0, 1].
        snr_db: signal-to-noise ratio in dB; infinite: no noise.
        batch_size: problems in a (global) batch.
        seed: of the problems.

    Raises:
        ValueError: on an unusable A, a sparsity out of range, or an SNR that is NaN.

    Warns:
        UserWarning: if the codes have more non-zeros than coherence guarantees to be recoverable.
            Random problems far beyond that bound, which holds for the worst case, are solved.

    Example:
        >>> sampler = SparseSampler(random_dictionary(250, 500), sparsity=0.1, batch_size=64)
        >>> measurements, codes = sampler.batch(0)  # (64, 250), (64, 500)
    """

    def __init__(
        self,
        A: np.ndarray,
        sparsity: float = 0.1,
        snr_db: float = np.inf,
        batch_size: int = 64,
        seed: int = 0,
    ):
        if not 0 < sparsity <= 1:
            raise ValueError(f"`sparsity` must be in (0, 1]. Received: sparsity={sparsity}")
        if np.isnan(snr_db):
            raise ValueError("`snr_db` must be a number or infinite. Received: NaN")
        self.A = checked_matrix(A, allow_zero_columns=False).astype("float32")
        self.sparsity, self.snr_db = sparsity, snr_db
        self.batch_size, self.seed = batch_size, seed
        warn_of_sparsity(self.A, sparsity * self.A.shape[1])

    def batch(self, step: int, rows: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Batch number `step`, or those `rows` of it: y and x, float32.

        All rows come from one stream of random numbers; only those asked for are measured.
        """
        rng = np.random.default_rng([self.seed, step])
        x = rng.standard_normal((self.batch_size, self.A.shape[1]), "float32")
        x *= rng.random(x.shape, "float32") < self.sparsity
        x = x[rows]
        return add_noise(x @ self.A.T, self.snr_db, rng, self.batch_size, rows), x


def add_noise(
    y: np.ndarray,
    snr_db: float,
    rng: np.random.Generator,
    batch_size: int | None = None,
    rows: slice = slice(None),
) -> np.ndarray:
    """Measurements with Gaussian noise at a signal-to-noise ratio, see `SparseSampler`.

    Args:
        y: `(rows, m)`.
        snr_db: in dB; infinite adds none.
        rng: draws the noise.
        batch_size: rows that are drawn; None draws those of `y`.
        rows: which of the drawn rows are those of `y`.
    """
    if np.isinf(snr_db):
        return y
    size = (len(y) if batch_size is None else batch_size, y.shape[1])
    noise = rng.standard_normal(size, "float32")[rows] * y.std(axis=-1, keepdims=True)
    return y + noise * np.float32(10 ** (-snr_db / 20))


def warn_of_sparsity(A: np.ndarray, n_nonzeros: float) -> None:
    """Warn if there are more non-zeros than the coherence of A guarantees to be recoverable."""
    coherence = mutual_coherence(A)
    bound = recoverable_sparsity(coherence)
    if n_nonzeros > bound:
        warnings.warn(
            f"{n_nonzeros:.0f} non-zeros: with mutual coherence {coherence:.4f}, recovery is "
            f"guaranteed for at most {bound}. Random codes beyond it are usually recovered too.",
            stacklevel=3,
        )
