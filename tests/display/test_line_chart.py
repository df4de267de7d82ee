"""Points lie where their values are, whatever the values."""

import html
import json
import re

import pytest

from t5x_lite.display.line_chart import Series, line_chart


def test_points_lie_where_their_values_are():
    """Inside the frame, in order, the highest value highest; what is not finite is left out."""
    values = [(1, 3.0), (2, 1.0), (3, float("nan")), (4, 2.0)]
    chart = line_chart("title", [Series("line", values)])
    (data,) = re.findall(r'data-series="([^"]*)"', chart)
    points = json.loads(html.unescape(data))[0]["points"]
    assert [(x, y) for x, y, *_ in points] == [(1, 3.0), (2, 1.0), (4, 2.0)]
    across, up = [at for _, _, at, _ in points], [at for *_, at in points]
    assert across == sorted(across)
    assert up[0] < up[2] < up[1]
    assert (up[0] + up[1]) / 2 == pytest.approx(up[2], abs=0.1)
    assert all(0 <= at <= 460 for at in across)
    assert all(0 <= at <= 250 for at in up)


@pytest.mark.parametrize("values", [[(5, 0.0)], [(1, 2.0), (2, 2.0)], [(0, -1e-9), (10**7, 1e9)]])
def test_charts_of_extreme_values_are_charts(values):
    """One point, a constant, many orders of magnitude."""
    assert line_chart("title", [Series("line", values)]).count("<circle") == len(values)


def test_a_chart_without_points_is_none():
    """An empty frame would say nothing."""
    assert line_chart("title", [Series("line", []), Series("other", [(1, float("nan"))])]) == ""


def test_long_runs_are_thinned_and_keep_their_last_point():
    """A page of a million steps must still open."""
    chart = line_chart("title", [Series("line", [(step, float(step)) for step in range(10_001)])])
    points = json.loads(html.unescape(re.findall(r'data-series="([^"]*)"', chart)[0]))[0]["points"]
    assert len(points) <= 400
    assert points[-1][:2] == [10_000, 10_000.0]
