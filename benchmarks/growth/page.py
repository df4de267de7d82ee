"""Curves as tables and a picture of docs/growth.md, between comments as in docs/pods.md."""

import pathlib
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.growth import points
from benchmarks.growth.curves import CURVES, Curve
from benchmarks.growth.points import Point, exponent
from benchmarks.pods.page import Picture, rewrite
from t5x_lite.display import charts
from t5x_lite.display.charts import Series

_PICTURE = "growth/curves.png"
_COLUMNS = 3
_INCHES = (3.2, 2.5)


def publish(folder: pathlib.Path, docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder and the picture beside it.

    Raises:
        UserError: the page has no place for a table.
    """
    found = points.read(folder)
    tables = {name: table(CURVES[name], found.get(name, ())) for name in CURVES}
    drawn = Picture("curves", _PICTURE, "how costs grow", picture(found))
    rewrite(docs / "growth.md", tables, drawn)


def table(curve: Curve, found: Sequence[Point]) -> list[str]:
    """A row for each point, the exponents below."""
    if not found:
        return ["Nothing of it is measured yet."]
    lines = [f"| {' | '.join([curve.x, *curve.shown.values()])} |"]
    lines.append(f"|{' --- |' * (1 + len(curve.shown))}")
    for point in found:
        numbers = (f"{point.numbers[name]:.3g}" for name in curve.shown)
        lines.append(f"| {point.value:,} | {' | '.join(numbers)} |")
    exponents = (f"{exponent(found, name):.2f}" for name in curve.shown)
    return [*lines, f"| **exponent** | {' | '.join(exponents)} |", "", f"At most: {curve.most}."]


def picture(found: Mapping[str, Sequence[Point]]) -> bytes | None:
    """A PNG, a part for each curve, both axes logarithmic; None without any."""
    known = [(CURVES[name], found[name]) for name in CURVES if name in found]
    if not known:
        return None
    rows = -(-len(known) // _COLUMNS)
    with charts.style():
        size = _INCHES[0] * _COLUMNS, _INCHES[1] * rows
        figure = Figure(figsize=size, dpi=110, layout="constrained")
        parts = figure.subplots(rows, _COLUMNS, squeeze=False).flat
        for (curve, every), axes in zip(known, parts):
            _draw(axes, curve, every)
        for axes in parts[len(known) :]:
            axes.set_axis_off()
        return charts.png(figure)


def _draw(axes: Axes, curve: Curve, found: Sequence[Point]) -> None:
    """Each number, and beside the first what grows in proportion."""
    series = [
        Series(label, [(point.value, point.numbers[name]) for point in found], color=color)
        for color, (name, label) in enumerate(curve.shown.items())
    ]
    first = series[0].points[0]
    proportional = [(point.value, first[1] * point.value / first[0]) for point in found]
    charts.draw_lines(axes, [*series, Series("in proportion", proportional, color=7, dash=1)])
    axes.set(xscale="log", yscale="log", xlabel=curve.x, title=curve.title)
    axes.set_xticks([point.value for point in found], [f"{point.value:,}" for point in found])
    axes.minorticks_off()
    axes.legend(fontsize="x-small")
