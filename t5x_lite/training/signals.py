"""Wishes to stop, heard at once: SIGTERM, SIGHUP, SIGUSR1 and Ctrl-C (no JAX).

Python runs a handler between two bytecodes of the main thread, so a compiler or a restore keeps it
waiting for minutes. The number of a signal however is written to a file descriptor by the
interpreter at once, and a thread that reads it can answer.
"""

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from t5x_lite.training.errors import Interrupted

# SIGHUP: the terminal is gone. SIGUSR1: the usual choice for SLURM's --signal.
_NAMES = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")


class Signals:
    """The first wish to stop that reaches this process.

    Later ones change nothing, since schedulers and shells send several, except Ctrl-C, which then
    acts as always. A signal that is ignored when listening begins, as nohup does with SIGHUP, stays
    ignored.

    Args:
        may_exit: whether this process is the run's own, so that `leave` may end it.
    """

    def __init__(self, *, may_exit: bool = False):
        self.name = ""
        self.may_exit = may_exit
        self._lock = threading.Lock()
        self._answer: Callable[[], None] = self.leave if may_exit else lambda: None
        self._before_leaving: list[Callable[[], None]] = []
        self._is_handled = False
        self._before: dict[int, Any] = {}

    def answer_with(self, answer: Callable[[], None]) -> None:
        """What a thread calls when the first signal comes, or now if it has come; without it, a
        process that may exit leaves.
        """
        with self._lock:
            self._answer = answer
            is_late = bool(self.name)
        if is_late:
            answer()

    def before_leaving(self, action: Callable[[], None]) -> None:
        """Adds what `leave` does first, the last one first; it must be quick."""
        self._before_leaving.insert(0, action)

    def leave(self) -> None:
        """Ends the process at once: to be called from any thread while nothing is to be saved."""
        write_line(
            f"t5x_lite: error: stopped by {self.name or 'a signal to another process'} while there "
            "was nothing new to save; start the same command again to go on (exit status "
            f"{Interrupted.exit_status}).",
            to=2,
        )
        for action in self._before_leaving:
            with contextlib.suppress(Exception):
                action()
        os._exit(Interrupted.exit_status)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, signals are heard; does nothing where it is listened already."""
        if self._before or threading.current_thread() is not threading.main_thread():
            # Only the main thread may handle signals; a notebook's thread stops by other means.
            yield
            return
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        wakeup = signal.set_wakeup_fd(writes, warn_on_full_buffer=False)
        self._before = {each: signal.signal(each, self._handle) for each in _not_ignored()}
        thread = threading.Thread(target=self._read, args=(reads, wakeup), name="signals")
        thread.daemon = True
        thread.start()
        try:
            yield
        finally:
            self._restore()
            signal.set_wakeup_fd(wakeup)
            os.close(writes)
            thread.join()
            os.close(reads)

    def _restore(self) -> None:
        for each, handler in self._before.items():
            if handler is not None:  # None: it was not set by Python, and cannot be set again
                signal.signal(each, handler)
        self._before = {}

    def _handle(self, number: int, frame: types.FrameType | None) -> None:
        """In the main thread, whenever that is next in Python."""
        if self._is_handled and number == signal.SIGINT:
            signal.signal(number, self._before[number] or signal.default_int_handler)
            signal.raise_signal(number)
        self._is_handled = True

    def _read(self, reads: int, wakeup: int) -> None:
        while number := os.read(reads, 1):
            if number[0] in self._before:
                self._hear(number[0])
            elif wakeup != -1:  # of an event loop, as in a notebook
                with contextlib.suppress(OSError):
                    os.write(wakeup, number)

    def _hear(self, number: int) -> None:
        with self._lock:
            if self.name:
                return
            self.name = signal.Signals(number).name
            answer = self._answer
        answer()


def write_line(text: str, *, to: int = 1) -> None:
    """Past Python's buffers, whose locks the main thread may hold."""
    stream = sys.__stdout__ if to == 1 else sys.__stderr__
    with contextlib.suppress(OSError, ValueError):
        os.write(stream.fileno() if stream else to, f"\n{text}\n".encode())


def _not_ignored() -> list[int]:
    found = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    return [number for number in found if signal.getsignal(number) is not signal.SIG_IGN]
