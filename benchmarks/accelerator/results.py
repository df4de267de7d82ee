"""What jobs brought, on disk: a JSON line for each, written at once, so that a cut-off loses none.

A line has `job`, `part`, `arm`, `again` and `options`, and one of: `found`, with `card`, `versions`
and `date`; `lacking`, the reason why there is nothing.
"""

import datetime
import importlib.metadata
import pathlib
from typing import Any

import t5x_lite
from benchmarks.accelerator.job import Job
from benchmarks.accelerator.search import Known, Try
from t5x_lite import json_lines

_FILE = "accelerator.jsonl"
_LIBRARIES = ("jax", "jaxlib", "flax", "torch", "transformers")


class Results:
    """The file of a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / _FILE
        self.lines = json_lines.read_lines(self.path) if self.path.exists() else []

    def add_found(self, job: Job, card: str, found: dict[str, Any]) -> None:
        """Keeps what a job has measured."""
        about = {"card": card, "versions": _versions(), "date": datetime.date.today().isoformat()}
        self._add(job, {**about, "found": found})

    def add_lacking(self, job: Job, reason: str) -> None:
        """Keeps why a job has brought nothing, which the next start tries again."""
        self._add(job, {"lacking": reason})

    def found(self, name: str) -> dict[str, Any] | None:
        """What the newest job of this name has measured."""
        found = [line["found"] for line in self.measured() if line["job"] == name]
        return found[-1] if found else None

    def measured(self, part: str | None = None) -> list[dict[str, Any]]:
        """The newest line of each job that has measured something, in the order of the first."""
        newest = {line["job"]: line for line in self.lines if "found" in line}
        return [line for line in newest.values() if part in (None, line["part"])]

    def lacking(self) -> dict[str, str]:
        """The newest reason of each job that has brought nothing yet."""
        reasons = {line["job"]: line["lacking"] for line in self.lines if "lacking" in line}
        return {name: why for name, why in reasons.items() if self.found(name) is None}

    def tries(self, size: str, arm: str) -> Known:
        """Tokens a second of each batch that an arm was trained with, None if it did not fit."""
        known: dict[Try, float | None] = {}
        for line in self.measured("train"):
            about, found = line["options"], line["found"]
            if (about["size"], line["arm"], line["again"]) == (size, arm, False):
                known[Try(about["batch"], about["remat"])] = found.get("tokens_per_second")
        return known

    def _add(self, job: Job, told: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        about = {"job": job.name, "part": job.part, "arm": job.arm, "again": job.again}
        line = {**about, "options": dict(job.options), **told}
        json_lines.append_line(self.path, line)
        self.lines.append(line)


def _versions() -> dict[str, str]:
    found = {"t5x_lite": t5x_lite.__version__}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
