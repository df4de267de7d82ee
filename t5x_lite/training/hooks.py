"""What happens beside training: logging, evaluation, checkpoints; each is asked at every step."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from etils import epath
from jaxtyping import Array

from t5x_lite.checkpoints.manager import Checkpoints, Description
from t5x_lite.display.progress import Progress, say
from t5x_lite.training import metrics as metrics_lib
from t5x_lite.training import utilization
from t5x_lite.training.state import TrainState
from t5x_lite.training.stopwatch import Stopwatch
from t5x_lite.training.writers import ScalarWriter

# A first loss that differs from ln(vocabulary) by more than this factor means broken weights: an
# untied head initialized like an embedding starts at ten times the right loss.
_FIRST_LOSS_FACTOR = 2.0
# Of a task's held-out batches; metrics of decoded answers have names of their own.
_HELD_OUT_SCORES = ("loss_per_token",)


@runtime_checkable
class Hook(Protocol):
    """Called after each step; `metrics` are sums that still live on the devices."""

    def due(self, step: int) -> bool:
        """Whether this is a step for it; the loop then makes sure that the state is sound."""

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Does its work if this is a step for it; what else it does must not wait for a device."""

    def close(self) -> None:
        """Finishes what is under way; called also when the run fails."""


@runtime_checkable
class Evaluation(Hook, Protocol):
    """A hook that gives scores, all of a step at once, to the `on_scores` it was made with, and
    calls `stop_if_asked` between two batches.
    """

    @property
    def score_names(self) -> Sequence[str]:
        """The names "<task>/<metric>" of what `on_scores` is given."""

    def make_up(self, step: int, state: TrainState) -> None:
        """Evaluates the state that a run goes on from; what a run that ended within this evaluation
        has written of it goes.
        """


class Log:
    """Scalars to the writer and the progress line every `period` steps.

    Args:
        learning_rate: of the number of updates done.
        waited: seconds that the loop has waited for data since the start.
        row_flops: what a row of a batch costs, for timing/mfu; None leaves it out.
    """

    def __init__(
        self,
        writer: ScalarWriter | None,
        stopwatch: Stopwatch,
        *,
        period: int,
        first_step: int,
        last_step: int,
        learning_rate: Callable[[int], Array],
        waited: Callable[[], float] = lambda: 0.0,
        row_flops: float | None = None,
        restore_seconds: float = 0.0,
    ):
        self._writer, self._stopwatch, self._period = writer, stopwatch, period
        self._first_step, self._last_step = first_step, last_step
        self._learning_rate, self._row_flops = learning_rate, row_flops
        self._waited, self._data_wait = waited, utilization.DataWait()
        self._progress = Progress(first_step=first_step, last_step=last_step)
        self._pending: list[Mapping[str, Array]] = []
        self._once = {"timing/init_or_restore_seconds": restore_seconds}
        self._started = time.monotonic()
        stopwatch.lap()

    def due(self, step: int) -> bool:
        """Every `period` steps and at the end."""
        return step % self._period == 0 or step == self._last_step

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Fetches the sums of the steps since the last report."""
        if metrics:
            self._pending.append(metrics)
        if step == self._first_step + 1:
            jax.block_until_ready(metrics)
            self._once["timing/compilation_seconds"] = self._stopwatch.seconds()
        if not self.due(step):
            if step == self._first_step + 1:
                # It was mostly compilation; speeds count the steps behind it.
                self._stopwatch.lap()
            return
        self._report(step, state)
        self._pending = []
        self._stopwatch.lap()

    def _report(self, step: int, state: TrainState) -> None:
        sums = metrics_lib.add(self._pending) if self._pending else {"steps": 0.0}
        if not sums["steps"]:
            return  # none of them counted
        timed = sums
        if "timing/compilation_seconds" in self._once and len(self._pending) > 1:
            behind_compilation = metrics_lib.add(self._pending[1:])
            # Speeds divide: of steps that did not count there is none.
            timed = behind_compilation if behind_compilation["steps"] else sums
        seconds = self._stopwatch.seconds()
        scalars = metrics_lib.summarize(sums)
        scalars |= metrics_lib.speed(
            timed,
            seconds,
            jax.device_count(),
            row_flops=self._row_flops,
            peak_flops=utilization.peak_flops(jax.devices()[0].device_kind),
        )
        scalars |= self._data_wait.scalars(self._waited(), seconds)
        # The rate of the update just made: schedules count the updates done before it.
        rate = float(self._learning_rate(int(state.optimizer_state["step"]) - 1))
        scalars |= {"learning_rate": rate, "learning_rate/current": rate}
        scalars["timing/uptime"] = time.monotonic() - self._started
        if self._writer is not None:
            self._writer.write(step, scalars | self._once)
        self._once = {}
        self._progress.update(step, scalars)

    def close(self) -> None:
        """Ends the progress line and writes what is buffered."""
        self._progress.close()
        if self._writer is not None:
            self._writer.close()


class Evaluate:
    """Teacher-forced loss on held-out batches of each task, every `period` steps."""

    def __init__(
        self,
        batches: Mapping[str, Callable[[], Iterable[Mapping[str, np.ndarray]]]],
        eval_step: Callable[[Any, Mapping[str, Array]], Mapping[str, Array]],
        stopwatch: Stopwatch,
        *,
        place: Callable[[Mapping[str, np.ndarray]], Mapping[str, Array]],
        writers: Mapping[str, ScalarWriter],
        period: int,
        last_step: int,
        on_scores: Callable[[int, Mapping[str, float]], None] = lambda step, scores: None,
        stop_if_asked: Callable[[], None] = lambda: None,
    ):
        self._stop_if_asked = stop_if_asked
        self._on_scores = on_scores
        self._batches, self._eval_step, self._place = batches, eval_step, place
        self._stopwatch = stopwatch
        self._writers, self._period, self._last_step = writers, period, last_step

    def due(self, step: int) -> bool:
        """Every `period` steps and at the end."""
        return step % self._period == 0 or step == self._last_step

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Scores every task's batches."""
        if not self.due(step):
            return
        jax.block_until_ready(metrics)
        with self._stopwatch.paused():
            self._evaluate(step, state)

    def make_up(self, step: int, state: TrainState) -> None:
        """Scores the state that a run goes on from."""
        for writer in self._writers.values():
            writer.drop_behind(step - 1)
        with self._stopwatch.paused():
            self._evaluate(step, state)

    @property
    def score_names(self) -> list[str]:
        """The names "<task>/<metric>" of what `on_scores` is given."""
        return [f"{task}/{metric}" for task in self._batches for metric in _HELD_OUT_SCORES]

    def _evaluate(self, step: int, state: TrainState) -> None:
        scores: dict[str, float] = {}
        for task, batches in self._batches.items():
            began = time.monotonic()
            sums = list(self._sums(state, batches()))
            scalars = metrics_lib.summarize(metrics_lib.add(sums))
            scalars["timing/evaluate_seconds"] = time.monotonic() - began
            if task in self._writers:
                self._writers[task].write(step, scalars)
            said = f"step {step}  {task}: held-out loss {scalars['loss_per_token']:.4f}"
            # Numbers and spans have no accuracy of their own.
            say(said + (f"  accuracy {scalars['accuracy']:.4f}" if "accuracy" in scalars else ""))
            scores |= {f"{task}/{name}": scalars[name] for name in _HELD_OUT_SCORES}
        self._on_scores(step, scores)

    def _sums(
        self, state: TrainState, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[Mapping[str, Array]]:
        before: Mapping[str, Array] = {}
        for batch in batches:
            self._stop_if_asked()
            sums = self._eval_step(state.parameters, self._place(batch))
            # One ahead of the devices: whoever stops here waits for those under way.
            jax.block_until_ready(before)
            yield (before := sums)

    def close(self) -> None:
        """Writes what is buffered."""
        for writer in self._writers.values():
            writer.close()


class Checkpoint:
    """A checkpoint whenever one is due by steps or minutes, at the end, and when asked for.

    Args:
        files: the small files beside the state at a step: positions of the data, vocabulary.
        describe_position: how much of them are positions, in words.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        stopwatch: Stopwatch,
        *,
        last_step: int,
        contents: Description,
        files: Callable[[int], Mapping[str, Mapping[str, bytes]]],
        describe_position: Callable[[], str],
    ):
        self._checkpoints, self._stopwatch, self._last_step = checkpoints, stopwatch, last_step
        self._contents, self._files = contents, files
        self._describe_position: Callable[[], str] | None = describe_position
        self._asked = False
        self._known = (0, False)

    def ask(self) -> None:
        """Makes the step under way one to save after."""
        self._asked = True

    def due(self, step: int) -> bool:
        """Whether to save after this step."""
        if self._known[0] != step:
            # Asked once a step: with several processes the answer is a collective.
            self._known = step, self._checkpoints.due(step) or step == self._last_step
        return self._asked or self._known[1]

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Starts to save; the devices go on as soon as the state is copied to the host."""
        if not self.due(step):
            return
        self._asked = False
        jax.block_until_ready(metrics)
        with self._stopwatch.paused():
            self._checkpoints.save(step, state, self._contents, self._files(step))
        if self._describe_position is not None:
            say(f"step {step} is being saved; position of the data: {self._describe_position()}")
            self._describe_position = None

    def close(self) -> None:
        """Waits for the last save."""
        self._checkpoints.close()


class FirstLoss:
    """Compares a fresh model's first loss with ln(vocabulary), what knowing nothing costs."""

    def __init__(self, vocab_size: int):
        self._expected = math.log(vocab_size)

    def due(self, step: int) -> bool:
        """Step 1, whose loss was taken at step 0."""
        return step == 1

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Says what was found."""
        # A first step that was left out has no loss, and classes are no vocabulary.
        if not self.due(step) or "cross_entropy_sum" not in metrics:
            return
        sums = metrics_lib.add([metrics])
        if "cross_entropy_sum" not in sums:  # no tokens are told first
            return
        loss = sums["cross_entropy_sum"] / max(sums["weight_sum"], 1.0)
        say(f"loss at step 0: {loss:.3f}, ln(vocabulary) = {self._expected:.3f}")
        if not self._expected / _FIRST_LOSS_FACTOR <= loss <= self._expected * _FIRST_LOSS_FACTOR:
            say(
                f"WARNING: the first loss is more than {_FIRST_LOSS_FACTOR:g}x off ln(vocabulary): "
                "look at the initialization, at logits_via_embedding and scale_logits, and at the "
                "targets (t5x_lite inspect shows them)."
            )

    def close(self) -> None:
        """Holds nothing."""


def make_writer(directory: epath.Path, first_step: int) -> ScalarWriter | None:
    """A writer on the first process; the others have nothing to say."""
    return ScalarWriter(directory, first_step) if jax.process_index() == 0 else None
