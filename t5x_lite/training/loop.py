"""The training job: from a frozen config to a trained checkpoint."""

import collections
import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import jax
from etils import epath
from jaxtyping import Array

from t5x_lite.checkpoints.manager import Checkpoints, absolute
from t5x_lite.data import checks
from t5x_lite.data.batches import Batches
from t5x_lite.data.examples import decoder
from t5x_lite.data.ramp import make_ramp
from t5x_lite.data.vocabulary_files import vocabulary_files
from t5x_lite.display.progress import say
from t5x_lite.partitioning import compilation_cache, host_memory
from t5x_lite.partitioning.partitioner import Partitioner, make_partitioner
from t5x_lite.stability import health
from t5x_lite.stability.autopsy import write_autopsy
from t5x_lite.stability.errors import RollBack
from t5x_lite.stability.guard import Event, Guard
from t5x_lite.stability.recovery import Recovery
from t5x_lite.training import lease, microbatches
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.errors import StopAsked
from t5x_lite.training.interrupts import Interrupts
from t5x_lite.training.observers import HookMaker, Observed, Observers
from t5x_lite.training.signals import Signals
from t5x_lite.training.start import Start, start
from t5x_lite.training.state import StateFactory, TrainState, make_factory
from t5x_lite.training.step import make_step_of
from t5x_lite.training.stopwatch import Stopwatch

# The host runs ahead of the devices by as many steps. More would only hide who waits for whom.
_STEPS_IN_FLIGHT = 2

TrainStep = Callable[[TrainState, Mapping[str, Array]], tuple[TrainState, Mapping[str, Array]]]


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same however often a run goes back to a checkpoint."""

    config: TrainConfig
    operative_config: str
    model_dir: epath.Path
    factory: StateFactory
    train_step: TrainStep
    recovery: Recovery
    signals: Signals
    interrupts: Interrupts
    held: lease.Lease
    began: float


def train(
    config: TrainConfig,
    operative_config: str,
    *,
    hook_makers: Sequence[HookMaker] = (),
    signals: Signals | None = None,
) -> TrainState:
    """Runs a job to its last step and returns the final state.

    Everything that can be wrong with the data, the mesh or a checkpoint is found before the first
    compilation. MODEL_DIR receives config.gin, model-info.txt, train/, training_eval/<task>/ and
    checkpoint_<step>/; a run that is complete already makes up for evaluations it lacks.

    Args:
        hook_makers: make hooks of rooms above this one.
        signals: heard since the process began; without them they are heard while steps are made.

    Raises:
        UserError: another run is alive in MODEL_DIR.
        Interrupted: a signal came; the newest state is saved.
        Unhealthy: a step was not sound, and going on was not asked for.
    """
    began = time.monotonic()
    signals = signals or Signals()
    with contextlib.ExitStack() as stack:
        # It outlives a rollback: whoever asked to stop before it is still to be heard.
        interrupts = Interrupts(signals)
        stack.callback(interrupts.close)
        partitioner = make_partitioner(config.partitioning)
        if partitioner.is_one_cpu:
            host_memory.keep_freed()
        _check_data(config, partitioner)
        factory = make_factory(config, partitioner)
        held = stack.enter_context(lease.held(config.model_dir))
        signals.before_leaving(held.release)
        run = start(config, factory)
        if factory.pruning is not None:
            steps = run.last_step - run.initial_step
            factory.pruning.check_start(run.state.parameters, steps)
        job = Job(
            config,
            operative_config,
            absolute(config.model_dir),
            factory,
            make_step_of(config, factory, initial_step=run.initial_step),
            Recovery(config.model_dir, config.health),
            signals,
            interrupts,
            held,
            began,
        )
        return _until_done(job, run, hook_makers)


def _until_done(job: Job, run: Start, hook_makers: Sequence[HookMaker]) -> TrainState:
    """However often the run goes back to a checkpoint."""
    launched_at = run.first_step
    describe = functools.partial(
        _describe, job.model_dir, job.factory.table(), job.operative_config
    )
    while True:
        try:
            return _run(job, run, hook_makers, describe)
        except RollBack as event:
            say(str(event))
        job.interrupts.restored()
        run = start(job.config, job.factory, launched_at=launched_at)


def _run(
    job: Job, run: Start, hook_makers: Sequence[HookMaker], describe: Callable[[], None]
) -> TrainState:
    """From the newest checkpoint, or the start, to the end."""
    config = job.config
    with contextlib.ExitStack() as stack:
        checkpoints = Checkpoints(job.model_dir, config.checkpoints)
        stack.push(_closing(checkpoints.close))
        compilation_cache.enable(job.model_dir, enabled=config.compilation_cache)
        say(f"{job.model_dir}: {_what_follows(run)}")
        describe()
        batches = _make_batches(config, job.factory, run)
        stack.push(_closing(batches.close))
        observed = Observed(
            config=config,
            operative_config=job.operative_config,
            factory=job.factory,
            run=run,
            checkpoints=checkpoints,
            batches=batches,
            vocabulary=vocabulary_files(config.dataset.mixture_or_task_name),
            stopwatch=Stopwatch(),
            restore_seconds=time.monotonic() - job.began,
            stop_if_asked=job.interrupts.stop_if_asked,
        )
        observers = Observers(observed, hook_makers)
        stack.push(_closing(observers.close))
        if not run.is_complete:
            say(f"ready after {time.monotonic() - job.began:.1f} s; compiling the training step")
        state = _Steps(job, run, batches, observers).train()
    say(f"done: {job.model_dir}, {time.monotonic() - job.began:.0f} s in all")
    return state


def _what_follows(run: Start) -> str:
    if run.is_complete:
        return (
            f"complete, as its checkpoint of step {run.last_step} is the last; to train on, give "
            "more steps"
        )
    return f"{run.source}; steps {run.first_step} to {run.last_step}"


def _closing(close: Callable[[], None]) -> Callable[..., None]:
    """For ExitStack.push: closes, but what that raises does not take the place of the error that
    ends the run, by which everyone above decides what follows.
    """

    def leave(kind: Any, error: BaseException | None, where: Any) -> None:
        try:
            close()
        except Exception as another:
            if error is None:
                raise
            say(f"WARNING: {another}")

    return leave


class _Steps:
    """The loop itself: batch by batch from one state to the last."""

    def __init__(self, job: Job, run: Start, batches: Batches, observers: Observers):
        self._job, self._run, self._batches, self._observers = job, run, batches, observers
        self._guard = Guard()
        self._in_flight: collections.deque[Any] = collections.deque()

    def train(self) -> TrainState:
        """Until the last step, an early stop, or an interruption that is saved first."""
        interrupts = self._job.interrupts
        state, step, last = self._run.state, self._run.first_step, self._run.last_step
        with self._job.signals.listening():
            self._make_up(step, state)
            while step < last and not self._observers.is_over:
                step += 1
                self._job.held.check()
                state, metrics = self._one(step, state)
                stops = interrupts.wants_to_stop(after_step=True)
                if stops:
                    self._observers.save_now()
                if self._guard.is_full or self._observers.due(step):
                    event = self._guard.check(state)
                    if event is not None:
                        state, step = self._recover(event, state), event.step
                        # The steps after it gave nothing, and are done again.
                        self._observe(step, state, {})
                        continue
                self._observe(step, state, metrics)
                if stops and step < last and not self._observers.is_over:
                    self._stop(step, state, metrics)
        return state

    def _make_up(self, step: int, state: TrainState) -> None:
        try:
            self._observers.make_up(state)
        except StopAsked:
            raise self._job.interrupts.stopped(step, self._job.model_dir) from None

    def _observe(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        try:
            self._observers.after_step(step, state, metrics)
        except StopAsked:
            self._stop(step, state, metrics)

    def _stop(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> NoReturn:
        self._observers.save(step, state, metrics)
        raise self._job.interrupts.stopped(step, self._job.model_dir)

    def _one(self, step: int, state: TrainState) -> tuple[TrainState, Mapping[str, Array]]:
        batch = self._guard.next(self._batches)
        self._guard.remember(step, batch)
        if step in self._job.recovery.left_out:
            return health.pass_over(state), {}
        placed = self._job.factory.placed(batch)
        state, metrics = self._job.train_step(state, placed)
        self._in_flight.append(metrics)
        if len(self._in_flight) > _STEPS_IN_FLIGHT:
            jax.block_until_ready(self._in_flight.popleft())
        return state, metrics

    def _recover(self, event: Event, state: TrainState) -> TrainState:
        job = self._job
        newest = self._observers.newest_checkpoint()
        autopsy = functools.partial(self._autopsy, event)
        state = job.recovery.after(event, state, newest_checkpoint=newest, autopsy=autopsy)
        self._guard.feed_again(event)
        return state

    def _autopsy(self, event: Event, state: TrainState) -> epath.Path:
        job = self._job
        return write_autopsy(
            job.model_dir,
            event,
            state,
            job.factory,
            loss=job.config.loss,
            seed=job.config.random_seed,
            operative_config=job.operative_config,
            decode=decoder(job.config.dataset.mixture_or_task_name),
            save_state=self._observers.save_into,
        )


def _check_data(config: TrainConfig, partitioner: Partitioner) -> None:
    for dataset in (config.dataset, config.eval_dataset, config.infer_eval_dataset):
        if dataset is not None:
            is_decoded = dataset is config.infer_eval_dataset
            if not is_decoded:
                partitioner.check_batch_size(dataset.batch_size)
            checks.check_dataset(
                dataset,
                config.model.features,
                vocab_size=config.model.vocab_size,
                process_count=partitioner.reader[1],
                is_decoded=is_decoded,
            )
    for stage in make_ramp(config.dataset).stages:
        microbatches.check(stage.rows, config.num_microbatches, partitioner)


def _describe(model_dir: epath.Path, table: str, operative_config: str) -> None:
    """Writes config.gin and model-info.txt, and shows the table of parameters."""
    say(table)
    if jax.process_index() == 0:
        (model_dir / "model-info.txt").write_text(table + "\n")
        (model_dir / "config.gin").write_text(operative_config)


def _make_batches(config: TrainConfig, factory: StateFactory, run: Start) -> Batches:
    index, count = factory.partitioner.reader
    anew = not config.restore.dataset and run.dataset is None
    if anew and run.batches_done:
        say(
            "WARNING: the data starts anew (RESTORE_DATASET=False), so examples come again that "
            "were seen. Take the flag out of the command now: at every restart it does the same."
        )
    ramp = make_ramp(config.dataset)
    if len(ramp.stages) > 1:
        say(f"batches grow: {ramp}; each size compiles a step of its own where it begins")
    return Batches(
        config.dataset,
        config.model.features,
        process_index=index,
        process_count=count,
        restore_from=run.dataset,
        batches_done=run.batches_done,
        anew=anew,
        snapshot_period=config.checkpoints.period,
        say=say,
    )
