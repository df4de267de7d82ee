"""The training job: from a frozen config to a trained checkpoint."""

import contextlib
import dataclasses
import functools
import itertools
import time
from collections.abc import Iterator

import jax
from etils import epath

from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints, absolute
from t5x_lite.data import checks, examples, pipeline
from t5x_lite.data.config import DatasetConfig
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.partitioning.partitioner import Partitioner, make_partitioner
from t5x_lite.training import compilation_cache, hooks, microbatches
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.layout import layout_of
from t5x_lite.training.profile import Profile
from t5x_lite.training.progress import say
from t5x_lite.training.start import Start, start
from t5x_lite.training.state import StateFactory, TrainState, make_factory
from t5x_lite.training.step import make_eval_step, make_step_of
from t5x_lite.training.stopwatch import Stopwatch


def train(config: TrainConfig, operative_config: str) -> TrainState:
    """Runs a job to its last step and returns the final state.

    Everything that can be wrong with the data, the mesh or a checkpoint is found before the first
    compilation. MODEL_DIR receives config.gin, model-info.txt, train/, training_eval/<task>/ and
    checkpoint_<step>/.
    """
    began = time.monotonic()
    model_dir = absolute(config.model_dir)
    partitioner = make_partitioner(config.partitioning)
    _check_data(config, partitioner)
    factory = make_factory(config, partitioner)
    table = factory.table()

    with contextlib.ExitStack() as stack:
        run = start(config, factory)
        checkpoints = Checkpoints(model_dir, config.checkpoints)
        stack.callback(checkpoints.close)
        compilation_cache.enable(model_dir, enabled=config.compilation_cache)
        say(f"{model_dir}: {run.source}; steps {run.first_step} to {run.last_step}")
        _describe(model_dir, table, operative_config)
        train_step = make_step_of(config, factory)
        stopwatch = Stopwatch()
        save = hooks.Checkpoint(
            checkpoints,
            stopwatch,
            last_step=run.last_step,
            contents=describe_run(operative_config, config.model, initial_step=run.initial_step),
        )
        observers = _make_hooks(
            config, factory, run, stopwatch, save=save, restore_seconds=time.monotonic() - began
        )
        for hook in observers:
            stack.callback(hook.close)
        batches = _training_batches(config, factory, run.batches_done)
        say(f"ready after {time.monotonic() - began:.1f} s; compiling the training step")
        state = run.state
        for step in range(run.first_step + 1, run.last_step + 1):
            state, metrics = train_step(state, partitioner.global_batch(next(batches)))
            for hook in observers:
                hook.after_step(step, state, metrics)
    say(f"done: {model_dir}/checkpoint_{run.last_step}, {time.monotonic() - began:.0f} s in all")
    return state


def _check_data(config: TrainConfig, partitioner: Partitioner) -> None:
    microbatches.check(config.dataset.batch_size, config.num_microbatches, partitioner)
    for dataset in (config.dataset, config.eval_dataset):
        if dataset is not None:
            partitioner.check_batch_size(dataset.batch_size)
            checks.check_dataset(
                dataset,
                layout_of(config.model),
                vocab_size=config.model.vocab_size,
                process_count=partitioner.reader[1],
            )


def _describe(model_dir: epath.Path, table: str, operative_config: str) -> None:
    """Writes config.gin and model-info.txt, and shows the table of parameters."""
    say(table)
    if jax.process_index() == 0:
        (model_dir / "model-info.txt").write_text(table + "\n")
        (model_dir / "config.gin").write_text(operative_config)


def _batches(
    dataset: DatasetConfig, factory: StateFactory, *, num_epochs: int | None = None
) -> Iterator[pipeline.Batch]:
    index, count = factory.partitioner.reader
    return pipeline.make_batches(
        dataset,
        layout_of(factory.model),
        process_index=index,
        process_count=count,
        num_epochs=num_epochs,
    )


def _training_batches(
    config: TrainConfig, factory: StateFactory, done: int
) -> Iterator[pipeline.Batch]:
    """The endless batches, behind those that this run has trained on before it was interrupted."""
    batches = _batches(config.dataset, factory)
    if done:
        say(f"passing over the {done} batches that this run has trained on already")
    for _ in range(done):
        next(batches)
    return batches


def _make_hooks(
    config: TrainConfig,
    factory: StateFactory,
    run: Start,
    stopwatch: Stopwatch,
    *,
    save: hooks.Hook,
    restore_seconds: float,
) -> list[hooks.Hook]:
    log = hooks.Log(
        hooks.make_writer(absolute(config.model_dir) / "train", run.first_step),
        stopwatch,
        period=config.log_period,
        first_step=run.first_step,
        last_step=run.last_step,
        learning_rate=make_schedule(config.learning_rate),
        restore_seconds=restore_seconds,
    )
    # Saved before anything else can fail: an error in an evaluation costs no step.
    profile = Profile(
        config.profile,
        absolute(config.model_dir) / "profile",
        stopwatch,
        first_step=run.first_step,
    )
    observers: list[hooks.Hook] = [log, save, profile]
    if run.from_scratch:
        observers.insert(0, hooks.FirstLoss(config.model.vocab_size))
    if config.eval_dataset is not None and config.eval_steps:
        observers.append(_evaluation_hook(config, config.eval_dataset, factory, run, stopwatch))
    return observers


def _evaluation_hook(
    config: TrainConfig,
    dataset: DatasetConfig,
    factory: StateFactory,
    run: Start,
    stopwatch: Stopwatch,
) -> hooks.Evaluate:
    folder = absolute(config.model_dir) / "training_eval"
    names = [
        task.name
        for task in examples.evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    ]
    writers = {name: hooks.make_writer(folder / name, run.first_step) for name in names}

    def batches_of(task: str) -> Iterator[pipeline.Batch]:
        """The first `eval_steps` batches of one task, the same at every evaluation."""
        only = dataclasses.replace(dataset, mixture_or_task_name=task, shuffle=False)
        return itertools.islice(_batches(only, factory, num_epochs=1), config.eval_steps)

    return hooks.Evaluate(
        {name: functools.partial(batches_of, name) for name in names},
        make_eval_step(factory, config.loss),
        stopwatch,
        place=factory.partitioner.global_batch,
        writers={name: writer for name, writer in writers.items() if writer is not None},
        period=config.eval_period,
        last_step=run.last_step,
    )
