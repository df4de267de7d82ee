"""Results on disk, one JSON value a line: the circumstances, then a line for each record."""

import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.experiments.experiment import Experiment, Record

_LIBRARIES = ("jax", "flax", "tensorflow", "seqio", "sentencepiece", "sacrebleu")


@dataclasses.dataclass(frozen=True)
class Results:
    """The records of one experiment and under what circumstances they arose."""

    circumstances: Mapping[str, Any]
    records: Sequence[Record]


def circumstances(
    experiment: Experiment, command: str, spent: Mapping[str, float]
) -> dict[str, Any]:
    """Date, versions, machine; `spent` are the seconds of the runs that the experiment needed.

    The set-up is written down, so that results of another one are not taken for those of today's.
    """
    return {
        "command": command,
        "setup": experiment.setup,
        "date": datetime.date.today().isoformat(),
        **{name: round(seconds) for name, seconds in spent.items()},
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def write(path: pathlib.Path, results: Results) -> None:
    """The file is whole or not there."""
    from t5x_lite import json_lines

    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"circumstances": results.circumstances}]
    json_lines.write_lines(path, lines + [dataclasses.asdict(each) for each in results.records])


def read(path: pathlib.Path) -> Results:
    """What `write` wrote.

    Raises:
        FileNotFoundError: the experiment has no results yet.
    """
    from t5x_lite import json_lines

    if not path.exists():
        raise FileNotFoundError(
            f"There is no {path}: run the experiment first, "
            f"python -m benchmarks.experiments {path.stem}."
        )
    first, *lines = json_lines.read_lines(path)
    records = [
        Record(**{**line, "curve": tuple(tuple(point) for point in line["curve"])})
        for line in lines
    ]
    return Results(first["circumstances"], records)
