"""Detection test of watermarks: exact p-values, thresholds, error rates.

Under "the picture is not derived from one that this key marked" the key's bits are uniform and
independent of whatever the decoder says. So the number of matches k of n bits is Binomial(n, 1/2)
exactly, even for a biased decoder; and so, given the logits, is known exactly how a sum of them is
distributed that every bit of the key gives its sign. "Positive" is "verified" throughout: a false
accept is a picture that is verified though the key never marked it.
"""

import math
from typing import NamedTuple

import numpy as np

DEFAULT_ALPHA = 1e-6


# Logits count as whole numbers, 15 for the median of them; twice the median is the most.
_MEDIAN = 15
_MOST = 2


class MatchResult(NamedTuple):
    """What `soft_test` or `match_test` found.

    Attributes:
        matches: bits that agree.
        n: bits in all.
        p_value: probability of so much agreement or more without the mark, times `candidates`.
        verified: whether it is at most `alpha`. False says "not verified", never "fake".
        alpha: greatest false-accept rate.
        candidates: number of comparisons from which this one was chosen, or what they weigh.
        count_p_value: as `p_value`, had the matches only been counted.
    """

    matches: int
    n: int
    p_value: float
    verified: bool
    alpha: float
    candidates: int
    count_p_value: float


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
    matches = len(expected) - int(np.count_nonzero(extracted ^ expected))
    n = len(expected)
    # Refuses an alpha that n bits cannot reach.
    match_threshold(n, alpha, candidates)
    return _result(matches, n, alpha, candidates, _ways(n, matches))


def soft_test(
    logits: np.ndarray,
    expected: np.ndarray,
    alpha: float = DEFAULT_ALPHA,
    candidates: int = 1,
) -> MatchResult:
    """Test whether logits lean to a key's bits; each counts as much as the decoder is sure of it.

    A logit l counts q = floor(15 min(|l| / m, 2) + 1/2), m the median of the |l|, and the statistic
    is the sum of q over the bits that match. Given the logits, and without the mark, each q is in
    it with probability 1/2. Of the 2^n ways to choose, those with as large a sum or a larger one
    are the coefficients of prod (1 + x^q) from there on: integers, so that p is exact and nothing
    is rounded but its last division.

    Args:
        logits: `(n,)`, finite; a bit is logit > 0.
        expected, alpha, candidates: as for `match_test`.

    Raises:
        ValueError: if the logits are not finite or of another number, or `match_threshold` raises.

    Example:
        >>> bits = np.ones(64, "uint8")
        >>> soft_test(np.full(64, 2.5), bits).p_value == 2.0**-64
        True
    """
    expected = check_bits(expected, "expected")
    n = len(expected)
    weights = logit_weights(logits)
    if len(weights) != n:
        raise ValueError(
            f"`logits` must be as many as the bits, {n}. Received: {len(weights)} logits"
        )
    match_threshold(n, alpha, candidates)
    agree = (np.asarray(logits) > 0) == (expected > 0)
    sum_of_matches = sum(weight for weight, one in zip(weights, agree, strict=True) if one)
    # The coefficients in slots of one large integer, wide enough for 2^n.
    slot, product = n + 1, 1
    for weight in weights:
        product += product << (slot * weight)
    # The digits' sum is the remainder by the largest digit, as it is less.
    ways = (product >> (slot * sum_of_matches)) % ((1 << slot) - 1)
    return _result(int(np.count_nonzero(agree)), n, alpha, candidates, ways)


def logit_weights(logits: np.ndarray) -> list[int]:
    """What each logit counts in `soft_test`, 0..30.

    Args:
        logits: `(n,)`, finite.

    Raises:
        ValueError: if they are something else.
    """
    sizes = np.abs(np.asarray(logits, "float64"))
    if sizes.ndim != 1 or not sizes.size or not np.isfinite(sizes).all():
        raise ValueError(
            "`logits` must be a vector of finite numbers, at least one. Received: shape "
            f"{sizes.shape}"
        )
    # Of an even number the upper one; of no use where most are nothing.
    scale = np.sort(sizes)[len(sizes) // 2] or sizes.max()
    if not scale:
        return [0] * len(sizes)
    return np.floor(_MEDIAN * np.minimum(sizes / scale, _MOST) + 0.5).astype(int).tolist()


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


def _result(matches, n, alpha, candidates, ways):
    """Of `ways` of 2^n that agree as much or more."""
    numerator, denominator = _checked_alpha(alpha, candidates)
    return MatchResult(
        matches=matches,
        n=n,
        p_value=min(1.0, candidates * (ways / 2**n)),
        verified=ways * denominator <= numerator * 2**n,
        alpha=alpha,
        candidates=candidates,
        count_p_value=min(1.0, candidates * binomial_tail(n, matches)),
    )


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
