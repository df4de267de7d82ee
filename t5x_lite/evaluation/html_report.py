"""The report as one page: scores, curves, samples over time, configuration, parameters.

Several runs share each chart, a colour for each; details (samples, configuration, parameters,
checkpoints) are those of every run in turn.
"""

import dataclasses
import datetime
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from t5x_lite.checkpoints.folders import PINNED, absolute
from t5x_lite.display import page
from t5x_lite.display.charts import Series, line_chart
from t5x_lite.display.terminal import shown_range, shown_size
from t5x_lite.evaluation.files import read
from t5x_lite.evaluation.runs import Run
from t5x_lite.gin_text import statements

_SAMPLES_EACH_TASK = 6
_STEPS_OF_SAMPLES = 6

# Tag of train/metrics.jsonl -> heading of its chart.
_TRAINING_CHARTS = {
    "learning_rate": "learning rate",
    "weight_gradient_norm": "gradient norm",
    "timing/steps_per_second": "steps per second",
    "timing/real_tokens_per_second": "tokens per second, without padding",
    "timing/data_wait_fraction": "share of the time spent waiting for data",
    "timing/mfu": "model FLOP/s utilization",
    "unhealthy_steps": "unhealthy steps",
}
# These are drawn for training and for the held-out examples of each task.
_LOSS_CHARTS = {"loss_per_token": "loss, nats per target token", "accuracy": "token accuracy"}


def html_report(runs: Sequence[Run]) -> str:
    """A document that needs no other file and no network."""
    return page.page(
        f"Report: {', '.join(run.label for run in runs)}",
        [
            ("Scores", scores(runs)),
            ("Curves", curves(runs)),
            ("Samples over time", _each(runs, samples)),
            ("Configuration", _each(runs, configuration)),
            ("Parameters", _each(runs, lambda run: page.code(run.text("model-info.txt")))),
            ("Checkpoints", _each(runs, checkpoints)),
        ],
    )


def scores(runs: Sequence[Run]) -> str:
    """The newest of each task and run, with intervals, beside the trivial baseline; then
    averages of benchmarks and rates.
    """
    rows, rates = [], []
    names: list[str] = []
    for run in runs:
        for scored, found in run.newest.items():
            baselines = run.baselines(scored)
            for metric in found.scores:
                shown = run.score_text(scored, metric), _number(baselines.get(metric))
                examples = found.statistics.get("num_examples", "-")
                place = *scored, metric, run.label
                rows.append((*place, str(found.step), *shown, str(examples)))
            if found.statistics.get("rates"):
                names = list(found.statistics["rates"])
                numbers = [f"{rate:.1f} %" for rate in found.statistics["rates"].values()]
                rates.append((*scored, run.label, *numbers))
    averages = [
        (*scored, "mean of tasks", run.label, "", f"{value:.2f}", "", "")
        for run in runs
        for scored, value in run.averages.items()
    ]
    header = ("task", "split", "metric", "run", "step", "score", "trivial baseline", "examples")
    return (
        page.table(header, sorted(rows) + averages, numbers_from=4)
        + (_explanation(runs) if rows else "")
        + page.table(("answers of", "split", "run", *names), sorted(rates), numbers_from=3)
    )


def curves(runs: Sequence[Run]) -> str:
    """A chart for each quantity that any run recorded."""
    charts = []
    for tag, heading in _LOSS_CHARTS.items():
        series = [
            dataclasses.replace(each, label=f"{run.label}: {each.label}", color=color)
            for color, run in enumerate(runs)
            for each in loss_series(run, tag)
        ]
        charts.append(line_chart(heading, series))
    for task, metric in dict.fromkeys(
        (scored.task, metric)
        for run in runs
        for scored, found in run.newest.items()
        for metric in found.scores
    ):
        series = [
            each for color, run in enumerate(runs) for each in _decoded(run, task, metric, color)
        ]
        charts.append(line_chart(f"{task}: {metric}", series))
    for tag, heading in _TRAINING_CHARTS.items():
        series = [
            Series(run.label, _points(run.train, tag), color) for color, run in enumerate(runs)
        ]
        charts.append(line_chart(heading, series))
    drawn = "".join(charts)
    return f'<div class="charts">{drawn}</div>' if drawn else ""


def loss_series(run: Run, tag: str) -> list[Series]:
    """What was recorded under a tag while training, and of the held-out examples of each task."""
    held_out = enumerate(run.held_out.items(), start=1)
    return [
        Series("training", _points(run.train, tag)),
        *(
            Series(f"held-out {task}", _points(lines, tag), dash=dash)
            for dash, (task, lines) in held_out
        ),
    ]


def samples(run: Run) -> str:
    """The same examples at several steps, spread evenly over a task's: none is chosen by hand."""
    parts = []
    for scored, history in run.history.items():
        newest = {found.step: found.predictions for found in history if found.predictions}
        steps = _spread(sorted(newest), _STEPS_OF_SAMPLES)
        by_step = {step: {_key(line): line for line in read(newest[step])} for step in steps}
        # Evaluations may be of more or fewer examples: what most steps have in common.
        counts = Counter(key for lines in by_step.values() for key in lines)
        most = max(counts.values(), default=0)
        example = {key: line for lines in by_step.values() for key, line in lines.items()}
        common = [key for key in example if counts[key] == most]
        rows = []
        for key in _spread(common, _SAMPLES_EACH_TASK):
            features = example[key]["input"]
            answers = [
                lines[key]["prediction"] if key in lines else "-" for lines in by_step.values()
            ]
            source, target = (features.get(f"{name}_pretokenized", "") for name in _TEXTS)
            rows.append((source, target, *answers))
        header = ("input", "reference", *(f"step {step}" for step in steps))
        parts.append(f"<h3>{page.text(str(scored))}</h3>{page.table(header, rows)}" if rows else "")
    return "".join(parts)


def configuration(run: Run) -> str:
    """What differs from the run that the parameters came from, and all of it."""
    own = statements(run.text("config.gin"))
    parts = []
    if run.parent is not None:
        parent = _parent_text(run.parent)
        if parent:
            before = statements(parent)
            names = [name for name in {**own, **before} if own.get(name) != before.get(name)]
            rows = [(name, before.get(name, "-"), own.get(name, "-")) for name in sorted(names)]
            parts.append(f"<p>Starts from {page.text(run.parent)}. What is different:</p>")
            parts.append(page.table(("", "parent", run.label), rows, class_name="diff"))
        else:
            parts.append(
                f"<p>Starts from {page.text(run.parent)}, which has no config.gin of ours or is "
                "gone, so there is nothing to compare with.</p>"
            )
    for name in ("config.gin", "eval_config.gin"):
        parts.append(page.folded(name, page.code(run.text(name))))
    return "".join(parts)


def checkpoints(run: Run) -> str:
    """Those that are kept, with what they are the best of."""
    best: dict[int, list[str]] = {}
    text = run.text("best_checkpoints.json")
    for task, entry in (json.loads(text) if text else {}).items():
        best.setdefault(entry["best"]["step"], []).append(f"{task} {entry['best']['value']:.4g}")
    rows = []
    for step, path in run.checkpoints:
        files = [each.stat() for each in (*path.glob("*"), *path.glob("*/*"), *path.glob("*/*/*"))]
        num_bytes = sum(each.length for each in files if not each.is_directory)
        written = datetime.datetime.fromtimestamp(path.stat().mtime, datetime.UTC)
        pinned = "pinned" if (path / PINNED).exists() else ""
        shown = f"{written:%Y-%m-%d %H:%M} UTC", shown_size(num_bytes)
        rows.append((step, *shown, pinned, ", ".join(best.get(step, ()))))
    return page.table(("step", "written", "size", "", "best of the run for"), rows)


def _each(runs: Sequence[Run], part: Any) -> str:
    """A part of every run, each under its name if there are several."""
    if len(runs) == 1:
        return part(runs[0])
    bodies = [(run, part(run)) for run in runs]
    return "".join(f"<h3>{page.text(run.label)}</h3>{body}" for run, body in bodies if body)


_TEXTS = ("inputs", "targets")


def _key(line: Mapping[str, Any]) -> str:
    return json.dumps(line["input"], sort_keys=True)


def _points(lines: Iterable[Mapping[str, Any]], tag: str) -> list[tuple[float | int, float | int]]:
    return [(line["step"], line[tag]) for line in lines if line.get(tag) is not None]


def _decoded(run: Run, task: str, metric: str, color: int) -> list[Series]:
    """A line for each split that the task was evaluated on."""
    points: dict[str, dict[int, float | int]] = {
        scored.split: {each.step: each.scores[metric] for each in found if metric in each.scores}
        for scored, found in run.history.items()
        if scored.task == task
    }
    return [
        Series(
            f"{run.label}: {split}" if len(points) > 1 else run.label,
            sorted(each.items()),
            color,
            dash=index,
        )
        for index, (split, each) in enumerate(points.items())
    ]


def _spread(values: Sequence, count: int) -> list:
    """At most `count` of the values, evenly, first and last included."""
    if len(values) <= count:
        return list(values)
    return [values[round(index * (len(values) - 1) / (count - 1))] for index in range(count)]


def _explanation(runs: Sequence[Run]) -> str:
    every = [found.statistics for run in runs for found in run.newest.values()]
    known = [each for each in every if each.get("intervals")]
    if not known:
        return ""
    drawn = {i["num_resamples"] for each in known for i in each["intervals"].values()}
    splits = sorted({each["split"] for each in known})
    return (
        f"<p>In brackets {100 * known[0]['confidence']:g} % intervals: bootstrap percentiles of "
        f"{shown_range(drawn)} resamples of the examples of {page.text(', '.join(splits))}. Two "
        "runs are compared with t5x_lite compare: intervals that overlap may still belong to a "
        "difference that is sure.</p>"
    )


def _parent_text(path: str) -> str:
    """The config.gin of the run that wrote a checkpoint."""
    for folder in (absolute(path), absolute(path).parent):
        file = folder / "config.gin"
        if file.is_file():
            return file.read_text()
    return ""


def _number(value: float | int | None) -> str:
    return "-" if value is None else f"{value:.2f}"
