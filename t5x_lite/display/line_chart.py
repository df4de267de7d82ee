"""Line charts as inline SVG: no network, no library, readable without a script.

The script of the page (`page.py`) shows values under the pointer and hides lines by their legend;
it reads what stands in the attribute `data-series`.
"""

import dataclasses
import html
import json
import math
from collections.abc import Callable, Sequence

from t5x_lite.display import page

Number = float | int
Place = Callable[[Number, Number], tuple[float, float]]

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 30
_MOST_POINTS = 400
# The page gives them values that stand out on a light and on a dark ground.
COLORS = tuple(f"var(--color-{index})" for index in range(page.NUM_COLORS))
_DASHES = ("", "5 3", "1.5 2.5", "9 3", "9 3 2 3")


@dataclasses.dataclass(frozen=True)
class Series:
    """One line; `color` counts through COLORS, `dash` through patterns of which 0 is solid."""

    label: str
    points: Sequence[tuple[Number, Number]]
    color: int = 0
    dash: int = 0


def line_chart(title: str, series: Sequence[Series]) -> str:
    """A figure over steps; an empty text if no series has a finite point."""
    drawn = [dataclasses.replace(each, points=_thin(each.points)) for each in series]
    drawn = [each for each in drawn if each.points]
    if not drawn:
        return ""
    x_low, x_high = _limits([x for each in drawn for x, _ in each.points])
    y_low, y_high = _limits([y for each in drawn for _, y in each.points])
    y_ticks = _ticks(y_low, y_high)
    y_low, y_high = min(y_low, y_ticks[0]), max(y_high, y_ticks[-1])

    def place(x: Number, y: Number) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        up = (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return round(_LEFT + across, 1), round(_HEIGHT - _BOTTOM - up, 1)

    parts = []
    for y in y_ticks:
        _, at = place(x_low, y)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{_short(y)}</text>')
    for x in _ticks(x_low, x_high):
        if x_low <= x <= x_high:
            at, _ = place(x, y_low)
            below = f'x="{at}" y="{_HEIGHT - _BOTTOM + 16}"'
            parts.append(f'<text {below} text-anchor="middle">{_short(x)}</text>')
    parts += [_line(index, each, place) for index, each in enumerate(drawn)]
    data = [
        {"label": each.label, "points": [[x, y, *place(x, y)] for x, y in each.points]}
        for each in drawn
    ]
    legend = "".join(
        f'<span class="key" data-line="{index}"><i style="border-top:2px '
        f'{"dashed" if each.dash else "solid"} {_color(each)}"></i>'
        f"{html.escape(each.label)}</span>"
        for index, each in enumerate(drawn)
    )
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}" '
        f'data-series="{html.escape(json.dumps(data), quote=True)}">{"".join(parts)}</svg>'
        f'<div class="legend">{legend}</div><div class="values"></div></figure>'
    )


def _line(index: int, series: Series, place: Place) -> str:
    placed = [place(x, y) for x, y in series.points]
    pattern = _DASHES[series.dash % len(_DASHES)]
    dash = f' stroke-dasharray="{pattern}"' if pattern else ""
    path = " ".join(f"{x},{y}" for x, y in placed)
    marks = ""
    if len(placed) <= 40:
        marks = "".join(f'<circle cx="{x}" cy="{y}" r="2.2"/>' for x, y in placed)
    color = _color(series)
    return (
        f'<g class="line" data-line="{index}" style="stroke:{color};fill:{color}">'
        f'<polyline points="{path}"{dash}/>{marks}</g>'
    )


def _color(series: Series) -> str:
    return COLORS[series.color % len(COLORS)]


def _thin(points: Sequence[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    """At most 400 of the finite points, evenly chosen, the last one included."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    every = -(-len(finite) // _MOST_POINTS) or 1
    return [point for index, point in enumerate(finite) if (len(finite) - 1 - index) % every == 0]


def _limits(values: Sequence[Number]) -> tuple[float, float]:
    low, high = float(min(values)), float(max(values))
    if low == high == 0:
        return 0.0, 1.0
    if low == high:
        margin = abs(low) / 2 or 0.5
        return low - margin, high + margin
    return low, high


def _ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers from at or below `low` to at or above `high`."""
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _short(value: float) -> str:
    if abs(value) >= 1e6 or 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.6g}"
