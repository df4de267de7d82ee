"""Results as sections of docs/RESULTS.md, with pictures and records in docs/experiments.

A section stands between two comments, so that a new result replaces the old one and nothing else:

    <!-- experiment M-3 -->
    ...
    <!-- end of M-3 -->
"""

import pathlib
import re
import textwrap
from collections.abc import Sequence

from benchmarks.experiments import charts, tables
from benchmarks.experiments import results as results_lib
from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.results import Results

_WIDTH = 110


def section(experiment: Experiment, results: Results, *, picture: str | None = None) -> str:
    """Markdown: what was expected, what was run, what came of it."""
    known = results.circumstances
    versions = ", ".join(f"{name} {known[name]}" for name in ("jax", "flax", "tensorflow"))
    lines = [
        f"### {experiment.key} {experiment.title}",
        "",
        f"Expected: {experiment.claim}.",
        "",
        *_wrapped(experiment.setup),
        "",
        *tables.arms_table(experiment, results.records),
        *tables.differences_table(experiment, results.records),
        "",
        *(line for note in experiment.notes(results.records) for line in [*_wrapped(note), ""]),
        *([f"![{experiment.key}: {experiment.title}]({picture})", ""] if picture else []),
        *_wrapped(
            f"`{known['command']}`, {known['date']}, {known['cpus']} CPU cores, {versions}; with "
            f"all runs it starts from {known['cpu_seconds'] / 60:.1f} minutes of CPU time, "
            f"{known['seconds'] / 60:.0f} by the clock."
        ),
    ]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def publish(experiment: Experiment, results: Results, docs: pathlib.Path) -> None:
    """Writes the picture and the section into a folder with RESULTS.md.

    Raises:
        ValueError: RESULTS.md has no place for it.
    """
    name = f"experiments/{experiment.key}.png"
    picture = docs / name
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(charts.png(experiment.title, experiment.chart, results.records))
    results_lib.write(docs / f"experiments/{experiment.key}.jsonl", results)
    page = docs / "RESULTS.md"
    text = section(experiment, results, picture=name)
    page.write_text(replaced(page.read_text(), experiment.key, text))


def replaced(page: str, key: str, text: str) -> str:
    """The page with another text between the comments of an experiment."""
    begin, end = f"<!-- experiment {key} -->", f"<!-- end of {key} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(
            f"RESULTS.md has no place for {key}: needed are the lines {begin!r} and {end!r}."
        )
    return pattern.sub(lambda match: f"{begin}\n{text}\n{end}", page)


def summary(experiment: Experiment, results: Results) -> list[str]:
    """What the terminal shows at the end of an experiment."""
    notes: Sequence[str] = experiment.notes(results.records)
    return [
        f"{experiment.key} {experiment.title}",
        f"expected: {experiment.claim}",
        *tables.arms_table(experiment, results.records),
        *tables.differences_table(experiment, results.records),
        *notes,
    ]
