"""The host's half of `health`: looks at times, and knows the batches since it last did."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from t5x_lite.stability import health
from t5x_lite.stability.states import State

Batch = Mapping[str, np.ndarray]

# Host batches that are kept between two looks: a look costs one small transfer, a batch megabytes.
_MOST_BATCHES = 64


@dataclasses.dataclass(frozen=True)
class Event:
    """A step that did not count: its number, why, this process's rows of it and of the batches
    drawn after it, and what it was judged by.
    """

    step: int
    reason: str
    batch: Batch
    later_batches: tuple[Batch, ...]
    loss: float
    gradient_norm: float


class Guard:
    """Keeps the batches since the last look at a run's health, and hands them out again.

    In a loop:

        for step ...:
            batch = guard.next(batches)
            state, metrics = train_step(state, place(batch))
            guard.remember(step, batch)
            if guard.is_full or <a step to log, save or evaluate at>:
                event = guard.check(state)   # then `health.clear`, `guard.feed_again(event)` ...
    """

    def __init__(self) -> None:
        self._kept: list[tuple[int, Batch]] = []
        self._again: collections.deque[Batch] = collections.deque()

    def next(self, batches: Iterator[Batch]) -> Batch:
        """A batch to be fed again if there is one, else the next of the run's."""
        return self._again.popleft() if self._again else next(batches)

    def remember(self, step: int, batch: Batch) -> None:
        """Keeps the batch of a step until the next look."""
        self._kept.append((step, batch))

    @property
    def is_full(self) -> bool:
        """Whether it is time to look, however far the next report is."""
        return len(self._kept) >= _MOST_BATCHES

    def check(self, state: State) -> Event | None:
        """The step that did not count, if there is one; waits for the step under way.

        All processes see the same, as health is replicated. With an event the batches stay until
        `feed_again`; without they are forgotten.
        """
        known = {name: value.item() for name, value in jax.device_get(state.health).items()}
        if not known["halted_at"]:
            self._kept = []
            return None
        steps = [step for step, _ in self._kept]
        assert known["halted_at"] in steps, f"step {known['halted_at']} is none of {steps}"
        at = steps.index(known["halted_at"])
        return Event(
            step=known["halted_at"],
            reason=health.reason(
                known["halted_loss"],
                known["halted_gradient_norm"],
                mean=known["loss_mean"],
                variance=known["loss_variance"],
            ),
            batch=self._kept[at][1],
            later_batches=tuple(batch for _, batch in self._kept[at + 1 :]),
            loss=known["halted_loss"],
            gradient_norm=known["halted_gradient_norm"],
        )

    def feed_again(self, event: Event) -> None:
        """Makes the batches after the bad one the next ones: it is left out."""
        self._kept = []
        self._again.extendleft(reversed(event.later_batches))
