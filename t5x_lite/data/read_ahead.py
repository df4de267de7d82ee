"""An iterator that a thread runs ahead of its consumer, in bounded memory."""

import collections
import threading
import time
from collections.abc import Iterator, Mapping

import numpy as np

Batch = Mapping[str, np.ndarray]

_MAX_BATCHES = 32
_MAX_BYTES = 2**28
_SECONDS_TO_STOP = 10.0


class ReadAhead(Iterator[Batch]):
    """Gives what `batches` gives, read by a thread of its own: up to 32 batches or 256 MB ahead."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches
        self._ready: collections.deque[Batch] = collections.deque()
        self._changed = threading.Condition()
        self._end: BaseException | None = None
        self._closed = False
        self._started = False
        self._waited = 0.0
        # A daemon: a read that hangs does not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="data", daemon=True)
        self._thread.start()

    @property
    def waited_seconds(self) -> float:
        """How long the consumer has waited, but for the first batch, which start-up makes."""
        return self._waited

    def __next__(self) -> Batch:
        """The next batch, or the error that reading it raised."""
        began = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._end or self._closed)
            if self._closed:
                raise ValueError("These batches were closed and give no more.")
            if self._started:
                self._waited += time.monotonic() - began
            self._started = True
            if not self._ready:
                assert self._end is not None
                raise self._end
            batch = self._ready.popleft()
            self._changed.notify_all()
        return batch

    def close(self) -> None:
        """Stops the thread; may be called again."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        # A thread within a read cannot be interrupted; it stops behind it.
        self._thread.join(_SECONDS_TO_STOP)

    def _run(self) -> None:
        try:
            while self._has_room():
                batch = next(self._batches)
                with self._changed:
                    self._ready.append(batch)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._end = error
                self._changed.notify_all()

    def _has_room(self) -> bool:
        """Waits for room; False if no more is wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._is_full())
            return not self._closed

    def _is_full(self) -> bool:
        if not self._ready:
            return False
        size = sum(feature.nbytes for feature in self._ready[0].values())
        # Two at least, or nothing would be read ahead.
        return len(self._ready) >= max(2, min(_MAX_BATCHES, _MAX_BYTES // max(size, 1)))
