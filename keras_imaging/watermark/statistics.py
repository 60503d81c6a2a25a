"""Detection test of watermarks: exact p-values, thresholds, error rates.

Under "the picture is not derived from one that this key marked" the key's bits are uniform and
independent of whatever the decoder says, so the number of matches k of n bits is Binomial(n, 1/2)
exactly, even for a biased decoder. "Positive" is "verified" throughout: a false accept is a picture
that is verified though the key never marked it.
"""

import math
from typing import NamedTuple

import numpy as np

DEFAULT_ALPHA = 1e-6


class MatchResult(NamedTuple):
    """What `match_test` found.

    Attributes:
        matches: bits that agree.
        n: bits in all.
        p_value: probability of so many matches or more without the mark, times `candidates`.
        verified: whether `p_value` is at most `alpha`. False says "not verified", never "fake".
        threshold: the least number of matches that is verified.
        alpha: greatest false-accept rate.
        candidates: number of comparisons from which this one was chosen.
    """

    matches: int
    n: int
    p_value: float
    verified: bool
    threshold: int
    alpha: float
    candidates: int


def binomial_tail(n: int, k: int) -> float:
    """P[Binomial(n, 1/2) >= k], computed in integers and rounded once.

    Args:
        n: bits, at least 1.
        k: matches; at most 0 gives 1, more than n gives 0.

    Example:
        >>> binomial_tail(32, 32) == 2.0**-32
        True
    """
    return _ways(n, k) / 2 ** _checked_length(n)


def match_threshold(n: int, alpha: float = DEFAULT_ALPHA, candidates: int = 1) -> int:
    """The least number of matches of n bits that happens by chance at a rate of at most alpha.

    Args:
        n: bits.
        alpha: false-accept rate, between 0 and 1.
        candidates: number of keys, nonces or regions tried; each is tested at alpha / candidates
            (Bonferroni).

    Raises:
        ValueError: if even n matches of n are more likely than alpha; it says how many bits are
            needed.

    Example:
        >>> match_threshold(64, 1e-6)
        51
    """
    n = _checked_length(n)
    numerator, denominator = _checked_alpha(alpha, candidates)
    # Ways in which k or more of n bits match; k falls from n until alpha is passed.
    ways, k = 1, n
    if ways * denominator > numerator * 2**n:
        least = ((denominator - 1) // numerator).bit_length()
        raise ValueError(
            f"{n} bits cannot give a false-accept rate of {alpha:g}"
            f"{f' over {candidates} candidates' if candidates > 1 else ''}: at least {least} bits "
            "are needed, or a larger alpha."
        )
    while (ways + math.comb(n, k - 1)) * denominator <= numerator * 2**n:
        k -= 1
        ways += math.comb(n, k)
    return k


def match_test(
    extracted: np.ndarray,
    expected: np.ndarray,
    alpha: float = DEFAULT_ALPHA,
    candidates: int = 1,
) -> MatchResult:
    """Test whether extracted bits are those of a key.

    All bits are compared whatever the first ones say, so the time taken says nothing of them.

    Args:
        extracted: `(n,)` of 0 and 1: the decoder's logits > 0.
        expected: `(n,)` of 0 and 1, as from `watermark_bits`.
        alpha: greatest false-accept rate, between 0 and 1.
        candidates: number of comparisons of which the best is reported (Bonferroni).

    Raises:
        ValueError: if the bits are not 0 and 1 or of two lengths, or `match_threshold` raises.

    Example:
        >>> bits = np.ones(64, "uint8")
        >>> match_test(bits, bits).verified
        True
    """
    extracted, expected = check_bits(extracted, "extracted"), check_bits(expected, "expected")
    if len(extracted) != len(expected):
        raise ValueError(
            f"`extracted` and `expected` must have one length. Received: {len(extracted)} and "
            f"{len(expected)} bits"
        )
    n = len(expected)
    matches = n - int(np.count_nonzero(extracted ^ expected))
    threshold = match_threshold(n, alpha, candidates)
    return MatchResult(
        matches=matches,
        n=n,
        p_value=min(1.0, candidates * binomial_tail(n, matches)),
        verified=matches >= threshold,
        threshold=threshold,
        alpha=alpha,
        candidates=candidates,
    )


def miss_rate(n: int, threshold: int, bit_accuracy: float) -> float:
    """Rate of marked pictures that are not verified, if each bit is right by itself.

    P[Binomial(n, bit_accuracy) < threshold]. A decoder's errors are not quite independent: measure
    the rate too.

    Args:
        n: bits.
        threshold: least number of matches that is verified, as from `match_threshold`.
        bit_accuracy: probability that a bit is right, 0..1.

    Example:
        >>> round(miss_rate(64, match_threshold(64, 1e-6), 0.95), 8)
        2.72e-06
    """
    n, p = _checked_length(n), bit_accuracy
    if not 0 <= p <= 1:
        raise ValueError(f"`bit_accuracy` must be in 0..1. Received: {bit_accuracy}")
    if p in (0, 1):
        return float(threshold > n * p)
    # In logarithms: for long messages the binomial coefficients are beyond a float.
    logs = (
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + k * math.log(p)
        + (n - k) * math.log1p(-p)
        for k in range(min(threshold, n + 1))
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def soft_score(logits: np.ndarray, expected: np.ndarray) -> float:
    """How far logits lean to the key's bits: sum of l_j (2 m_j - 1), over the norm of l.

    Args:
        logits: `(n,)`, finite.
        expected: `(n,)` of 0 and 1.

    Returns:
        Between -sqrt(n) and sqrt(n); of mean 0 and variance 1 without the mark.
    """
    logits, expected = np.asarray(logits, "float64"), check_bits(expected, "expected")
    if logits.shape != expected.shape or not np.isfinite(logits).all():
        raise ValueError(
            f"`logits` must be finite and as many as the bits, {len(expected)}. Received: shape "
            f"{logits.shape}"
        )
    norm = np.linalg.norm(logits)
    return float(logits @ (2.0 * expected - 1)) / norm if norm else 0.0


class Calibration(NamedTuple):
    """Scores of pictures without the mark, to judge others by."""

    scores: np.ndarray

    def p_value(self, score: float) -> float:
        """(1 + number of unmarked scores at least as large) / (1 + number of them).

        It cannot be less than 1 / (1 + number of scores), however large the score.
        """
        above = len(self.scores) - np.searchsorted(self.scores, score, side="left")
        return float((1 + above) / (1 + len(self.scores)))


def calibrate(scores: np.ndarray) -> Calibration:
    """Take `soft_score`s of unmarked pictures as the measure for others.

    Args:
        scores: finite, at least one.
    """
    return Calibration(np.sort(_checked_scores(scores, "scores")))


def soft_test(
    logits: np.ndarray,
    expected: np.ndarray,
    calibration: Calibration | None = None,
) -> float:
    """p-value of `soft_score`, which also weighs how sure the decoder is of each bit.

    Without a calibration it is Hoeffding's bound exp(-score^2 / 2), which holds for any decoder and
    picture, as the key's bits are uniform; with one it is the share of unmarked pictures.

    Args:
        logits: `(n,)`.
        expected: `(n,)` of 0 and 1.
        calibration: from `calibrate`.
    """
    score = soft_score(logits, expected)
    if calibration is not None:
        return calibration.p_value(score)
    return math.exp(-(max(score, 0.0) ** 2) / 2)


class RocCurve(NamedTuple):
    """Errors at every threshold of a score; "score >= threshold" is "verified".

    Attributes:
        thresholds: falling, from infinity.
        false_accepts: share of the other pictures that is verified.
        true_accepts: share of the genuine pictures that is verified.
        auc: area under true over false accepts; ties count one half.
    """

    thresholds: np.ndarray
    false_accepts: np.ndarray
    true_accepts: np.ndarray
    auc: float


def roc_curve(genuine: np.ndarray, others: np.ndarray) -> RocCurve:
    """How well a score, such as the number of matches, parts genuine pictures from others.

    Args:
        genuine: scores of pictures that should be verified.
        others: scores of manipulated or unmarked pictures.

    Example:
        >>> roc_curve([60, 64, 62], [30, 35]).auc
        1.0
    """
    genuine, others = _checked_scores(genuine, "genuine"), _checked_scores(others, "others")
    thresholds = np.append(np.inf, np.unique(np.concatenate([genuine, others]))[::-1])
    true, false = (
        1 - np.searchsorted(np.sort(scores), thresholds, side="left") / len(scores)
        for scores in (genuine, others)
    )
    return RocCurve(thresholds, false, true, float(np.trapezoid(true, false)))


def check_bits(bits: np.ndarray, name: str) -> np.ndarray:
    """A vector of zeros and ones as uint8.

    Args:
        bits: `(n,)` of any number type.
        name: of the argument, for the message.

    Raises:
        ValueError: if it is something else.
    """
    array = np.asarray(bits)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"`{name}` must be a vector of bits. Received: shape {array.shape}")
    if not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"`{name}` must be 0 and 1 (a decoder's logits > 0). Received: values from "
            f"{array.min()} to {array.max()}"
        )
    return array.astype("uint8")


def _ways(n, k):
    """Number of n-bit strings with at least k ones, by the shorter sum."""
    n, k = _checked_length(n), max(int(k), 0)
    if k > n // 2:
        return sum(math.comb(n, i) for i in range(k, n + 1))
    return 2**n - sum(math.comb(n, i) for i in range(k))


def _checked_length(n):
    if n != int(n) or n < 1:
        raise ValueError(f"`n` must be a number of bits, at least 1. Received: {n}")
    return int(n)


def _checked_alpha(alpha, candidates):
    """alpha / candidates as a pair of integers."""
    if not 0 < alpha < 1:
        raise ValueError(f"`alpha` must be between 0 and 1. Received: {alpha}")
    if candidates != int(candidates) or candidates < 1:
        raise ValueError(f"`candidates` must be at least 1. Received: {candidates}")
    numerator, denominator = float(alpha).as_integer_ratio()
    return numerator, denominator * int(candidates)


def _checked_scores(scores, name):
    array = np.asarray(scores, "float64")
    if array.ndim != 1 or not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"`{name}` must be a vector of finite numbers, at least one. Received: shape "
            f"{array.shape}"
        )
    return array
