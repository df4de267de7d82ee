"""Bars without a script: histograms as inline SVG, shares and stacked parts as tables."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from t5x_lite.display.line_chart import COLORS, Number

_WIDTH, _HEIGHT = 460, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 16, 28
_MOST_BINS = 40
_BEYOND = 1
# Where in its bar a number under it stands.
_ANCHORS = {"start": 0.0, "middle": 0.5, "end": 1.0}


class Bins(NamedTuple):
    """`counts[i]` values lie in [low + i * width, low + (i + 1) * width); the last bin also holds
    the few that are far beyond, `num_beyond`.
    """

    low: int
    width: int
    counts: Int[np.ndarray, " bins"]
    num_beyond: int


class Bar(NamedTuple):
    """A row of `bars`: what stands before the bar, parts of the whole (0 to 1) and what stands
    behind it, a cell each.
    """

    label: str
    parts: Sequence[float]
    cells: Sequence[str]


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


def histogram(
    title: str, values: Int[np.ndarray, " examples"], *, limit: int, note: str = ""
) -> str:
    """A figure of lengths; bars behind `limit` have another colour, the limit is a line."""
    bins = bin_lengths(values)
    end = bins.low + len(bins.counts) * bins.width
    top = int(bins.counts.max())

    def across(value: Number) -> float:
        share = (value - bins.low) / (end - bins.low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def up(count: Number) -> float:
        return round(_HEIGHT - _BOTTOM - count / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = []
    for count in _ticks(top):
        at = up(count)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>'
        )
        parts.append(f'<text x="{_LEFT - 6}" y="{at + 4}" text-anchor="end">{count:,}</text>')
    for index, count in enumerate(map(int, bins.counts)):
        if count:
            start = bins.low + index * bins.width
            left, right = across(start), across(start + bins.width)
            color = COLORS[_BEYOND if start > limit else 0]
            parts.append(
                f'<rect x="{left}" y="{up(count)}" width="{max(right - left - 0.8, 0.8):.1f}" '
                f'height="{_HEIGHT - _BOTTOM - up(count):.1f}" style="fill:{color}">'
                f"<title>{_range(start, bins.width)} tokens: {count:,}</title></rect>"
            )
    for value, anchor in {
        (bins.low + end) // 2: "middle",
        bins.low: "start",
        end - 1: "end",
    }.items():
        place = f'x="{across(value + _ANCHORS[anchor])}" y="{_HEIGHT - _BOTTOM + 16}"'
        parts.append(f'<text {place} text-anchor="{anchor}">{value:,}</text>')
    if bins.low <= limit < end:
        at = across(limit + 1)
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{_TOP}" y2="{up(0)}"/>')
        anchor = "end" if at > _WIDTH / 2 else "start"
        parts.append(f'<text x="{at}" y="{_TOP - 4}" text-anchor="{anchor}">limit {limit:,}</text>')
    beyond = (
        f"{bins.num_beyond:,} beyond {end - 1:,} are in the last bar" if bins.num_beyond else ""
    )
    notes = ", ".join(each for each in (note, beyond) if each)
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'{"".join(parts)}</svg><div class="values">{html.escape(notes)}</div></figure>'
    )


def bars(header: Sequence[str], rows: Sequence[Bar], *, legend: Sequence[str] = ()) -> str:
    """A table with a bar of one or several parts in its second column; empty without rows.

    Args:
        header: of all columns, the bar's included.
        legend: the name of each part.
    """
    if not rows:
        return ""
    titles = "".join(
        f'<th class="{"number" if index > 1 else ""}">{html.escape(each)}</th>'
        for index, each in enumerate(header)
    )
    body = "\n".join(
        f"<tr><td>{html.escape(row.label)}</td><td>{_bar(row.parts)}</td>"
        + "".join(f'<td class="number">{html.escape(cell)}</td>' for cell in row.cells)
        + "</tr>"
        for row in rows
    )
    keys = "".join(
        f'<span class="key"><i class="swatch" style="background:{_color(index)}"></i>'
        f"{html.escape(name)}</span>"
        for index, name in enumerate(legend)
    )
    return (
        f'<div class="scroll"><table class="bars"><thead><tr>{titles}</tr></thead><tbody>\n{body}\n'
        f"</tbody></table></div>{keys}"
    )


def _bar(parts: Sequence[float]) -> str:
    pieces = "".join(
        f'<i style="width:{100 * part:.2f}%;background:{_color(index)}"></i>'
        for index, part in enumerate(parts)
    )
    return f'<div class="bar">{pieces}</div>'


def _color(index: int) -> str:
    return COLORS[index % len(COLORS)]


def _range(start: int, width: int) -> str:
    return f"{start:,}" if width == 1 else f"{start:,} to {start + width - 1:,}"


def _ticks(top: int) -> list[int]:
    """Zero, half and all, where these are whole numbers of their own."""
    return sorted({0, top // 2, top})
