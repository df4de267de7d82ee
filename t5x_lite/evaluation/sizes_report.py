"""Models side by side on the terminal, and as one page with their sizes against their quality."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from etils import epath
from rich import table as rich_table

from t5x_lite.display import page
from t5x_lite.display.charts import Point, point_chart
from t5x_lite.display.progress import say
from t5x_lite.display.terminal import console, shown_size
from t5x_lite.evaluation.sizes import Measured, machine, measure
from t5x_lite.evaluation.sizes_config import SizesConfig
from t5x_lite.features.layouts import Layout

if TYPE_CHECKING:
    from t5x_lite.evaluation.sizes_quality import JobOf, Quality

_QUALITY = ("task", "split", "metric", "model", "score", "minus the first", "p", "examples")


def report_sizes(config: SizesConfig, job_of: "JobOf | None" = None) -> list[Measured]:
    """Measures the models, prints tables and writes the page, if one is asked for.

    Raises:
        FileNotFoundError, ValueError, UserError: as `measure`.
    """
    measured = measure(config, job_of)
    terminal = console()
    terminal.print(_table("sizes", sizes_header(config), sizes_rows(measured), numbers_from=1))
    terminal.print(explanation(config, measured), soft_wrap=True)
    if rows := quality_rows(measured):
        terminal.print(_table("quality", _QUALITY, rows, numbers_from=4))
    if config.output is not None:
        epath.Path(config.output).write_text(html(config, measured))
        say(f"written: {config.output}")
    return measured


def html(config: SizesConfig, measured: Sequence[Measured]) -> str:
    """A document that needs no other file and no network."""
    sizes = page.table(sizes_header(config), sizes_rows(measured), numbers_from=1)
    return page.page(
        "Sizes",
        [
            ("Sizes", f"{sizes}<p>{page.text(explanation(config, measured))}</p>"),
            ("Quality", page.table(_QUALITY, quality_rows(measured), numbers_from=4)),
            ("Size and quality", _charts(config, measured)),
        ],
    )


def sizes_header(config: SizesConfig) -> tuple[str, ...]:
    """Of the columns of `sizes_rows`."""
    batches = [f"ms, batch {size}" for size in config.batch_sizes]
    return ("model", "parameters", "not 0", "bytes", "stored as", *batches)


def sizes_rows(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A row for each model; behind its numbers what they are of the first one's, in per cent."""
    first = measured[0]

    def row(each: Measured) -> tuple[str, ...]:
        times = [
            # Of each round: what disturbed it disturbed both.
            _with_share(_shown(each.milliseconds(size)[0]), np.median(rounds / first.seconds[size]))
            for size, rounds in each.seconds.items()
        ]
        return (
            each.path,
            _with_share(f"{each.num_parameters:,}", each.num_parameters / first.num_parameters),
            _with_share(f"{each.num_nonzero:,}", each.num_nonzero / max(first.num_nonzero, 1)),
            _with_share(shown_size(each.num_bytes), each.num_bytes / first.num_bytes),
            ", ".join(each.dtypes),
            *times,
        )

    return [row(each) for each in measured]


def quality_rows(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A row for each score of each model, those of one metric together."""
    every = [(each.path, quality) for each in measured for quality in each.quality]
    order = {(q.scored, q.metric): place for place, (_, q) in reversed(list(enumerate(every)))}
    every.sort(key=lambda each: order[each[1].scored, each[1].metric])
    return [
        (
            *quality.scored,
            quality.metric,
            path,
            f"{quality.score:.2f} {quality.interval or ''}".rstrip(),
            *_difference(quality),
            f"{quality.num_examples:,}",
        )
        for path, quality in every
    ]


def explanation(config: SizesConfig, measured: Sequence[Measured]) -> str:
    """How it was measured."""
    does = [f"read {config.inputs_length} tokens"]
    if any(each.layout is not Layout.ENCODER for each in measured):
        does.append(f"write {config.targets_length} greedily where they have a decoder")
    spread = [
        (high - low) / middle
        for each in measured
        for middle, low, high in map(each.milliseconds, each.seconds)
    ]
    return (
        f"In brackets per cent of the first. Models {' and '.join(does)}, in turns, on "
        f"{machine()}; medians of {config.rounds} rounds, whose middle half spreads over up to "
        f"{100 * max(spread):.0f} % of them. Bytes are those of the parameters as they are stored."
    )


def _difference(quality: "Quality") -> tuple[str, str]:
    found = quality.difference
    if found is None:
        return "", ""
    return f"{found.difference:+.2f} {found.interval}", f"{found.p_value:.4f}"


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def _with_share(shown: str, share: float) -> str:
    return f"{shown} ({100 * share:.0f} %)"


def _charts(config: SizesConfig, measured: Sequence[Measured]) -> str:
    """For each metric its score over the bytes, and over the milliseconds of the first batch."""
    size = config.batch_sizes[0]

    def milliseconds(each: Measured) -> float:
        return each.milliseconds(size)[0]

    axes = (
        ("size", "MB", lambda each: each.num_bytes / 1e6),
        ("time", f"ms, batch {size}", milliseconds),
    )
    charts = [
        point_chart(f"{name} and {what}", _points(measured, name, x_of), unit=unit)
        for name in dict.fromkeys(quality.name for each in measured for quality in each.quality)
        for what, unit, x_of in axes
    ]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _points(
    measured: Sequence[Measured], name: str, x_of: Callable[[Measured], float]
) -> list[Point]:
    return [
        Point(each.path, x_of(each), quality.score, *_ends(quality))
        for each in measured
        for quality in each.quality
        if quality.name == name
    ]


def _ends(quality: "Quality") -> tuple[float, float]:
    found = quality.interval
    return (quality.score, quality.score) if found is None else (found.low, found.high)


def _table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int
) -> rich_table.Table:
    table = rich_table.Table(title=title)
    for place, name in enumerate(header):
        table.add_column(name, justify="right" if place >= numbers_from else "left")
    for row in rows:
        table.add_row(*row)
    return table
