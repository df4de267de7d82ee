"""Scalars to TensorBoard and JSONL, under the names that users of T5X look for."""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath
from tensorboardX import record_writer, summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2, summary_pb2

from t5x_lite.training.progress import say

# So much is kept of what a full disk did not take.
_MAX_PENDING = 10_000
_FILE_NUMBERS = itertools.count()


class ScalarWriter:
    """Writes scalars of one folder as TensorBoard events and as lines of metrics.jsonl.

    A run that goes on at `first_step` drops what lies behind it: it will write that again. A disk
    that is full for a while costs nothing: what could not be written is written later.
    """

    def __init__(self, directory: epath.PathLike, first_step: int | None = None):
        self._directory = epath.Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lines = self._directory / "metrics.jsonl"
        self._first_step = first_step
        self._events: EventsWriter | None = None
        self._pending: list[tuple[int, float, Mapping[str, float]]] = []
        self._warned = False
        if first_step is not None and self._lines.exists():
            kept = [line for line in read_lines(self._lines) if line["step"] <= first_step]
            write_lines(self._lines, kept)

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds one step; the JSONL line is {"step": n, tag: value, ...}."""
        self._pending.append((step, time.time(), dict(scalars)))
        try:
            while self._pending:
                self._write_one(*self._pending[0])
                self._pending.pop(0)
            self._warned = False
        except OSError as error:
            # A torn record ends an event file for its readers; the next attempt starts another.
            self.close()
            if not self._warned:
                say(f"WARNING: scalars cannot be written now and are kept for later: {error}")
            self._warned = True
            del self._pending[:-_MAX_PENDING]

    def _write_one(self, step: int, wall_time: float, scalars: Mapping[str, float]) -> None:
        if self._events is None:
            self._events = self._open_events(step)
        values = [value for tag in scalars for value in summary.scalar(tag, scalars[tag]).value]
        self._events.write_event(
            event_pb2.Event(
                step=step, wall_time=wall_time, summary=summary_pb2.Summary(value=values)
            )
        )
        self._events.flush()
        append_line(self._lines, {"step": step, **scalars})

    def _open_events(self, step: int) -> EventsWriter:
        """A new file, whose first event makes TensorBoard forget later steps of older files."""
        # Names hold whole seconds; two files of one second would be one.
        suffix = f".{os.getpid()}.{next(_FILE_NUMBERS)}"
        events = EventsWriter(str(self._directory / "events"), suffix)
        if self._first_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            events.write_event(event_pb2.Event(step=step, session_log=start))
        return events

    def close(self) -> None:
        """Writes out what is still in memory."""
        events, self._events = self._events, None
        if events is not None:
            with contextlib.suppress(OSError):
                events.close()


def append_line(path: epath.PathLike, value: Mapping) -> None:
    """Adds one JSON value as a line; a write that fails leaves the file as it was."""
    path = epath.Path(path)
    is_local = "://" not in str(path) and path.is_file()
    size = _drop_torn_line(path) if is_local else 0
    try:
        with path.open("a") as file:
            file.write(_dump(value) + "\n")
    except OSError:
        if is_local and path.stat().length > size:
            os.truncate(path, size)
        raise


def _drop_torn_line(path: epath.Path) -> int:
    """Removes what a killed process left half written; the size of what stays."""
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            size = file.read().rfind(b"\n") + 1
            file.truncate(size)
    return size


def read_lines(path: epath.PathLike) -> list[dict]:
    """JSON values, one a line; a last line that a killed process left half written is no line."""
    lines = epath.Path(path).read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


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
