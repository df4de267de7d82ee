"""What is wrong with answers whatever their score."""

import numpy as np
import pytest

from t5x_lite.evaluation.rates import output_rates, rate_warnings


def test_each_rate_by_hand():
    """Four answers: a sentinel as text, one that is no text, nothing, and one without end."""
    rows = [
        np.array([5, 6, 1, 0], np.int32),
        np.array([5, 99, 1, 0], np.int32),
        np.array([1, 0, 0, 0], np.int32),
        np.array([5, 6, 7, 8], np.int32),
    ]
    texts = ["<extra_id_0> a", "a", "", "abcd"]
    rates = output_rates(rows, texts, end_id=1, sentinel_ids=range(90, 100))
    assert rates == {"sentinel_rate": 50.0, "empty_rate": 25.0, "truncated_rate": 25.0}


def test_what_stands_behind_the_end_is_no_answer():
    """A decoder may leave anything there."""
    rates = output_rates(
        [np.array([5, 1, 99], np.int32)], ["a"], end_id=1, sentinel_ids=range(90, 100)
    )
    assert rates["sentinel_rate"] == 0.0


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("sentinel_rate", "fine-tune it"),
        ("empty_rate", "inspect"),
        ("truncated_rate", "MAX_DECODE_LENGTH"),
    ],
)
def test_a_rate_far_above_that_of_the_targets_is_a_warning(name, advice):
    """With what to do; span corruption, whose targets are full of sentinels, gives none."""
    nothing = {"sentinel_rate": 0.0, "empty_rate": 0.0, "truncated_rate": 0.0}
    (line,) = rate_warnings("t", nothing | {name: 12.5}, nothing)
    assert "12.5 %" in line
    assert advice in line
    assert not rate_warnings("t", nothing | {name: 12.5}, nothing | {name: 10.0})
