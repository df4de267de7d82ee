"""The points of a curve: measured one after the other, kept as lines of a file."""

import datetime
import importlib
import json
import math
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from benchmarks.growth.curves import CURVES
from t5x_lite import json_lines

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_FILE = "measured.jsonl"


class Point(NamedTuple):
    """A value of what is varied, and the numbers measured there."""

    value: int
    numbers: Mapping[str, float]


def measure(name: str, *, say: Callable[[str], None]) -> list[Point]:
    """All points of a curve, each by a process of its own.

    Raises:
        RuntimeError: a process ended; it says why.
    """
    found = []
    for value in CURVES[name].values:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.growth.points", name, str(value)],
            cwd=_ROOT,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{name} {value} ended with status {done.returncode}.")
        numbers = json.loads(done.stdout.splitlines()[-1])
        found.append(Point(value, numbers))
        told = ", ".join(f"{what} {number:.3g}" for what, number in numbers.items())
        say(f"{name} {value:,}: {told}")
    return found


def keep(folder: pathlib.Path, name: str, points: Sequence[Point]) -> None:
    """Adds a curve to the file of a folder; the newest of a name counts."""
    folder.mkdir(parents=True, exist_ok=True)
    line = {
        "curve": name,
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "points": [point._asdict() for point in points],
    }
    json_lines.append_line(folder / _FILE, line)


def read(folder: pathlib.Path) -> dict[str, list[Point]]:
    """The newest points of each curve that was measured."""
    path = folder / _FILE
    lines = json_lines.read_lines(path) if path.exists() else []
    return {line["curve"]: [Point(**point) for point in line["points"]] for line in lines}


def exponent(points: Sequence[Point], number: str) -> float:
    """How fast a number grows: the slope between the first and the last point, in logarithms."""
    first, last = points[0], points[-1]
    return math.log(last.numbers[number] / first.numbers[number]) / math.log(
        last.value / first.value
    )


def _measure_one(name: str, value: str) -> None:
    curve = CURVES[name]
    module, function = curve.path
    measured = getattr(importlib.import_module(module), function)
    print(json.dumps(measured(**{curve.argument: int(value)}, **curve.options)))


if __name__ == "__main__":
    _measure_one(*sys.argv[1:])
