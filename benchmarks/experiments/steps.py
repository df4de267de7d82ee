"""Training steps that are timed in turn: what else the machine does hits all of them alike."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from t5x_lite.training.config import TrainConfig

BATCHES = 4


@dataclasses.dataclass
class Steps:
    """A compiled step with its state; `batches` are ready, so no step waits for data."""

    step: Callable[[Any, Any], Any]
    state: Any
    batches: Sequence[Any]
    done: int = 0

    def next(self) -> float:
        """Seconds of one step, with one batch after another."""
        import jax

        batch = self.batches[self.done % len(self.batches)]
        began = time.perf_counter()
        self.state, metrics = self.step(self.state, batch)
        jax.block_until_ready((self.state, metrics))
        self.done += 1
        return time.perf_counter() - began


def of_job(job: "TrainConfig", seed: int) -> tuple[Steps, list[Mapping[str, np.ndarray]]]:
    """The steps of a training job from scratch, and what its batches hold."""
    from t5x_lite.data.pipeline import make_batches
    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.training.state import make_factory
    from t5x_lite.training.step import make_step_of

    factory = make_factory(job, make_partitioner(job.partitioning))
    reader = make_batches(job.dataset, job.model.features)
    found = [next(reader) for _ in range(BATCHES)]
    batches = [factory.partitioner.global_batch(batch) for batch in found]
    step = make_step_of(job, factory, initial_step=0)
    return Steps(step, factory.initialize(seed), batches), found


def timed_in_turn(arms: Mapping[str, Steps], rounds: int) -> dict[str, list[float]]:
    """Seconds of a step of each arm in each round; who comes first changes. Compiling does not
    count.
    """
    for arm in arms.values():
        arm.next()
    times: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds):
        for name in list(arms)[:: 1 if number % 2 else -1]:
            times[name].append(arms[name].next())
    return times
