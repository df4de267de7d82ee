"""All hooks of a run together, and what they tell each other: scores, an early end, saves."""

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
from etils import epath
from jaxtyping import Array

from t5x_lite.checkpoints import lookup, multihost, scores
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import Description, describe_run
from t5x_lite.checkpoints.manager import Checkpoints, absolute
from t5x_lite.data import examples, pipeline
from t5x_lite.data.batches import Batches
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.ramp import make_ramp
from t5x_lite.display.progress import say
from t5x_lite.losses.denoising_config import decoder_passes
from t5x_lite.model import flops
from t5x_lite.training import hooks
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.early_stopping import EarlyStopping
from t5x_lite.training.profile import Profile
from t5x_lite.training.ramped_schedule import schedule_over
from t5x_lite.training.read_beside import read_beside
from t5x_lite.training.start import Start
from t5x_lite.training.state import StateFactory, TrainState
from t5x_lite.training.step import make_eval_step
from t5x_lite.training.stopwatch import Stopwatch


@dataclasses.dataclass(frozen=True)
class Observed:
    """What hooks are made from.

    `vocabulary` holds the files that a checkpoint carries to read and write text by itself.
    """

    config: TrainConfig
    operative_config: str
    factory: StateFactory
    run: Start
    checkpoints: Checkpoints
    batches: Batches
    vocabulary: Mapping[str, bytes]
    stopwatch: Stopwatch
    restore_seconds: float
    stop_if_asked: Callable[[], None] = lambda: None

    @property
    def model_dir(self) -> epath.Path:
        """Where everything is written."""
        return absolute(self.config.model_dir)

    @functools.cached_property
    def description(self) -> Description:
        """What every checkpoint says of the run."""
        data = self.config.dataset
        held_out = self.config.infer_eval_dataset or self.config.eval_dataset
        return describe_run(
            self.operative_config,
            self.config.model,
            initial_step=self.run.initial_step,
            # What `t5x_lite eval` and `infer` take unless they are told otherwise.
            dataset={
                "mixture_or_task_name": data.mixture_or_task_name,
                "mixture_or_task_module": data.module,
                "task_files": data.task_files,
                **data.records.facts(),
                "task_feature_lengths": dict(data.task_feature_lengths or {}),
                "evaluated_split": held_out.split if held_out else None,
                "evaluated_length": self.config.decoding.max_decode_length
                if self.config.infer_eval_dataset
                else None,
            },
        )


# Called on every process with the same scores: step, {"<task>/<metric>": value}.
OnScores = Callable[[int, Mapping[str, float]], None]
# Makes a hook of a room above this one, or None if the job asks for none; called with (config,
# factory, stopwatch, first_step=, last_step=, on_scores=, stop_if_asked=); `hooks.Evaluation` says
# what the last two are for.
HookMaker = Callable[..., hooks.Hook | None]


class Observers:
    """The hooks of one run, in the order in which they are called."""

    def __init__(self, observed: Observed, hook_makers: Sequence[HookMaker]):
        self._observed = observed
        if jax.process_index() == 0:
            scores.drop_behind(observed.model_dir, observed.run.first_step)
        # What lies behind the checkpoint counts for no process, deleted already or not.
        first_step = observed.run.first_step
        known = scores.read(observed.model_dir).items()
        self._stopping = EarlyStopping(
            observed.config.early_stopping,
            history={step: found for step, found in known if step <= first_step},
        )
        self._is_over = multihost.broadcast_bool(self._stopping.is_over)
        if self._is_over:
            say(self._stopping.reason)
        self._save = _checkpoint_hook(observed)
        first_loss = hooks.FirstLoss(observed.config.model.vocab_size)
        found: list[hooks.Hook | None] = [
            first_loss if observed.run.from_scratch else None,
            _log_hook(observed),
            # Before anything else can fail: an error in an evaluation costs no step.
            self._save,
            Profile(
                observed.config.profile,
                observed.model_dir / "profile",
                observed.stopwatch,
                first_step=observed.run.first_step,
            ),
            _evaluation_hook(observed, self.on_scores),
            *(self._made_by(make) for make in hook_makers),
        ]
        self._hooks: list[hooks.Hook] = [hook for hook in found if hook is not None]
        self._stopping.check_names(
            name for hook in self._hooks for name in getattr(hook, "score_names", ())
        )

    def _made_by(self, make: HookMaker) -> hooks.Hook | None:
        observed = self._observed
        return make(
            observed.config,
            observed.factory,
            observed.stopwatch,
            first_step=observed.run.first_step,
            last_step=observed.run.last_step,
            on_scores=self.on_scores,
            stop_if_asked=observed.stop_if_asked,
        )

    def due(self, step: int) -> bool:
        """Whether any hook looks at the state after this step."""
        return any([hook.due(step) for hook in self._hooks])

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Calls every hook; no metrics are given of a step that made no update."""
        for hook in self._hooks:
            hook.after_step(step, state, metrics)
        if self.is_over:
            say(self._stopping.reason)
            self._save.ask()
            self._save.after_step(step, state, metrics)

    @property
    def is_over(self) -> bool:
        """Whether the scores so far end the run, as the first process sees them: a metric may give
        others a score that differs in its last digit, and one that goes on alone waits forever.
        """
        return self._is_over

    def on_scores(self, step: int, found: Mapping[str, float]) -> None:
        """Writes scores down; they decide which checkpoints stay and whether the run ends."""
        self._observed.checkpoints.record(step, found)
        self._is_over = multihost.broadcast_bool(self._stopping.update(step, found))

    def make_up(self, state: TrainState) -> None:
        """Does the evaluations of the step that the run goes on from which it did not finish."""
        step = self._observed.run.first_step
        if not self._observed.run.is_own:
            return
        known = scores.read(self._observed.model_dir).get(step, {})
        for hook in self._hooks:
            if isinstance(hook, hooks.Evaluation) and hook.due(step):
                is_there = not known.keys().isdisjoint(hook.score_names)
                if not multihost.broadcast_bool(is_there):
                    say(f"step {step} was saved and not evaluated; that comes first")
                    hook.make_up(step, state)

    def save_now(self) -> None:
        """Makes the next step one to save after."""
        self._save.ask()

    def save(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Returns when this step is on disk.

        Raises:
            OSError: it could not be written.
        """
        self._save.ask()
        self._save.after_step(step, state, metrics)
        self._observed.checkpoints.close()

    def newest_checkpoint(self) -> int:
        """The step that a rollback would go on from."""
        self._observed.checkpoints.wait()
        steps = lookup.steps(self._observed.model_dir)
        return steps[-1] if steps else self._observed.run.first_step

    def save_into(self, folder: epath.Path, state: TrainState) -> None:
        """Writes a state outside the run's own checkpoints."""
        checkpoints = Checkpoints(folder, SaveCheckpointConfig())
        checkpoints.save(int(state.step), state, self._observed.description)
        checkpoints.close()

    def close(self) -> None:
        """Closes all hooks, also when one of them fails."""
        with contextlib.ExitStack() as stack:
            for hook in self._hooks:
                stack.callback(hook.close)


def _checkpoint_hook(observed: Observed) -> hooks.Checkpoint:
    batches = observed.batches
    writes_positions = observed.factory.partitioner.is_first_reader

    def files(step: int) -> dict[str, Mapping[str, bytes]]:
        position = batches.position(step - observed.run.initial_step)
        return {
            "dataset": position if writes_positions else {},
            "vocabulary": observed.vocabulary if jax.process_index() == 0 else {},
        }

    return hooks.Checkpoint(
        observed.checkpoints,
        observed.stopwatch,
        last_step=observed.run.last_step,
        contents=observed.description,
        files=files,
        describe_position=batches.describe_position,
    )


def _log_hook(observed: Observed) -> hooks.Log:
    config, run = observed.config, observed.run
    return hooks.Log(
        hooks.make_writer(observed.model_dir / "train", run.first_step),
        observed.stopwatch,
        period=config.log_period,
        first_step=run.first_step,
        last_step=run.last_step,
        learning_rate=schedule_over(config.learning_rate, make_ramp(config.dataset)),
        waited=lambda: observed.batches.waited_seconds,
        row_flops=_row_flops(config),
        restore_seconds=observed.restore_seconds,
    )


def _row_flops(config: TrainConfig) -> float:
    dataset, row = config.dataset, config.model.features.row
    lengths = dataset.task_feature_lengths
    assert lengths is not None, "training needs lengths, which were checked"
    shapes = row.shapes(1, lengths, dataset.prompt_length)
    return flops.training_flops(config.model, shapes, passes=decoder_passes(config.loss))


def _evaluation_hook(observed: Observed, on_scores: OnScores) -> hooks.Evaluate | None:
    """Held-out loss, if the job asks for it.

    Raises:
        EmptySplit: no task has an example for it.
    """
    config, factory = observed.config, observed.factory
    dataset = config.eval_dataset
    if dataset is None or not config.eval_steps:
        return None
    folder = observed.model_dir / "training_eval"
    every = examples.evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    tasks, empty = examples.tasks_with_examples(every, dataset)
    if empty:
        say(f"held-out loss: {empty}")
    writers = {
        task.name: hooks.make_writer(folder / task.name, observed.run.first_step) for task in tasks
    }

    def batches_of(task: str) -> Iterator[pipeline.Batch]:
        """The first `eval_steps` batches of one task, the same at every evaluation."""
        only = dataclasses.replace(dataset, mixture_or_task_name=task, shuffle=False)

        def first() -> Iterator[pipeline.Batch]:
            yield from itertools.islice(_finite_batches(only, factory), config.eval_steps)

        if jax.process_count() > 1:  # they stop at safe points only, which all pass
            return first()
        return read_beside(first(), observed.stop_if_asked)

    return hooks.Evaluate(
        {name: functools.partial(batches_of, name) for name in writers},
        make_eval_step(factory, config.loss),
        observed.stopwatch,
        place=factory.partitioner.global_batch,
        writers={name: writer for name, writer in writers.items() if writer is not None},
        period=config.eval_period,
        last_step=observed.run.last_step,
        on_scores=on_scores,
        stop_if_asked=observed.stop_if_asked,
    )


def _finite_batches(dataset: DatasetConfig, factory: StateFactory) -> Iterator[pipeline.Batch]:
    index, count = factory.partitioner.reader
    return pipeline.make_batches(
        dataset,
        factory.model.features,
        process_index=index,
        process_count=count,
        num_epochs=1,
        any_process=multihost.any_true,
    )
