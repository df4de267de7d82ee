"""How the time of a step grows with chips, as pictures."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results
from benchmarks.pods.scaling import STRONG, WEAK
from t5x_lite.display import charts
from t5x_lite.display.charts import Series


def scaling(results: Results) -> bytes:
    """A PNG: weak scaling on the left, strong scaling on the right."""
    with charts.style():
        figure = Figure(figsize=(8.4, 3.4), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2)
        _draw(left, WEAK, results, "as many rows for each chip")
        _draw(right, STRONG, results, "as many rows in all")
        right.set_yscale("log", base=2)
        return charts.png(figure)


def _draw(axes: Axes, programs: Mapping[int, Program], results: Results, title: str) -> None:
    """Milliseconds of a step, and of it what chips compute."""
    plans = {chips: results.find(program) for chips, program in programs.items()}
    known = {chips: plan for chips, plan in plans.items() if plan and plan["fits"]}
    steps = [(chips, 1000 * plan["step_seconds_estimate"]) for chips, plan in known.items()]
    computing = [(chips, 1000 * plan["compute_seconds"]) for chips, plan in known.items()]
    charts.draw_lines(
        axes,
        [Series("a step", steps), Series("of it computing", computing, color=1, dash=1)],
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(known), [f"{chips:,}" for chips in known])
    axes.minorticks_off()
    axes.set(xlabel="chips", ylabel="ms, estimated", title=title)
    if known:
        axes.set_ylim(bottom=0)
        axes.legend()
