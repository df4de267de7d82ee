"""Every value is where it belongs, and a chart in a page needs nothing outside it."""

import html.parser
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from t5x_lite.display.charts import (
    COLORS,
    Point,
    Series,
    bar_chart,
    bin_lengths,
    draw_bars,
    draw_bins,
    draw_lines,
    draw_points,
    histogram,
    line_chart,
    point_chart,
)


def drawn(draw, *arguments):
    """The axes on which something was drawn."""
    axes = Figure().subplots()
    draw(axes, *arguments)
    return axes


def test_bars_are_as_long_as_their_values_with_the_limit_beside():
    axes = drawn(draw_bars, [("parameters", 3), ("the rest", 1.5)], 4)
    assert [bar.get_width() for bar in axes.patches] == [3, 1.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["parameters", "the rest"]
    assert axes.yaxis_inverted()
    assert list(axes.lines[0].get_xdata()) == [4, 4]
    assert "the rest" in bar_chart("Memory", [("parameters", 3), ("the rest", 1.5)], unit="GB")


def test_points_stand_in_their_intervals():
    """Also one that a percentile left outside, and one without an interval."""
    points = [Point("a", 2.0, 5, 4, 7), Point("b", 3.0, 1, 1.5, 2), Point("c", 1.0, 6, 6, 6)]
    axes = drawn(draw_points, points)
    found = [(each.lines[0].get_xydata()[0].tolist(), each.get_label()) for each in axes.containers]
    assert found == [([p.x, p.y], p.label) for p in points]
    (segments,) = axes.containers[0].lines[2][0].get_segments()
    assert segments.tolist() == [[2, 4], [2, 7]]
    assert axes.get_xlim()[0] == 0
    nan = float("nan")
    assert point_chart("a", [Point("x", 1, nan, nan, nan), points[0]], unit="MB").count("<svg") == 1


def test_lines_go_through_their_finite_points():
    values = [(1, 3.0), (2, 1.0), (3, float("nan")), (4, 2.0)]
    (line,) = drawn(draw_lines, [Series("line", values), Series("nothing", [])]).lines
    assert line.get_xydata().tolist() == [[1, 3], [2, 1], [4, 2]]
    assert line.get_label() == "line"


def test_long_runs_are_thinned_and_keep_their_last_point():
    """A page of a million steps must still open."""
    series = Series("line", [(step, float(step)) for step in range(10_001)])
    (line,) = drawn(draw_lines, [series]).lines
    points = line.get_xydata()
    assert len(points) <= 400
    assert points[-1].tolist() == [10_000, 10_000]


@pytest.mark.parametrize("values", [[(5, 0.0)], [(1, 2.0), (2, 2.0)], [(0, -1e-9), (10**7, 1e9)]])
def test_charts_of_extreme_values_are_charts(values):
    """One point, a constant, many orders of magnitude."""
    assert line_chart("title", [Series("line", values)]).count("<svg") == 1


def test_a_chart_without_points_is_none():
    """An empty frame would say nothing."""
    assert line_chart("title", [Series("line", []), Series("other", [(1, float("nan"))])]) == ""


def test_a_chart_stands_in_any_page():
    """What it is called is text, its ids are those of no other chart, and what would be black on a
    dark page takes the colour of the text.
    """
    series = [Series("c < d", [(1, 2.0), (2, 3.0)], color=len(COLORS) - 1)]
    chart = line_chart("a < b", series)
    parser = html.parser.HTMLParser()
    found = []
    parser.handle_data = found.append
    parser.feed(chart)
    assert "a < b" in found and "c < d" in found
    defined = re.findall(r' id="([^"]*)"', chart)
    assert len(defined) == len(set(defined))
    assert set(defined).isdisjoint(re.findall(r' id="([^"]*)"', line_chart("other", series)))
    addresses = re.findall(r'href="([^"]*)"', chart)
    assert {address.removeprefix("#") for address in addresses} <= set(defined)
    assert "url(" not in chart and COLORS[-1] not in chart and "currentColor" in chart


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=200))
def test_every_value_is_counted_once(values):
    """Also those of a long tail, which are in the last bin."""
    bins = bin_lengths(np.array(values))
    assert bins.counts.sum() == len(values)
    assert len(bins.counts) <= 40
    assert bins.num_beyond == sum(value >= bins.end for value in values)
    for index, count in enumerate(bins.counts[:-1]):
        start = bins.low + index * bins.width
        assert count == sum(start <= value < start + bins.width for value in values)


def test_a_long_tail_does_not_squeeze_the_rest():
    """One text of a million tokens among short ones."""
    values = np.array([*range(1, 201), 1_000_000])
    bins = bin_lengths(values)
    assert bins.num_beyond == 1
    assert np.count_nonzero(bins.counts) > 20
    assert "1 beyond" in histogram("tokens", values, limit=100)


def test_bars_are_as_high_as_their_counts_and_of_another_colour_behind_the_limit():
    """The limit is a line; without any behind it the limit may lie outside."""
    bins = bin_lengths(np.array([1, 2, 2, 8, 9]))
    axes = drawn(draw_bins, bins, 4)
    assert [bar.get_height() for bar in axes.patches] == bins.counts.tolist()
    colors = [bar.get_facecolor() for bar in axes.patches]
    assert len(set(colors[:4])) == len(set(colors[4:])) == 1 and colors[0] != colors[-1]
    assert len(axes.lines) == 1 and axes.get_title() == "limit 4"
    within = drawn(draw_bins, bins, 512)
    assert not within.lines and len({bar.get_facecolor() for bar in within.patches}) == 1
