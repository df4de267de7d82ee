"""Scalars to TensorBoard and JSONL, under the names that users of T5X look for."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import tensorboardX
from etils import epath
from tensorboardX import record_writer


class ScalarWriter:
    """Writes scalars of one folder as TensorBoard events and as lines of metrics.jsonl.

    A run that goes on at `first_step` drops the lines behind it: it will write them again.
    """

    def __init__(self, directory: epath.PathLike, first_step: int | None = None):
        self._directory = epath.Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        if first_step is not None:
            drop_lines_behind(self._directory / "metrics.jsonl", first_step)
        self._events = tensorboardX.SummaryWriter(str(self._directory), flush_secs=20)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds one step; the JSONL line is {"step": n, tag: value, ...}."""
        for tag, value in scalars.items():
            self._events.add_scalar(tag, value, step)
        append_line(self._directory / "metrics.jsonl", {"step": step, **scalars})

    def close(self) -> None:
        """Writes out what is still in memory."""
        self._events.close()


def append_line(path: epath.PathLike, value: Mapping) -> None:
    """Adds one JSON value as a line."""
    with epath.Path(path).open("a") as file:
        file.write(_dump(value) + "\n")


def drop_lines_behind(path: epath.PathLike, step: int) -> None:
    """Removes the lines of later steps from a file whose lines have a `step`, if there is one."""
    path = epath.Path(path)
    if path.exists():
        kept = [json.loads(line) for line in path.read_text().splitlines()]
        write_lines(path, [line for line in kept if line["step"] <= step])


def write_lines(path: epath.PathLike, values: Sequence[Mapping]) -> None:
    """Writes JSON values, one a line, in one go: the file is whole or not there."""
    path = epath.Path(path)
    partial = path.parent / f"{path.name}.partial"
    text = "".join(_dump(value) + "\n" for value in values)
    partial.write_text(text)
    partial.replace(path)


def _dump(value: Mapping) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """Python's own types for what postprocessors return: NumPy's numbers and arrays, bytes."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written as JSON")


class _RemoteEvents:
    """An event file on any file system that epath knows; tensorboardX itself asks for a client
    library of each cloud.
    """

    def __init__(self, path: str):
        self._file = epath.Path(path).open("wb")

    def write(self, value: bytes) -> None:
        self._file.write(value)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _RemoteFactory:
    def open(self, path: str) -> _RemoteEvents:
        return _RemoteEvents(path)

    def directory_check(self, path: str) -> None:
        epath.Path(path).mkdir(parents=True, exist_ok=True)


record_writer.register_writer_factory("gs", _RemoteFactory())
