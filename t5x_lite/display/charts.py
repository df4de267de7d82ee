"""Charts, drawn by matplotlib: PNG files, and SVG that stands inside a page and needs no script."""

import contextlib
import dataclasses
import html
import io
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator

Number = float | int

# Almost black in a file. A page may be light or dark, so that there it is the colour of the text.
_TEXT = "#010203"
# Told apart also by people who do not see all colours (Okabe and Ito).
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", _TEXT)
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": _TEXT,
    "axes.grid": True,
    "axes.labelcolor": _TEXT,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": _TEXT,
    "legend.fontsize": "small",
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "svg.fonttype": "none",
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
}
_INCHES = (4.6, 2.6)
_DASHES = ("solid", "dashed", "dotted", "dashdot")
_MOST_POINTS, _MOST_MARKED = 400, 40
_MOST_BINS = 40
_BEYOND = 1


@dataclasses.dataclass(frozen=True)
class Series:
    """One line; `color` counts through COLORS, `dash` through patterns of which 0 is solid."""

    label: str
    points: Sequence[tuple[Number, Number]]
    color: int = 0
    dash: int = 0


class Point(NamedTuple):
    """A named point, and the interval that its height lies in."""

    label: str
    x: Number
    y: Number
    low: Number
    high: Number


class Bins(NamedTuple):
    """`counts[i]` values lie in [low + i * width, low + (i + 1) * width); the last bin also holds
    the few that are far beyond, `num_beyond`.
    """

    low: int
    width: int
    counts: Int[np.ndarray, " bins"]
    num_beyond: int

    @property
    def end(self) -> int:
        """Behind the last bin."""
        return self.low + len(self.counts) * self.width


@contextlib.contextmanager
def style() -> Iterator[None]:
    """How all charts look: to be entered where a figure is made."""
    with matplotlib.rc_context(_STYLE):
        yield


def line_chart(title: str, series: Sequence[Series]) -> str:
    """A figure of HTML, over steps; an empty text if no series has a finite point."""
    with style():
        figure = Figure(figsize=_INCHES, layout="constrained")
        draw_lines(figure.subplots(), series)
        if not figure.axes[0].lines:
            return ""
        figure.legend(loc="outside lower left", ncols=2)
        return _html(title, figure)


def draw_lines(axes: Axes, series: Sequence[Series]) -> None:
    """Each series with a finite point as a line, few points as dots too."""
    for each in series:
        points = _thin(each.points)
        if points:
            axes.plot(
                *zip(*points, strict=True),
                color=COLORS[each.color % len(COLORS)],
                linestyle=_DASHES[each.dash % len(_DASHES)],
                marker="o" if len(points) <= _MOST_MARKED else "",
                markersize=3,
                label=each.label,
            )


def point_chart(title: str, points: Sequence[Point], *, unit: str) -> str:
    """A figure of HTML: what is high and far to the left is good and cheap."""
    with style():
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        draw_points(axes, points)
        axes.set_xlabel(unit)
        figure.legend(loc="outside lower left", ncols=2)
        return _html(title, figure)


def draw_points(axes: Axes, points: Sequence[Point]) -> None:
    """Each with its interval, in a colour of its own, from 0 on."""
    for number, (label, x, y, low, high) in enumerate(points):
        ends, color = [[max(y - low, 0)], [max(high - y, 0)]], COLORS[number % len(COLORS)]
        axes.errorbar(x, y, yerr=ends, fmt="o", capsize=3, color=color, label=label)
    axes.set_xlim(left=0)


def histogram(
    title: str, values: Int[np.ndarray, " examples"], *, limit: int, note: str = ""
) -> str:
    """A figure of HTML, of lengths; bars behind `limit` have another colour, it is a line."""
    bins = bin_lengths(values)
    with style():
        figure = Figure(figsize=_INCHES, layout="constrained")
        draw_bins(figure.subplots(), bins, limit)
        beyond = (
            f"{bins.num_beyond:,} beyond {bins.end - 1:,} are in the last bar"
            if bins.num_beyond
            else ""
        )
        return _html(title, figure, ", ".join(each for each in (note, beyond) if each))


def draw_bins(axes: Axes, bins: Bins, limit: int) -> None:
    """Bars as high as their counts, and the limit where it lies among them."""
    starts = bins.low + bins.width * np.arange(len(bins.counts))
    colors = [COLORS[_BEYOND if start > limit else 0] for start in starts]
    axes.bar(starts, bins.counts, 0.9 * bins.width, align="edge", color=colors)
    axes.set_xlim(bins.low, bins.end)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator("auto", integer=True))
    if bins.low <= limit < bins.end:
        axes.axvline(limit + 1, color=_TEXT, linestyle="dashed")
        axes.set_title(f"limit {limit:,}", fontsize="small")


def bar_chart(
    title: str, parts: Sequence[tuple[str, Number]], *, limit: Number | None = None, unit: str = ""
) -> str:
    """A figure of HTML: a bar for each part, from above, and a line at the `limit` of the whole."""
    with style():
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        draw_bars(axes, parts, limit)
        axes.set_xlabel(unit)
        return _html(title, figure)


def draw_bars(axes: Axes, parts: Sequence[tuple[str, Number]], limit: Number | None = None) -> None:
    """Bars as long as their values, with their names before them."""
    names, values = zip(*parts, strict=True)
    axes.barh(range(len(parts)), values, color=COLORS[0])
    axes.set_yticks(range(len(parts)), names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if limit is not None:
        axes.axvline(limit, color=_TEXT, linestyle="dashed")


def bin_lengths(values: Int[np.ndarray, " examples"]) -> Bins:
    """At most 40 bins of whole numbers; a long tail does not squeeze the rest.

    >>> bin_lengths(np.array([1, 2, 2, 4])).counts.tolist()
    [1, 2, 0, 1]
    """
    low, highest = int(values.min()), int(values.max())
    usual = int(np.percentile(values, 99, method="inverted_cdf"))
    high = highest if highest <= 2 * usual else math.ceil(1.25 * usual)
    width = max(math.ceil((high - low + 1) / _MOST_BINS), 1)
    index = np.minimum((values - low) // width, (high - low) // width)
    counts = np.bincount(index.astype(np.int64))
    end = low + len(counts) * width
    return Bins(low, width, counts, int(np.count_nonzero(values >= end)))


def png(figure: Figure) -> bytes:
    """The file of a figure that was made in `style`."""
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _html(title: str, figure: Figure, note: str = "") -> str:
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    # In a page an id may stand once: those of shapes are made from the title, those of groups go.
    with matplotlib.rc_context({"svg.hashsalt": title}):
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    # Nothing lies outside the axes that must not be seen.
    svg = re.sub(r' clip-path="[^"]*"|<clipPath.*?</clipPath>', "", svg, flags=re.DOTALL)
    named = f'<svg role="img" aria-label="{html.escape(title)}"'
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'{svg.replace("<svg", named, 1)}<div class="soft">{html.escape(note)}</div></figure>'
    )


def _thin(points: Sequence[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    """At most 400 of the finite points, evenly chosen, the last one included."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    every = -(-len(finite) // _MOST_POINTS) or 1
    return [point for index, point in enumerate(finite) if (len(finite) - 1 - index) % every == 0]
