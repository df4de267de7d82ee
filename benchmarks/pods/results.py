"""What compiling brought, on disk: a JSON line for each program that was compiled.

A line holds for the program, and for the versions of what compiled it; of another program or with
other versions it is compiled again.
"""

import dataclasses
import importlib.metadata
import pathlib
from collections.abc import Mapping
from typing import Any

from benchmarks.pods.programs import Program
from t5x_lite import json_lines
from t5x_lite.planning import run
from t5x_lite.planning.plan import Plan
from t5x_lite.planning.plan_json import as_json
from t5x_lite.planning.programs import Kind

_LIBRARIES = ("jax", "libtpu", "t5x_lite")
# Of the many collectives of a large program, those that are waited for longest.
_MOST_COLLECTIVES = 12
# What is long and alike for all, or says the same as something else.
_LEFT_OUT = ("assumptions", "batch", "price_per_chip_hour")


class Results:
    """The file of a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "programs.jsonl"
        lines = json_lines.read_lines(self.path) if self.path.exists() else []
        self._found = {_key(line): line["plan"] for line in lines}

    def find(self, program: Program) -> Mapping[str, Any] | None:
        """What is known of a program, None if it was not compiled with these versions."""
        return self._found.get(_key(_asked(program)))

    def add(self, program: Program, plan: Plan) -> Mapping[str, Any]:
        """Keeps what matters of a plan; a line that was written stays."""
        line = {**_asked(program), "plan": numbers(plan)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        json_lines.append_line(self.path, line)
        self._found[_key(line)] = line["plan"]
        return line["plan"]


def compiled(program: Program) -> Plan:
    """The plan of its training step, by a process of its own; takes minutes for large models.

    Raises:
        UserError: no libtpu is installed, or the compiler crashed.
    """
    (found,) = run.plans_of(program.job, program.machine, program=Kind.TRAIN.value, price=None)
    return found


def numbers(plan: Plan) -> dict[str, Any]:
    """Those of `t5x_lite plan --json`, and two more counts.

    `counted_bytes` is kind -> bytes as T5X's were counted (`collectives.counted_bytes`),
    `network_bytes` what a chip sends to other slices.
    """
    known = {name: value for name, value in as_json(plan).items() if name not in _LEFT_OUT}
    known["collectives"] = known["collectives"][:_MOST_COLLECTIVES]
    if plan.compiled:
        cost = plan.compiled.cost
        crossing = (each for each in cost.collectives if each.crosses_slices)
        known["counted_bytes"] = dict(cost.counted_bytes)
        known["network_bytes"] = sum(each.wire_bytes * each.trips for each in crossing)
    return known


def _asked(program: Program) -> dict[str, Any]:
    versions = {name: _version(name) for name in _LIBRARIES}
    return {"program": dataclasses.asdict(program), "versions": versions}


def _key(line: Mapping[str, Any]) -> str:
    """Alike before a line is written and after it is read."""
    program = {name: _plain(value) for name, value in line["program"].items()}
    return repr((sorted(program.items()), sorted(line["versions"].items())))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sorted(value.items())
    return list(value) if isinstance(value, tuple) else value


def _version(name: str) -> str | None:
    """None of a library that is missing: a plan for simulated devices needs no libtpu."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
