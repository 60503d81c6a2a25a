"""How well a score orders networks: rank correlations with intervals."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Correlation:
    """A correlation and the middle 95 % of its bootstrap.

    Attributes:
        value: of all networks; NaN where one side does not vary.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def ranks(values: np.ndarray) -> np.ndarray:
    """Places in ascending order, the mean place for equal values; `(n,)`."""
    values = np.asarray(values, "float64")
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Linear correlation of two vectors."""
    x, y = (np.asarray(v, "float64") - np.mean(v) for v in (x, y))
    size = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / size) if size > 0 else float("nan")


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Correlation of the ranks of two vectors."""
    return pearson(ranks(x), ranks(y))


def kendall(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b: pairs in the same order less pairs in the other, ties accounted for."""
    x, y = (np.asarray(v, "float64") for v in (x, y))
    a, b = (np.sign(v[:, None] - v[None]) for v in (x, y))
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else float("nan")


def partial_spearman(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Correlation of the ranks of x and y less what the ranks of `given` explain of them."""
    x, y, given = map(ranks, (x, y, given))
    basis = np.stack([np.ones_like(given), given], axis=1)
    x, y = (v - basis @ np.linalg.lstsq(basis, v, rcond=None)[0] for v in (x, y))
    # What rounding leaves of a vector that is explained wholly is no correlation.
    if min(x @ x, y @ y) < 1e-12 * len(x) ** 3:
        return float("nan")
    return pearson(x, y)


def bootstrap(
    measure: Callable[..., float], *vectors: np.ndarray, draws: int = 2000, seed: int = 0
) -> Correlation:
    """A correlation with its interval over networks drawn with replacement.

    Args:
        measure: of the vectors.
        *vectors: of equal length, an entry for each network.
        draws: how many.
        seed: of the draws.

    Raises:
        ValueError: if there are fewer than three networks.
    """
    vectors = [np.asarray(v, "float64") for v in vectors]
    count = len(vectors[0])
    if count < 3:
        raise ValueError(f"A correlation needs at least three networks. Received: {count}")
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = rng.integers(0, count, count)
        values.append(measure(*(v[chosen] for v in vectors)))
    values = np.asarray(values)
    values = values[np.isfinite(values)]
    low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
    return Correlation(measure(*vectors), float(low), float(high))
