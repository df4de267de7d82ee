"""A run: the arms of a command take turns, repeat by repeat, each in a process of its own."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.speed import checks, limits, table
from benchmarks.speed.arm import SECONDS, Numbers
from benchmarks.speed.settings import Settings
from benchmarks.speed.table import Arm
from benchmarks.speed.worker import FreshWorker, Worker

_LIBRARIES = ("t5x_lite", "jax", "torch", "transformers", "ctranslate2", "seqio", "tensorflow")


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run brought.

    Attributes:
        settings: of all arms.
        seconds: of each arm, in the order of the rounds.
        about: the same for all arms: machine, versions, date, load; for each arm what it told
            beside, medians of numbers and facts, and its limit in seconds.
    """

    command: str
    settings: Mapping[str, Any]
    seconds: Mapping[str, Sequence[float]]
    about: Mapping[str, Any]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """Arm -> median and all, in seconds."""
        return {
            arm: {"median": statistics.median(every), "all": list(every)}
            for arm, every in self.seconds.items()
        }


def measure(command: str, names: Sequence[str] | None, settings: Settings) -> Measured:
    """Prepares the arms one after the other, compares what they compute, and lets them take turns.

    Raises:
        UserError: an arm does not exist, or lacks a package.
        Disagreement: arms do not compute the same.
        RuntimeError: the process of an arm ended.
    """
    arms = table.arms_of(command, names)
    load = os.getloadavg()[0]
    machine = _once("balance", Arm("benchmarks.speed.balance:machine"), settings)
    for name, arm in table.COMMANDS[command].before.items():
        _once(name, arm, settings)
    with contextlib.ExitStack() as stack:
        workers = []
        for name, arm in arms.items():
            make = FreshWorker if arm.is_fresh else Worker
            worker = stack.enter_context(contextlib.closing(make(name, arm, settings)))
            workers.append(worker)
            print(f"{command} {name}: ready{_in_words(worker.facts)}", flush=True)
        answers = {worker.name: worker.answer for worker in workers}
        checks.check(command, answers, length=settings.targets)
        numbers = _take_turns(command, workers, settings.repeats)
        facts = {worker.name: worker.facts for worker in workers}
    told = {name: _medians(every) | facts[name] for name, every in numbers.items()}
    for name, arm in arms.items():
        least = limits.seconds(command, settings, machine, arm.weight_bytes)
        if least is not None:
            told[name]["limit_seconds"] = least
    return Measured(
        command,
        {name: value for name, value in vars(settings).items() if not isinstance(value, str | None)}
        | {"size": settings.size},
        {name: [each[SECONDS] for each in every] for name, every in numbers.items()},
        {"arms": told, "machine": machine, "load_before": load, **_circumstances()},
    )


def _once(name: str, arm: Arm, settings: Settings) -> Mapping[str, Any]:
    """The facts of what is only prepared."""
    with contextlib.closing(Worker(name, arm, settings)) as worker:
        return worker.facts


def _take_turns(
    command: str, workers: Sequence[Worker | FreshWorker], repeats: int
) -> dict[str, list[Numbers]]:
    found: dict[str, list[Numbers]] = {worker.name: [] for worker in workers}
    for repeat in range(repeats):
        for worker in workers:
            found[worker.name].append(worker.run())
        latest = ", ".join(f"{name} {every[-1][SECONDS]:.3g} s" for name, every in found.items())
        print(f"{command}, round {repeat + 1} of {repeats}: {latest}", flush=True)
    return found


def _medians(every: Sequence[Numbers]) -> dict[str, Any]:
    names = (name for name in every[0] if name != SECONDS)
    return {name: statistics.median(each[name] for each in every) for name in names}


def _in_words(facts: Mapping[str, Any]) -> str:
    seconds = facts.get("first_seconds")
    return "" if seconds is None else f", the first took {seconds:.1f} s"


def _circumstances() -> dict[str, Any]:
    versions = {name: _version(name) for name in _LIBRARIES}
    return {
        "date": datetime.date.today().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "versions": {name: version for name, version in versions.items() if version},
    }


def _processor() -> str:
    """As Linux calls it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return "unknown"
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown"
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
