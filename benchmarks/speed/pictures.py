"""Medians of all arms beside the limit of the machine, as a picture."""

import statistics

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed.results import Results
from benchmarks.speed.rounds import Measured
from benchmarks.speed.table import COMMANDS
from benchmarks.speed.tables import limit, shape
from t5x_lite.display import charts

_COLUMNS = 3
_INCHES = (3.4, 2.1)


def medians(results: Results) -> bytes | None:
    """A PNG, a part for each command, in the shape that was measured first; None without any."""
    runs = [found[0] for found in map(results.of, COMMANDS) if found]
    if not runs:
        return None
    rows = -(-len(runs) // _COLUMNS)
    with charts.style():
        size = _INCHES[0] * _COLUMNS, _INCHES[1] * rows
        figure = Figure(figsize=size, dpi=110, layout="constrained")
        parts = figure.subplots(rows, _COLUMNS, squeeze=False).flat
        for run, axes in zip(runs, parts):
            _draw(axes, run)
        for axes in parts[len(runs) :]:
            axes.set_axis_off()
        return charts.png(figure)


def _draw(axes: Axes, run: Measured) -> None:
    """The limit is that of float32 weights."""
    known = [limit(run, arm) for arm in run.seconds]
    least = max((each for each in known if each is not None), default=None)
    charts.draw_bars(
        axes, [(arm, statistics.median(every)) for arm, every in run.seconds.items()], least
    )
    axes.set_title(f"{run.command}: {shape(run)}")
    axes.set_xlabel("seconds")
