"""What runs have come to: a table of scores, predictions beside their references, loss curves.

It only reads what train and eval wrote into model directories, so a report can be made at any time,
also while a run goes on.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath
from rich import console as rich_console
from rich import table as rich_table

from t5x_lite.checkpoints.manager import absolute

Number = float | int

_NUM_PREDICTIONS = 10
_LOG_WIDTH = 140
_TEXT_FEATURES = ("inputs_pretokenized", "targets_pretokenized")


@dataclasses.dataclass(frozen=True)
class Run:
    """What one model directory holds; a part that was never written is empty."""

    label: str
    train: Sequence[Mapping[str, Number]]
    held_out: Mapping[str, Sequence[Mapping[str, Number]]]
    scores: Mapping[str, Mapping[str, Number]]
    baselines: Mapping[str, Mapping[str, Number]]
    predictions: Mapping[str, Sequence[Mapping[str, Any]]]


def report(model_dirs: Sequence[str]) -> epath.Path:
    """Prints a table of scores (a column for each directory that was evaluated) and ten
    predictions, writes report.md and loss.png into the first directory and returns its path.

    Raises:
        FileNotFoundError: a directory holds nothing that train or eval wrote.
    """
    runs = [read_run(path) for path in model_dirs]
    output = absolute(model_dirs[0])
    tables = [table for table in (scores_table(runs), predictions_table(runs)) if table.row_count]
    terminal = rich_console.Console()
    if not terminal.is_terminal:
        # A log has no width of its own; 80 columns would fold every cell.
        terminal = rich_console.Console(width=_LOG_WIDTH)
    for table in tables:
        terminal.print(table)
    (output / "report.md").write_text("\n".join(_markdown(table) for table in tables))
    plot_losses(runs, output / "loss.png")
    terminal.print(f"written: {output}/report.md, {output}/loss.png", soft_wrap=True)
    return output


def read_run(path: epath.PathLike) -> Run:
    """Reads one model directory."""
    directory = absolute(path)
    evaluated = directory / "inference_eval"
    names = [file.name for file in _files(evaluated)]
    tasks = sorted(name[: -len("-metrics.jsonl")] for name in names if "-metrics.jsonl" in name)
    scores = {task: _read(evaluated / f"{task}-metrics.jsonl")[-1] for task in tasks}
    baselines = {}
    for task in tasks:
        copy, constant = _read(evaluated / f"{task}-baselines.json")[0].values()
        baselines[task] = {metric: max(copy[metric], constant[metric]) for metric in copy}
    run = Run(
        label=directory.name,
        train=_read(directory / "train" / "metrics.jsonl"),
        held_out={
            folder.name: _read(folder / "metrics.jsonl")
            for folder in _files(directory / "training_eval")
        },
        scores=scores,
        baselines=baselines,
        predictions={
            task: _read(evaluated / f"{task}-{int(scores[task]['step']):06}.jsonl")
            for task in tasks
        },
    )
    if not run.train and not run.scores:
        raise FileNotFoundError(
            f"nothing to report in {directory}: needed is a model directory in which "
            "`t5x_lite train` wrote train/metrics.jsonl or `t5x_lite eval` wrote inference_eval/."
        )
    return run


def scores_table(runs: Sequence[Run]) -> rich_table.Table:
    """Task, metric, the trivial baseline, and a score for each run that has one."""
    scored = [run for run in runs if run.scores]
    table = rich_table.Table(title="scores on held-out examples")
    table.add_column("task")
    table.add_column("metric")
    for name in ("trivial baseline", *(run.label for run in scored)):
        table.add_column(name, justify="right")
    for task in dict.fromkeys(task for run in scored for task in run.scores):
        first = next(run for run in scored if task in run.scores)
        for metric in (name for name in first.scores[task] if name != "step"):
            values = [run.scores.get(task, {}).get(metric) for run in scored]
            cells = ["-" if value is None else f"{value:.2f}" for value in values]
            table.add_row(task, metric, f"{first.baselines[task][metric]:.2f}", *cells)
    return table


def predictions_table(runs: Sequence[Run]) -> rich_table.Table:
    """Ten predictions of the first evaluated run, spread evenly over its tasks and over each task's
    examples: none is chosen by hand.
    """
    table = rich_table.Table(title="predictions", show_lines=True)
    for name in ("task", "input", "about", "prediction", "reference"):
        table.add_column(name, overflow="fold")
    run = next((run for run in runs if run.predictions), None)
    if run is None:
        return table
    tasks = list(run.predictions)
    for index in range(_NUM_PREDICTIONS):
        task = tasks[index % len(tasks)]
        lines = run.predictions[task]
        share = index // len(tasks) / -(-_NUM_PREDICTIONS // len(tasks))
        line = lines[int(share * len(lines))]
        features = line["input"]
        others = [value for name, value in features.items() if name not in _TEXT_FEATURES]
        table.add_row(
            task,
            _short(features["inputs_pretokenized"]),
            _short(" ".join(others), 24),
            _short(str(line["prediction"])),
            _short(features["targets_pretokenized"]),
        )
    return table


def plot_losses(runs: Sequence[Run], path: epath.Path) -> None:
    """One panel a run: training loss per token, and held-out loss of each task."""
    # A file is wanted, not a window: this back end needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    trained = [run for run in runs if run.train]
    figure = Figure(figsize=(5.5 * max(len(trained), 1), 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for index, run in enumerate(trained):
        axes = figure.add_subplot(1, len(trained), index + 1)
        axes.plot(*_curve(run.train), label="training", linewidth=1)
        for task, lines in run.held_out.items():
            axes.plot(*_curve(lines), label=f"held out: {task}", marker="o", markersize=3)
        axes.set_title(run.label)
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats per target token")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with path.open("wb") as file:
        canvas.print_png(file)


def _curve(lines: Sequence[Mapping[str, Number]]) -> tuple[list[Number], list[Number]]:
    return [line["step"] for line in lines], [line["loss_per_token"] for line in lines]


def _read(path: epath.Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _files(directory: epath.Path) -> list[epath.Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _short(text: str, length: int = 80) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 3] + "..."


def _markdown(table: rich_table.Table) -> str:
    columns = [list(column.cells) for column in table.columns]
    header = [str(column.header) for column in table.columns]
    rows = [header, ["---"] * len(header), *zip(*columns, strict=True)]
    body = "\n".join("| " + " | ".join(_escape(str(cell)) for cell in row) + " |" for row in rows)
    return f"## {table.title}\n\n{body}\n"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
