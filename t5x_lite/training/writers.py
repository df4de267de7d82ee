"""Scalars to TensorBoard and JSONL, under the names that users of T5X look for."""

import contextlib
import itertools
import os
import time
from collections.abc import Mapping

from etils import epath

from t5x_lite import storage
from t5x_lite.display.progress import say
from t5x_lite.imports import without
from t5x_lite.json_lines import append_line, drop_lines_behind, join

# tensorboardX 2.6.5 takes tensors too, if there is PyTorch.
with without("torch"):
    from tensorboardX import record_writer, summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto import event_pb2, summary_pb2

# So much is kept of what a full disk did not take.
_MAX_PENDING = 10_000
_FILE_NUMBERS = itertools.count()
# Of events; a store is given a file again whenever it grows.
_REMOTE_FILE_BYTES = 1 << 18


class ScalarWriter:
    """Writes scalars of one folder as TensorBoard events and as lines of metrics.jsonl.

    A run that goes on at `first_step` drops what lies behind it: it will write that again. A disk
    that is full for a while costs nothing: what could not be written is written later.
    """

    def __init__(self, directory: epath.PathLike, first_step: int | None = None):
        self._directory = epath.Path(directory)
        storage.make_folder(self._directory)
        self._lines = self._directory / "metrics.jsonl"
        self._first_step = first_step
        self._events: EventsWriter | None = None
        self._pending: list[tuple[int, float, Mapping[str, float]]] = []
        self._warned = False
        if first_step is not None:
            self.drop_behind(first_step)

    def drop_behind(self, step: int) -> None:
        """Forgets the lines of later steps, which will be written again."""
        drop_lines_behind(self._lines, step)

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
            self._close_events()
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
        """Writes out what is still in memory, and makes one file of metrics.jsonl everywhere."""
        self._close_events()
        try:
            join(self._lines)
        except OSError as error:
            say(f"WARNING: {self._lines} stays in several objects: {error}")

    def _close_events(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            with contextlib.suppress(OSError):
                events.close()


class _RemoteEvents:
    """An event file in a store, written anew with every flush; tensorboardX itself asks for a
    client library of each cloud.

    A file that has grown is left, and what follows goes to the next, `<path>.00001`.
    """

    def __init__(self, path: str):
        self._path, self._content, self._number = path, b"", 0
        self._is_written = True

    def write(self, value: bytes) -> None:
        self._content += value
        self._is_written = False

    def flush(self) -> None:
        if self._is_written:
            return
        # What fails is written again by the caller, to another file, and not here at the close.
        self._is_written = True
        name = f"{self._path}.{self._number:05}" if self._number else self._path
        storage.write_whole(epath.Path(name), self._content)
        if len(self._content) >= _REMOTE_FILE_BYTES:
            self._content, self._number = b"", self._number + 1

    def close(self) -> None:
        self.flush()


class _RemoteFactory:
    def open(self, path: str) -> _RemoteEvents:
        return _RemoteEvents(path)

    def directory_check(self, path: str) -> None:
        """Folders need not be made."""


record_writer.register_writer_factory("gs", _RemoteFactory())
