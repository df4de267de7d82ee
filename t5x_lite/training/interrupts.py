"""A wish to stop, turned into one place at which all processes stop.

A signal reaches one process at one moment; a save is a collective of all processes at one step. So
the loop passes safe points, the ends of steps and of an evaluation's batches, the same in each
process, and only counts them. When a signal comes, threads tell each other how many were passed,
while none passes another, and all stop at the one behind the furthest. As long as no process has
made a step since the last restore there is nothing to save, and those threads end them at once.
"""

import dataclasses
import threading
import time
from collections.abc import Callable

import jax

from t5x_lite.checkpoints import multihost
from t5x_lite.training.errors import Interrupted, StopAsked
from t5x_lite.training.signals import Signals, write_line

# How often a process looks whether another one was asked to stop.
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_ANSWER = 60.0
_SECONDS_TO_LEAVE = 1.5


@dataclasses.dataclass(frozen=True)
class Place:
    """How many safe points a process has passed, and whether it has trained since the restore."""

    passed: int
    has_trained: bool


class Interrupts:
    """Whether the run has to stop; every process of the job makes one, at the same place."""

    def __init__(self, signals: Signals, council: "Council | None" = None):
        self._signals = signals
        self._lock = threading.Lock()
        self._place = Place(0, False)
        self._stop_at: int | None = None
        if council is None and jax.process_count() > 1:
            council = Council(
                multihost.Messages(f"stop_{multihost.number()}"),
                jax.process_index(),
                jax.process_count(),
            )
        self._council = council
        if council is None:
            signals.answer_with(lambda: self._decide(lambda own: [own]))
        else:
            council.begin(lambda: self._decide(council.places))
            signals.answer_with(lambda: council.ask(signals.name))
            signals.before_leaving(council.leave)

    def wants_to_stop(self, *, after_step: bool = False) -> bool:
        """Passes a safe point; whether to stop there, the same in all processes."""
        with self._lock:
            self._place = Place(self._place.passed + 1, after_step or self._place.has_trained)
            return self._stop_at is not None and self._place.passed >= self._stop_at

    def stop_if_asked(self) -> None:
        """Passes a safe point between two batches of an evaluation; a lone process may do so at any
        other time, too.

        Raises:
            StopAsked: the run has to stop here.
        """
        if self.wants_to_stop():
            raise StopAsked

    def restored(self) -> None:
        """All that was trained is on disk: the run goes on from a checkpoint."""
        with self._lock:
            self._place = Place(self._place.passed, False)

    def stopped(self, step: int, model_dir: object) -> Interrupted:
        """What the loop raises once the step is saved."""
        whence = self._signals.name or "a signal to another process"
        return Interrupted(
            f"stopped by {whence} after step {step}, which is saved in {model_dir}; start the same "
            f"command again to go on (exit status {Interrupted.exit_status})."
        )

    def close(self) -> None:
        """Ends the thread that looks for wishes of others."""
        if self._council is not None:
            self._council.close()

    def _decide(self, places_of_all: Callable[[Place], list[Place]]) -> None:
        with self._lock:  # no safe point is passed until it is known which is the last
            places = places_of_all(self._place)
            if self._signals.may_exit and not any(place.has_trained for place in places):
                self._signals.leave()
            self._stop_at = max(place.passed for place in places) + 1
        name = self._signals.name or "a signal to another process"
        write_line(f"{name}: saving after this step, then stopping (Ctrl-C again: at once)")


class Council:
    """The threads of several processes that agree on where to stop."""

    def __init__(self, messages: multihost.Messages, index: int, count: int):
        self._messages, self._index, self._count = messages, index, count
        self._wish = ""
        self._awake, self._is_closed = threading.Event(), False

    def begin(self, decide: Callable[[], None]) -> None:
        """Starts to listen to the others."""
        self._decide = decide
        self._thread = threading.Thread(target=self._listen, name="stop together", daemon=True)
        self._thread.start()

    def ask(self, wish: str) -> None:
        """Makes all processes decide."""
        self._wish = wish
        self._awake.set()

    def places(self, own: Place) -> list[Place]:
        """Where all processes are; each stays there until it has decided.

        Raises:
            TimeoutError: one does not answer.
        """
        self._messages.post(f"place/{self._index}", f"{own.passed} {int(own.has_trained)}")
        found = self._wait_for("place", self._count, _SECONDS_TO_ANSWER)
        if len(found) < self._count:
            raise TimeoutError(f"only {len(found)} of {self._count} processes answer")
        split = (text.split() for text in found)
        return [Place(int(passed), has_trained == "1") for passed, has_trained in split]

    def leave(self) -> None:
        """Lets process 0 be the last: its end would kill the others, with another exit status."""
        if self._index:
            self._messages.post(f"left/{self._index}", "")
        else:
            self._wait_for("left", self._count - 1, _SECONDS_TO_LEAVE)

    def close(self) -> None:
        """Ends the thread."""
        self._is_closed = True
        self._awake.set()
        self._thread.join()

    def _listen(self) -> None:
        try:
            while not self._messages.read("wish"):
                self._awake.wait(_SECONDS_BETWEEN_LOOKS)
                if self._is_closed:
                    return
                if self._wish:
                    self._messages.post(f"wish/{self._index}", self._wish)
            self._decide()
        except Exception as error:  # noqa: BLE001 (the devices will tell what is wrong, if it is)
            write_line(f"WARNING: the processes cannot agree on where to stop: {error}")

    def _wait_for(self, kind: str, count: int, seconds: float) -> list[str]:
        until = time.monotonic() + seconds
        while len(found := self._messages.read(kind)) < count and time.monotonic() < until:
            time.sleep(0.02)
        return found
