"""What was measured, as markdown: a table for each command, and one of the machine."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.experiments.tables import table
from benchmarks.speed.results import Results
from benchmarks.speed.rounds import Measured
from benchmarks.speed.table import COMMANDS

_HEAD = (
    "model, rows x inputs + targets",
    "arm",
    "seconds",
    "arm / ours",
    "of the limit",
    "first",
    "GB",
    "more",
)
_IN_COLUMNS = ("peak_memory_bytes", "first_seconds", "limit_seconds")
_MOST_OPERATIONS = 16
_NOT_YET = ["Nothing of it is measured yet."]


def all_tables(results: Results) -> dict[str, list[str]]:
    """Every table by its name."""
    tables = {command: command_table(results.of(command)) for command in COMMANDS}
    return {
        "machine": machine_table(results),
        **tables,
        "imports": imports_table(results.of("startup")),
        "operations": operations_table(results.of("train")),
    }


def command_table(runs: Sequence[Measured]) -> list[str]:
    """A line for each shape and arm.

    Seconds and their ratios to ours in the same round are medians, with their ranges. The limit is
    `limits`; the first call is the one that compiles; GB are the most that the process held.
    """
    if not runs:
        return _NOT_YET
    lines = [_line(run, arm) for run in runs for arm in run.seconds]
    return table(_HEAD, lines)


def imports_table(runs: Sequence[Measured]) -> list[str]:
    """Seconds of the packages that a training job imports, of the newest run that knows them."""
    known = _told("imports", runs)
    if not known:
        return _NOT_YET
    return table(
        ["package", "seconds"], [[name, f"{taken:.2f}"] for name, taken in known[-1].items()]
    )


def operations_table(runs: Sequence[Measured]) -> list[str]:
    """Where the seconds of a training step went, of the first shape that knows it."""
    found = _told("operations", runs)
    if not found:
        return _NOT_YET
    known = found[0]
    total = sum(known.values())
    most = sorted(known.items(), key=lambda item: -item[1])[:_MOST_OPERATIONS]
    most.append(("all others", total - sum(seconds for _, seconds in most)))
    lines = [[name, f"{seconds:.3f}", f"{seconds / total:.1%}"] for name, seconds in most]
    return table(["pass, and the code that asked for it", "processor seconds", "share"], lines)


def _told(fact: str, runs: Sequence[Measured]) -> list[Mapping[str, float]]:
    """What arms told of it, run by run."""
    return [told[fact] for run in runs for told in run.about["arms"].values() if fact in told]


def machine_table(results: Results) -> list[str]:
    """The machine of the newest run of each command."""
    runs = [run for command in COMMANDS for run in results.of(command)[-1:]]
    if not runs:
        return _NOT_YET
    head = ["of", "date", "processor", "cores", "load before", "products, GFLOP/s", "reading, GB/s"]
    lines = [
        [
            run.command,
            run.about["date"],
            run.about["processor"],
            str(run.about["cores"]),
            f"{run.about['load_before']:.1f}",
            f"{run.about['machine']['peak_gflops']:.0f}",
            f"{run.about['machine']['read_gb_per_second']:.0f}",
        ]
        for run in runs
    ]
    return [*table(head, lines), "", _versions(runs)]


def ratios(run: Measured, arm: str) -> list[float]:
    """How many times as long as ours an arm took, round by round; empty where ours is not there."""
    ours = run.seconds.get(_beside(run, arm), ())
    return [theirs / own for theirs, own in zip(run.seconds[arm], ours)]


def shape(run: Measured) -> str:
    """As "small, 4 x 256 + 64"."""
    known = run.settings
    return f"{known['size']}, {known['batch']} x {known['inputs']} + {known['targets']}"


def limit(run: Measured, arm: str) -> float | None:
    """Seconds, None where nothing of it is known."""
    return run.about["arms"][arm].get("limit_seconds")


def _line(run: Measured, arm: str) -> list[str]:
    told: Mapping[str, Any] = run.about["arms"][arm]
    median, least, first = (
        statistics.median(run.seconds[arm]),
        limit(run, arm),
        told.get("first_seconds"),
    )
    compared = ratios(run, arm)
    return [
        shape(run),
        arm,
        _spread(run.seconds[arm]),
        _spread(compared) if compared and arm != _beside(run, arm) else "-",
        "-" if least is None else f"{least / median:.0%}",
        "-" if first is None else f"{first:.1f}",
        f"{told['peak_memory_bytes'] / 1e9:.2f}",
        ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in _more(told).items()),
    ]


def _more(told: Mapping[str, Any]) -> dict[str, float]:
    """Numbers that only some commands have."""
    return {
        name: value
        for name, value in told.items()
        if name not in _IN_COLUMNS and not isinstance(value, Mapping)
    }


def _beside(run: Measured, arm: str) -> str:
    return COMMANDS[run.command].arms[arm].beside


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def _versions(runs: Sequence[Measured]) -> str:
    known = dict.fromkeys(
        f"{name} {version}" for run in runs for name, version in run.about["versions"].items()
    )
    return f"Versions: {', '.join(known)}."
