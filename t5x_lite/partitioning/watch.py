"""Who is still there? The connections of the rendezvous stay open while a job runs.

The system ends those of a process that dies, so the others know it at once and can say so, where
JAX misses heartbeats for 100 seconds and then aborts with a native stack. A process that ends in
order says so first. All talk to process 0, which tells the rest; it leaves last, because JAX aborts
the processes that lose their coordinator.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from t5x_lite.partitioning.messages import Connection

# EX_TEMPFAIL of sysexits.h: try the same again.
LOST_STATUS = 75
# Of a host that is down, or cut off, its system says nothing.
_SECONDS_OF_SILENCE = 20
# Who hears of another's error may come upon the same one, and then says it itself.
_GRACE_SECONDS = 8.0
# The process with the error stays longer than those, so that they do not take it for lost.
_GRACE_WITH_ERROR_SECONDS = 10.0
# How much longer process 0 waits for the others to leave.
_PATIENCE_SECONDS = 5.0
# An error of a collective may be known before the end of the process that caused it.
_SECONDS_TO_HEAR = 2.0


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
        print(f"\nt5x_lite: error: {text}", file=sys.stderr, flush=True)


class Watch:
    """Of one process over the others it is connected with: process 0 with all, each with process 0.

    Args:
        leave: ends this process with a status, whatever its main thread waits for.
        say: tells the user why.
    """

    def __init__(
        self,
        index: int,
        connections: Mapping[int, Connection],
        *,
        leave: Callable[[int], None] = os._exit,
        say: Callable[[str], None] = _say,
    ):
        self._index, self._connections = index, dict(connections)
        self._leave, self._say = leave, say
        self._status: int | None = None
        self._is_leaving = False
        self._have_ended: set[int] = set()
        self._are_open = set(connections)
        self._someone_is_lost, self._all_have_left = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        for peer, connection in self._connections.items():
            connection.notice_silence(_SECONDS_OF_SILENCE)
            _start(self._listen, peer)

    def end(self, status: int = 0) -> None:
        """This process ends in order; if with an error, the others end with the same status, and
        none waits for another's part of a sum.
        """
        with self._lock:
            if self._status is not None:
                return
            self._status = status
        self._tell(ends=status)
        if status:
            self._leave_after(_GRACE_WITH_ERROR_SECONDS, status)

    def end_with_unexpected(self, status: int) -> None:
        """As `end`; does not return if the error came of another process that is lost."""
        if self._someone_is_lost.wait(_SECONDS_TO_HEAR):
            threading.Event().wait()
        self.end(status)

    def _listen(self, peer: int) -> None:
        while (message := self._connections[peer].receive()) is not None:
            self._hear(peer, message)
        self._connections[peer].close()
        with self._lock:
            self._are_open.discard(peer)
            if not self._are_open:
                self._all_have_left.set()
        if peer not in self._have_ended:
            self._someone_is_lost.set()
            self._end_all(0.0, LOST_STATUS, _gone(peer, self._connections[peer].host))

    def _hear(self, peer: int, message: Mapping[str, Any]) -> None:
        if "leave" in message:
            if not message["after_seconds"]:
                self._someone_is_lost.set()
            self._leave_after(message["after_seconds"], message["leave"], message["reason"])
        elif "ends" in message:
            self._have_ended.add(peer)
            if status := message["ends"]:
                reason = f"process {peer} ended with an error, which its output shows"
                self._end_all(_GRACE_SECONDS, status, reason)

    def _end_all(self, seconds: float, status: int, reason: str) -> None:
        if self._index == 0:
            self._tell(leave=status, reason=reason, after_seconds=seconds)
        self._leave_after(seconds, status, reason)

    def _tell(self, **message: Any) -> None:
        for connection in self._connections.values():
            with contextlib.suppress(OSError):
                connection.send(**message)

    def _leave_after(self, seconds: float, status: int, reason: str = "") -> None:
        with self._lock:
            if self._is_leaving:
                return
            self._is_leaving = True
        _start(self._wait_and_leave, seconds, status, reason)

    def _wait_and_leave(self, seconds: float, status: int, reason: str) -> None:
        if self._index == 0:
            self._all_have_left.wait(seconds + _PATIENCE_SECONDS)
        else:
            time.sleep(seconds)
        if self._status is None:
            self._say(f"{reason}; process {self._index} ends as well (exit status {status}).")
            self._status = status
        self._leave(self._status)


def _start(function: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=function, args=arguments, daemon=True, name="watch").start()


def _gone(peer: int, host: str) -> str:
    return (
        f"process {peer} at {host} is gone: it was killed, or its host or the network is down. "
        "Start all processes again, and the run goes on from its newest checkpoint"
    )
