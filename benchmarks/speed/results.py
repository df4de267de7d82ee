"""What runs brought, on disk: a JSON line for each; of a command and a shape the newest counts."""

import dataclasses
import pathlib

from benchmarks.speed.rounds import Measured
from t5x_lite import json_lines

# What makes it another measurement, beside the command.
_SHAPE = ("size", "batch", "inputs", "targets", "beams", "examples")


class Results:
    """The file of a folder, measured.jsonl."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "measured.jsonl"
        lines = json_lines.read_lines(self.path) if self.path.exists() else []
        self._found = [Measured(**line) for line in lines]

    def add(self, measured: Measured) -> None:
        """Keeps a run; a line that was written stays."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        json_lines.append_line(self.path, dataclasses.asdict(measured))
        self._found.append(measured)

    def of(self, command: str) -> list[Measured]:
        """The newest of each shape, shapes in the order in which they were measured first."""
        found = {
            shape_of(measured): measured for measured in self._found if measured.command == command
        }
        return list(found.values())


def shape_of(measured: Measured) -> tuple:
    """What runs of a command have to have in common to replace each other."""
    return tuple(measured.settings[name] for name in _SHAPE)
