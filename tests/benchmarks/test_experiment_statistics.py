"""Spread over seeds and paired differences, held against scipy's own."""

import math

import numpy as np
import pytest
import scipy.stats

from benchmarks.experiments import statistics


def test_a_paired_difference_has_the_interval_of_the_paired_t_test():
    first, second = [1.0, 2.0, 4.0], [3.0, 3.5, 5.0]
    found = statistics.paired_difference(first, second)
    expected = scipy.stats.ttest_rel(second, first).confidence_interval(0.95)
    assert found.mean == pytest.approx(1.5)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(
    "second, verdict",
    [([3.0, 4.1, 5.0], "higher"), ([-1.0, 0.1, 1.0], "lower"), ([1.0, 5.0, 0.0], "not told apart")],
)
def test_a_verdict_is_what_the_interval_says(second, verdict):
    assert statistics.paired_difference([1.0, 2.0, 3.0], second).verdict == verdict


def test_one_seed_tells_nothing_apart():
    found = statistics.paired_difference([1.0], [100.0])
    assert (found.low, found.high, found.verdict) == (-math.inf, math.inf, "not told apart")


def test_arms_with_other_seeds_are_no_pairs():
    with pytest.raises(ValueError, match="there are 2 and 1 values"):
        statistics.paired_difference([1.0, 2.0], [1.0])


def test_a_spread_is_that_of_a_sample():
    found = statistics.spread([1.0, 2.0, 6.0])
    assert found.mean == 3.0
    assert found.deviation == pytest.approx(np.sqrt(((-2) ** 2 + (-1) ** 2 + 3**2) / 2))
    assert str(found) == "3.00 \N{PLUS-MINUS SIGN} 2.65"
    assert str(statistics.spread([1.0])) == "1.00"
