"""What runs have come to: a table of scores, predictions beside their references, loss curves.

It only reads what train and eval wrote into model directories, so a report can be made at any time,
also while a run goes on.
"""

from collections.abc import Sequence

from etils import epath
from matplotlib.figure import Figure
from rich import table as rich_table

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.display import charts
from t5x_lite.display.terminal import console
from t5x_lite.evaluation.html_report import html_report, loss_series
from t5x_lite.evaluation.runs import Run, read_run

_NUM_PREDICTIONS = 10
_TEXT_FEATURES = ("inputs_pretokenized", "targets_pretokenized")


def report(model_dirs: Sequence[str]) -> epath.Path:
    """Prints a table of scores (a column for each directory that was evaluated), what the answers
    look like and ten predictions; writes report.html, which needs no other file, report.md and
    loss.png into the first directory and returns its path.

    Raises:
        FileNotFoundError: a directory holds nothing that train or eval wrote.
    """
    runs = [read_run(path) for path in model_dirs]
    output = absolute(model_dirs[0])
    every = (scores_table(runs), rates_table(runs), predictions_table(runs))
    tables = [table for table in every if table.row_count]
    terminal = console()
    for table in tables:
        terminal.print(table)
    (output / "report.md").write_text("\n".join(_markdown(table) for table in tables))
    plot_losses(runs, output / "loss.png")
    (output / "report.html").write_text(html_report(runs))
    written = ", ".join(f"{output}/{name}" for name in ("report.html", "report.md", "loss.png"))
    terminal.print(f"written: {written}", soft_wrap=True)
    return output


def scores_table(runs: Sequence[Run]) -> rich_table.Table:
    """Task, split, metric, the trivial baseline, and a score for each run that has one, with its
    interval where one was computed; then averages of benchmarks.
    """
    scored = [run for run in runs if run.history]
    table = rich_table.Table(title="scores on held-out examples")
    for name in ("task", "split", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("trivial baseline", *(run.label for run in scored)):
        table.add_column(name, justify="right")
    for key in dict.fromkeys(key for run in scored for key in run.history):
        first = next(run for run in scored if key in run.history)
        baselines = first.baselines(key)
        for metric in first.newest[key].scores:
            baseline = baselines.get(metric)
            cells = [run.score_text(key, metric) for run in scored]
            table.add_row(*key, metric, "-" if baseline is None else f"{baseline:.2f}", *cells)
    for key in dict.fromkeys(key for run in scored for key in run.averages):
        found = [run.averages.get(key) for run in scored]
        cells = ["-" if value is None else f"{value:.2f}" for value in found]
        table.add_row(*key, "mean of tasks", "-", *cells)
    return table


def rates_table(runs: Sequence[Run]) -> rich_table.Table:
    """What the answers look like, in per cent of them."""
    table = rich_table.Table(title="answers, in per cent")
    for name in ("task", "split", "run"):
        table.add_column(name)
    rates = {
        (*scored, run.label): found.statistics["rates"]
        for run in runs
        for scored, found in run.newest.items()
        if found.statistics.get("rates")
    }
    for name in dict.fromkeys(name for each in rates.values() for name in each):
        table.add_column(name, justify="right")
    for place, each in sorted(rates.items()):
        table.add_row(*place, *(f"{rate:.1f}" for rate in each.values()))
    return table


def predictions_table(runs: Sequence[Run]) -> rich_table.Table:
    """Ten predictions of the first evaluated run, spread evenly over its tasks and over each task's
    examples: none is chosen by hand.
    """
    table = rich_table.Table(title="predictions", show_lines=True)
    for name in ("task", "input", "about", "prediction", "reference"):
        table.add_column(name, overflow="fold")
    found = [{key: lines for key, lines in run.predictions.items() if lines} for run in runs]
    predictions = next((each for each in found if each), {})
    tasks = list(predictions)
    for index in range(_NUM_PREDICTIONS if tasks else 0):
        task = tasks[index % len(tasks)]
        lines = predictions[task]
        share = index // len(tasks) / -(-_NUM_PREDICTIONS // len(tasks))
        line = lines[int(share * len(lines))]
        features = line["input"]
        others = [value for name, value in features.items() if name not in _TEXT_FEATURES]
        table.add_row(
            str(task),
            _short(features["inputs_pretokenized"]),
            _short(" ".join(others), 24),
            _short(str(line["prediction"])),
            _short(features["targets_pretokenized"]),
        )
    return table


def plot_losses(runs: Sequence[Run], path: epath.Path) -> None:
    """One panel a run: training loss per token, and held-out loss of each task."""
    trained = [run for run in runs if run.train]
    with charts.style():
        figure = Figure(figsize=(5.5 * max(len(trained), 1), 4), layout="constrained")
        for index, run in enumerate(trained, start=1):
            axes = figure.add_subplot(1, len(trained), index)
            charts.draw_lines(axes, loss_series(run, "loss_per_token"))
            axes.set(title=run.label, xlabel="step", ylabel="loss, nats per target token")
            axes.legend()
        path.write_bytes(charts.png(figure))


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
