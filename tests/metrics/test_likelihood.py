"""Bits a byte do not depend on how texts are cut to targets."""

import math

import pytest

from t5x_lite.errors import UserError
from t5x_lite.metrics.likelihood import bits_per_byte


def test_bits_a_byte():
    """Of eight bits a byte for what is told by chance among 256."""
    scores = [-math.log(256) * 3, -math.log(256) * 2]
    assert bits_per_byte(["abc", "\u00fc"], scores)["bpb"] == pytest.approx(8.0)


def test_joined_texts_score_as_their_parts():
    """As long as the model says the same of them."""
    parts = bits_per_byte(["ab", "cde"], [-1.0, -3.0])
    assert parts == pytest.approx(bits_per_byte(["abcde"], [-4.0]))
    sums = bits_per_byte.sums(["ab", "cde"], [-1.0, -3.0])
    assert bits_per_byte.from_sums(sums.sum(axis=0)) == parts


def test_each_target_has_a_score():
    """Else it is refused, as is nothing at all."""
    with pytest.raises(UserError):
        bits_per_byte(["a"], [-1.0, -2.0])
    with pytest.raises(UserError):
        bits_per_byte([], [])
