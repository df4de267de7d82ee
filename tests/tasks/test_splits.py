"""Splits by a key: stable for ever, in the stated shares."""

import collections

import pytest

from t5x_lite.tasks.splits import split_of


@pytest.mark.parametrize(
    "key, split", [("numpy.linalg._linalg", "train"), ("waving_hand", "test"), ("a", "train")]
)
def test_splits_never_change(key, split):
    """A changed split would let a new model be tested on what an old one was trained on."""
    assert split_of(key) == split


def test_shares_are_10_and_5_percent():
    """Within three standard errors, over 20,000 keys."""
    counts = collections.Counter(split_of(str(i)) for i in range(20_000))
    assert abs(counts["test"] - 2000) < 3 * 42.5
    assert abs(counts["validation"] - 1000) < 3 * 30.9
