"""What follows a step that did not count: stop, leave it out, or roll back."""

from collections.abc import Callable
from typing import TypeVar

from etils import epath

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.display.progress import say
from t5x_lite.stability import health, skipped
from t5x_lite.stability.config import HealthConfig, InstabilityPolicy
from t5x_lite.stability.errors import RollBack, Unhealthy
from t5x_lite.stability.guard import Event
from t5x_lite.stability.states import State

AnyState = TypeVar("AnyState", bound=State)


class Recovery:
    """The policy of one run, and the steps that it leaves out.

    It outlives rollbacks: the file is read once, before any process writes, so that all processes
    count the same events.
    """

    def __init__(self, model_dir: epath.PathLike, config: HealthConfig):
        self._model_dir, self._config = absolute(model_dir), config
        self._events = skipped.read(self._model_dir)
        if self._events:
            steps = ", ".join(map(str, sorted(self.left_out)))
            say(f"leaves out step {steps}, as {self._model_dir}/{skipped.FILE} says")

    @property
    def left_out(self) -> frozenset[int]:
        """Steps at which the run has to `health.pass_over` the state; their batches are drawn."""
        return skipped.steps_of(self._events)

    def after(
        self,
        event: Event,
        state: AnyState,
        *,
        newest_checkpoint: int,
        autopsy: Callable[[AnyState], epath.Path],
    ) -> AnyState:
        """The state after the event's step, if that is left out and the run goes on with the next.

        Args:
            newest_checkpoint: step of the checkpoint that a rollback would go on from; the step at
                which the run started if there is none.
            autopsy: writes the folder of the event, given the state before the step.

        Raises:
            RollBack: the caller has to restore the newest checkpoint, start the data from there,
                and pass over the steps `left_out` by then.
            Unhealthy: the run has to end.
        """
        state = health.clear(state)
        say(f"step {event.step} did not count: {event.reason}")
        folder = autopsy(state)
        limit = self._limit()
        if limit is not None:
            raise Unhealthy(_advice(event, folder, limit))
        left_out = skipped.choose(event, self._config, newest_checkpoint=newest_checkpoint)
        try:
            skipped.record(self._model_dir, left_out)
        except OSError as error:
            say(f"WARNING: a run that is started again meets that step again: {error}")
        self._events.append(left_out)
        described = (
            f"leaving out step {', '.join(map(str, left_out.steps))} "
            f"({len(self._events)} of at most {self._config.max_events} events; {folder})"
        )
        if self._config.policy is InstabilityPolicy.ROLLBACK:
            raise RollBack(f"back to step {newest_checkpoint}, {described}")
        say(described)
        return health.pass_over(state)

    def _limit(self) -> str | None:
        """Why nothing more is left out, if that is so."""
        if self._config.policy is InstabilityPolicy.STOP:
            return "--gin.ON_INSTABILITY=stop"
        if len(self._events) >= self._config.max_events:
            return (
                f"{len(self._events)} events were left out already and "
                f"--gin.HealthConfig.max_events={self._config.max_events}"
            )
        return None


def _advice(event: Event, folder: epath.Path, limit: str) -> str:
    return (
        f"training stopped at step {event.step}: {event.reason} ({limit}). The step left no trace "
        f"in the checkpoints; the state before it, its batch and the largest values are in "
        f"{folder}.\n"
        f"  t5x_lite replay {folder} runs that step again.\n"
        "  The same command with --gin.ON_INSTABILITY=skip goes on without that batch; with "
        "=rollback and --gin.HealthConfig.skipped_batches=N without the N batches up to it.\n"
        "  Should it come back: a lower --gin.LEARNING_RATE, a longer --gin.WARMUP_STEPS, or "
        "--gin.SPIKE_DEVIATIONS=None if only NaN is to be watched."
    )
