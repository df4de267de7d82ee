"""How the time of a step grows with chips, as pictures."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results
from benchmarks.pods.scaling import STRONG, WEAK
from t5x_lite.display import charts
from t5x_lite.display.charts import Series


def scaling(results: Results) -> bytes | None:
    """A PNG: weak scaling on the left, strong scaling on the right; None before there are lines."""
    if min(len(_known(programs, results)) for programs in (WEAK, STRONG)) < 2:
        return None
    with charts.style():
        figure = Figure(figsize=(8.4, 3.4), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw(left, _known(WEAK, results), "as many rows for each chip")
        _draw(right, _known(STRONG, results), "as many rows in all")
        return charts.png(figure)


def _known(programs: Mapping[int, Program], results: Results) -> dict[int, Mapping[str, Any]]:
    """Chips -> the plan of a program that was compiled and fits."""
    plans = ((chips, results.find(program)) for chips, program in programs.items())
    return {chips: plan for chips, plan in plans if plan and plan["fits"]}


def _draw(axes: Axes, plans: Mapping[int, Mapping[str, Any]], title: str) -> None:
    """Milliseconds of a step, and of it what chips compute."""
    steps = [(chips, 1000 * plan["step_seconds_estimate"]) for chips, plan in plans.items()]
    computing = [(chips, 1000 * plan["compute_seconds"]) for chips, plan in plans.items()]
    charts.draw_lines(
        axes,
        [Series("a step", steps), Series("of it computing", computing, color=1, dash=1)],
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(plans), [f"{chips:,}" for chips in plans])
    axes.minorticks_off()
    axes.set(xlabel="chips", ylabel="ms, estimated", title=title)
    axes.set_ylim(bottom=0)
    axes.legend()
