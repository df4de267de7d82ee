"""Records as a picture: every seed is a dot, so that the spread is seen."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.experiments import statistics
from benchmarks.experiments.experiment import Chart, Record, arms, by_seed
from t5x_lite.display import charts
from t5x_lite.display.charts import COLORS


def png(title: str, chart: Chart, records: Sequence[Record]) -> bytes:
    """The picture of an experiment."""
    with charts.style():
        # As many bars as there are arms need their room.
        height = max(3.6, 0.3 * len(arms(records))) if chart.x is None else 3.6
        figure = Figure(figsize=(6.4, height), dpi=110, layout="constrained")
        axes = figure.subplots()
        if chart.x is None:
            _bars(axes, chart, records)
        elif isinstance(chart.x, str):
            _curves(axes, chart, records)
        else:
            _over(axes, chart, chart.x, records)
        axes.set_title(title)
        return charts.png(figure)


def _bars(axes: Axes, chart: Chart, records: Sequence[Record]) -> None:
    names = [arm for arm in arms(records) if by_seed(records, arm, chart.metric)]
    for place, arm in enumerate(names):
        values = list(by_seed(records, arm, chart.metric).values())
        mean = statistics.spread(values).mean
        axes.barh(place, mean, color=COLORS[place % len(COLORS)], alpha=0.55, height=0.6)
        axes.plot(values, [place] * len(values), "o", color="black", markersize=4)
        axes.annotate(
            f"{mean:.2f}", (max(values), place), (6, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel(chart.label)
    axes.margins(x=0.15)


def _curves(axes: Axes, chart: Chart, records: Sequence[Record]) -> None:
    """Lines of the arms that have a curve; the others are levels."""
    for place, arm in enumerate(arms(records)):
        color = COLORS[place % len(COLORS)]
        label: str | None = arm
        own = [record for record in records if record.arm == arm]
        for record in (each for each in own if each.curve):
            axes.plot(*zip(*record.curve), color=color, label=label)
            label = None
        if label is not None:
            mean = statistics.spread([record.scores[chart.metric] for record in own]).mean
            axes.axhline(mean, color=color, linestyle="--", linewidth=1, label=label)
    axes.set(xlabel=chart.x, ylabel=chart.label)
    axes.legend()


def _over(axes: Axes, chart: Chart, places: Mapping[str, float], records: Sequence[Record]) -> None:
    """Means over a number that arms have, with their seeds; the others are levels."""
    placed = [arm for arm in arms(records) if arm in places]
    spreads = []
    for arm in placed:
        values = list(by_seed(records, arm, chart.metric).values())
        spreads.append(statistics.spread(values))
        axes.plot([places[arm]] * len(values), values, "o", color="black", markersize=3)
    axes.plot([places[arm] for arm in placed], [each.mean for each in spreads], color=COLORS[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks([places[arm] for arm in placed], [f"{places[arm]:g}" for arm in placed])
    axes.minorticks_off()
    for place, arm in enumerate(arms(records)):
        if arm not in places:
            level = statistics.spread(list(by_seed(records, arm, chart.metric).values())).mean
            color = COLORS[1 + place % (len(COLORS) - 1)]
            axes.axhline(level, color=color, linestyle="--", linewidth=1, label=arm)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    axes.set(xlabel=chart.x_label, ylabel=chart.label)
