"""Every value is in one bar, and a bar is as long as its value says."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from t5x_lite.display.bar_charts import Bar, bars, bin_lengths, histogram


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_every_value_is_counted_once(values):
    """Also those of a long tail, which are in the last bin."""
    bins = bin_lengths(np.array(values))
    assert bins.counts.sum() == len(values)
    assert len(bins.counts) <= 40
    end = bins.low + len(bins.counts) * bins.width
    assert bins.num_beyond == sum(value >= end for value in values)
    for index, count in enumerate(bins.counts[:-1]):
        start = bins.low + index * bins.width
        assert count == sum(start <= value < start + bins.width for value in values)


def test_a_long_tail_does_not_squeeze_the_rest():
    """One text of a million tokens among short ones."""
    bins = bin_lengths(np.array([*range(1, 201), 1_000_000]))
    assert bins.num_beyond == 1
    assert np.count_nonzero(bins.counts) > 20


def test_what_lies_behind_the_limit_is_seen():
    """Bars of another colour, and the limit as a line; without any the limit may lie outside."""
    chart = histogram("tokens", np.array([1, 2, 2, 8, 9]), limit=4)
    colors = re.findall(r'<rect [^>]*fill:([^"]+)"', chart)
    assert colors[:2] != colors[2:] and len(set(colors)) == 2
    assert 'class="mark"' in chart and "limit 4" in chart
    within = histogram("tokens", np.array([1, 2, 2, 8, 9]), limit=512)
    assert 'class="mark"' not in within
    assert len(set(re.findall(r'<rect [^>]*fill:([^"]+)"', within))) == 1


def test_heights_are_proportional_to_counts():
    chart = histogram("tokens", np.array([1, 2, 2, 3, 3, 3, 3]), limit=9)
    one, two, four = map(float, re.findall(r'<rect [^>]* height="([\d.]+)"', chart))
    assert abs(two - 2 * one) < 0.2 and abs(four - 4 * one) < 0.3


def test_a_bar_is_as_wide_as_its_share():
    table = bars(("task", "share", "rate"), [Bar("a<b", [0.25], ["1"]), Bar("c", [0.75], ["3"])])
    assert re.findall(r"width:([\d.]+)%", table) == ["25.00", "75.00"]
    assert "a&lt;b" in table and "<b" not in table
    assert bars(("task", "share"), []) == ""
