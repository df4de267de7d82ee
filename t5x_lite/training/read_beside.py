"""Batches whose reader need not be waited for: the first of an evaluation may take a minute."""

import atexit
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from t5x_lite.training.errors import Interrupted

Batch = TypeVar("Batch")

_SECONDS_BETWEEN_LOOKS = 0.2


def read_beside(
    batches: Iterable[Batch], while_waiting: Callable[[], None] = lambda: None
) -> Iterator[Batch]:
    """Gives what `batches` gives, read by a thread at most two ahead.

    Args:
        while_waiting: called now and then until a batch is there; what it raises is raised at once,
            and the thread is left to itself.
    """
    ready: queue.Queue[tuple[list[Batch], BaseException | None]] = queue.Queue(maxsize=2)
    given_up = threading.Event()

    def read() -> None:
        end: BaseException | None = None
        try:
            for batch in batches:
                ready.put(([batch], None))
                if given_up.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            end = error
        ready.put(([], end))

    thread = threading.Thread(target=read, name="evaluation data", daemon=True)
    thread.start()
    try:
        while True:
            try:
                found, end = ready.get(timeout=_SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                while_waiting()
                continue
            if end is not None:
                raise end
            if not found:
                return
            yield found[0]
    finally:
        given_up.set()
        with contextlib.suppress(queue.Empty):  # it may wait for room
            while True:
                ready.get_nowait()
        if thread.is_alive():
            atexit.register(_leave_with, thread)


def _leave_with(thread: threading.Thread) -> None:
    """A thread that is inside of tf.data when the interpreter ends would crash the process."""
    if thread.is_alive():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(Interrupted.exit_status)
