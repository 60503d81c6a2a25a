import itertools
import math
from fractions import Fraction

import golden
import numpy as np
import pytest

from keras_imaging.watermark.statistics import (
    binomial_tail,
    logit_weights,
    match_test,
    match_threshold,
    miss_rate,
    roc_curve,
    soft_test,
)

TABLE = golden.load("faceguard/binomial")


def test_tails():
    for n in (32, 64, 128):
        expected = TABLE[f"pvalue_n{n}"]
        np.testing.assert_array_equal([binomial_tail(n, k) for k in range(n + 1)], expected)
    assert binomial_tail(64, -1) == 1 and binomial_tail(64, 65) == 0
    # Beyond the range of floats there is no overflow.
    assert binomial_tail(4000, 2000) == pytest.approx(0.5063, abs=1e-4)


def test_thresholds():
    for n, row, tails in zip(
        TABLE["n_bits"].tolist(), TABLE["min_matches"], TABLE["actual_tail"], strict=True
    ):
        for alpha, least, tail in zip(TABLE["alpha"].tolist(), row, tails, strict=True):
            if least > n:
                with pytest.raises(ValueError, match=rf"{n} bits .* at least (\d+)") as error:
                    match_threshold(n, alpha)
                needed = int(str(error.value).split("at least ")[1].split()[0])
                assert 2.0**-needed <= alpha < 2.0 ** (1 - needed)
            else:
                assert match_threshold(n, alpha) == least
                assert binomial_tail(n, least) == tail


def test_default_of_64_bits():
    assert match_threshold(64) == 51
    # Bonferroni: 1e-9 each.
    assert match_threshold(64, 1e-6, 1000) == match_threshold(64, 1e-9) == 56


def test_a_threshold_that_is_met_exactly():
    assert match_threshold(10, 2.0**-10) == 10
    with pytest.raises(ValueError, match="at least 11"):
        match_threshold(10, 2.0**-11)
    with pytest.raises(ValueError, match="over 2 candidates: at least 11"):
        match_threshold(10, 2.0**-10, 2)


def test_match_test():
    rng = np.random.default_rng(0)
    expected = rng.integers(0, 2, 64)
    for wrong in (0, 13, 14, 32, 64):
        extracted = expected.copy()
        extracted[:wrong] ^= 1
        result = match_test(extracted, expected)
        assert (result.matches, result.n) == (64 - wrong, 64)
        assert result.count_p_value == result.p_value
        assert result.verified == (wrong <= 13) == (result.p_value <= 1e-6)
        assert result.p_value == binomial_tail(64, 64 - wrong)
        many = match_test(extracted, expected, candidates=100)
        assert many.p_value == min(1, 100 * result.p_value)
        assert many.verified == (many.p_value <= 1e-6)
    assert match_test(expected > 0, expected.astype(float)).matches == 64


def test_false_accepts_of_a_biased_decoder():
    """The rate is alpha at most, though the decoder says 1 nine times of ten."""
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2, (20000, 16))
    said = (rng.random((20000, 16)) < 0.9).astype(int)
    least = match_threshold(16, 0.05)
    rate = ((keys == said).sum(axis=1) >= least).mean()
    assert rate == pytest.approx(binomial_tail(16, least), abs=0.005)


def test_miss_rates():
    for p, expected in TABLE["miss_rate_n32"]:
        assert miss_rate(32, 26, p) == pytest.approx(expected, rel=1e-9)
    exact = sum(
        math.comb(64, k) * Fraction(0.85) ** k * Fraction(0.15) ** (64 - k) for k in range(51)
    )
    assert miss_rate(64, 51, 0.85) == pytest.approx(float(exact), rel=1e-12)
    # Longer than the largest binomial coefficient that a float holds.
    exact = sum(
        math.comb(1100, k) * Fraction(0.6) ** k * Fraction(0.4) ** (1100 - k) for k in range(600)
    )
    assert miss_rate(1100, 600, 0.6) == pytest.approx(float(exact), rel=1e-9)
    assert miss_rate(8, 8, 1.0) == 0 and miss_rate(8, 1, 0.0) == 1


def test_the_soft_test_by_enumeration():
    """Of all keys, so many agree as much as this one or more."""
    rng = np.random.default_rng(0)
    keys = np.array(list(itertools.product((0, 1), repeat=9)))
    for logits in (rng.normal(size=9), 30 * rng.normal(size=9) ** 3, np.arange(9.0) - 4):
        weights = np.array(logit_weights(logits))
        sums = ((keys == (logits > 0)) * weights).sum(axis=1)
        found = [soft_test(logits, key, 0.05) for key in keys]
        expected = [np.mean(sums >= own) for own in sums]
        assert [result.p_value for result in found] == expected
        assert [result.matches for result in found] == (keys == (logits > 0)).sum(axis=1).tolist()
        # A test at 0.05 accepts at most that share of the keys.
        assert np.mean([result.verified for result in found]) <= 0.05
        count = found[3].matches
        assert found[3].count_p_value == binomial_tail(9, count)


def test_what_logits_count():
    assert logit_weights([-1.0, 1.0, 3.0]) == [15, 15, 30]
    assert logit_weights([0.1, 1.0, 1.0, 1.0]) == [2, 15, 15, 15]
    # All scales alike; and where the median is nothing, what there is.
    assert logit_weights([1e-9, -1e-8, 2e-8]) == logit_weights([1e9, 1e10, -2e10])
    assert logit_weights([0.0, 0.0, 2.0]) == [0, 0, 15] and logit_weights([0.0, 0.0]) == [0, 0]
    assert soft_test(np.zeros(64), np.ones(64)).p_value == 1


def test_soft_test():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, 64)
    signs = 2 * bits - 1
    # Sure of the right bits, unsure of the wrong ones: the soft test sees what counting does not.
    logits = np.where(np.arange(64) < 44, 3.0, -0.1) * signs
    found = soft_test(logits, bits)
    assert found.matches == 44 and found.count_p_value > 1e-3
    assert found.verified and found.p_value < 1e-10
    assert soft_test(1e5 * logits, bits) == found
    assert soft_test(logits, bits, candidates=7).p_value == 7 * found.p_value
    # Equal logits are counted.
    equal = soft_test(np.where(np.arange(64) < 51, 2.0, -2.0) * signs, bits)
    assert equal.p_value == equal.count_p_value == binomial_tail(64, 51) and equal.verified


def test_false_accepts_of_the_soft_test():
    """Of a decoder that is biased and unevenly sure, for keys that it knows nothing of."""
    rng = np.random.default_rng(0)
    logits = rng.normal(1.0, 2.0, (3000, 32)) ** 3
    p_values = np.array([soft_test(row, rng.integers(0, 2, 32), 0.01).p_value for row in logits])
    for alpha in (0.001, 0.01, 0.1):
        assert np.mean(p_values <= alpha) <= alpha + 3 * math.sqrt(alpha / len(logits))
    assert np.mean(p_values <= 0.1) > 0.07


def test_roc_curve():
    curve = roc_curve([3, 2, 2, 1], [2, 1, 0])
    assert curve.thresholds.tolist() == [np.inf, 3, 2, 1, 0]
    np.testing.assert_allclose(curve.true_accepts, [0, 0.25, 0.75, 1, 1])
    np.testing.assert_allclose(curve.false_accepts, [0, 0, 1 / 3, 2 / 3, 1])
    pairs = [(a > b) + (a == b) / 2 for a in (3, 2, 2, 1) for b in (2, 1, 0)]
    assert curve.auc == pytest.approx(np.mean(pairs))
    assert roc_curve([1, 1], [1]).auc == 0.5 and roc_curve([0], [1]).auc == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: binomial_tail(0, 1), "at least 1"),
        (lambda: match_threshold(64, 0), "`alpha` must be between 0 and 1. Received: 0"),
        (lambda: match_threshold(64, 1), "`alpha`"),
        (lambda: match_threshold(64, float("nan")), "`alpha`"),
        (lambda: match_threshold(64, 0.1, 0), "`candidates`"),
        (lambda: match_test([0, 1], [0, 1, 1]), "2 and 3 bits"),
        (lambda: match_test([0.3, 1.2], [0, 1], 0.5), "logits > 0"),
        (lambda: match_test([[0, 1]], [0, 1], 0.5), "vector of bits"),
        (lambda: match_test([0, 1], [0, -1], 0.5), "`expected` must be 0 and 1"),
        (lambda: match_test([0, 1], [0, 1]), "at least 20 bits"),
        (lambda: miss_rate(64, 51, 1.1), "0..1"),
        (lambda: soft_test([1.0], [0, 1], 0.5), "as many as the bits"),
        (lambda: soft_test([np.nan, 1.0], [0, 1], 0.5), "finite"),
        (lambda: soft_test([1.0, 1.0], [0, 1]), "at least 20 bits"),
        (lambda: roc_curve([1], [np.inf]), "`others`"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
