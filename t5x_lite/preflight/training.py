"""The checks of a training job, in the order of what they cost."""

import argparse
import contextlib
import dataclasses
import functools
import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax

from t5x_lite import config, jobs
from t5x_lite.checkpoints import folders, inspect, pretrained
from t5x_lite.checkpoints.config import SavedDtype
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.data.ramp import make_ramp
from t5x_lite.display.terminal import shown_size
from t5x_lite.errors import UserError
from t5x_lite.inference import fitting
from t5x_lite.losses.config import LossConfig, TeacherTermConfig
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import Partitioner, make_partitioner
from t5x_lite.partitioning.rules import in_words
from t5x_lite.preflight import data, first_loss, places, planned, pruned
from t5x_lite.preflight.findings import Check, Kind, Outcome
from t5x_lite.training import microbatches
from t5x_lite.training import start as starts
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory, make_factory

_SAVED_BYTES = {SavedDtype.FLOAT32: 4, SavedDtype.BFLOAT16: 2}


@dataclasses.dataclass
class _Found:
    """What one check finds out and later ones need.

    Shapes are those on a single device, so that a mesh that does not fit hides nothing else.
    """

    shapes: StateFactory
    readers: int
    checkpoint_bytes: int = 0
    origin: starts.Origin | None = None


def checks(
    resolved: config.Resolved[TrainConfig], arguments: argparse.Namespace
) -> Iterator[Check]:
    """All of them; what they find out decides which come later."""
    job, processes = resolved.config, arguments.process_count or 1
    one_device = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    found = _Found(make_factory(_untaught(job), one_device), processes)
    yield Check("model", lambda: _model(job, found))
    if job.teacher_path is not None:
        yield Check("teacher", lambda: _teacher(job, one_device))
    yield Check("mesh and batch", lambda: _mesh(job, found, processes))
    if arguments.topology is not None:
        topology, slices = arguments.topology, arguments.slices
        yield Check("plan", lambda: planned.check(job, topology, slices=slices))
    yield Check("start", lambda: _start(job, found), needs=("model",))
    yield Check("model_dir", lambda: _model_dir(job, found), needs=("model",))
    yield from data.checks(resolved, arguments, job.model, readers=found.readers)
    read = ("tasks", "vocabulary", "data, train", "example, train")
    if found.origin is not None and found.origin.path is not None:
        vocabulary = pretrained.describe(found.origin.path).vocabulary
        same = functools.partial(data.same_vocabulary, job.dataset, vocabulary)
        yield Check("its vocabulary", same, needs=read)
    if job.teacher_path is not None:
        taught = functools.partial(_teachers_vocabulary, job)
        yield Check("teacher's words", taught, needs=("teacher", *read))
    if found.origin is not None and found.origin.dataset is not None:
        folder = found.origin.dataset
        positions = functools.partial(data.positions, job, folder, readers=found.readers)
        yield Check("its data position", positions, needs=read)
    yield Check("restarts", lambda: data.restartable(job), needs=("tasks", "data, train"))
    if job.infer_eval_dataset is not None:
        yield Check("decoding", lambda: _decoding(job), needs=("tasks",))
    yield Check("first loss", lambda: first_loss.check(job), needs=read)


def _model(job: TrainConfig, found: _Found) -> Iterator[Outcome]:
    """Whether optimizer, schedule, parameter groups and pruning fit the model."""
    state = found.shapes.abstract
    saved = _SAVED_BYTES[job.checkpoints.dtype]
    parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.parameters))
    found.checkpoint_bytes = parameters * saved + _num_bytes(state.optimizer_state)
    yield (
        Kind.OK,
        f"{transformer.num_parameters(job.model):,} parameters, a checkpoint of "
        f"{shown_size(found.checkpoint_bytes)}",
    )
    if found.shapes.pruning is not None:
        yield Kind.OK, found.shapes.pruning.table


def _untaught(job: TrainConfig) -> TrainConfig:
    """The job as far as its own states go, so that a teacher that is not there hides nothing."""
    own = tuple(term for term in job.loss if not isinstance(term, TeacherTermConfig))
    return dataclasses.replace(job, teacher_path=None, loss=own or (LossConfig(),))


def _teacher(job: TrainConfig, partitioner: Partitioner) -> Iterator[Outcome]:
    """Whether it is there and fits what the loss compares."""
    teacher = make_factory(job, partitioner).teacher
    assert teacher is not None, "asked of a job with a teacher"
    yield (
        Kind.OK,
        f"{teacher.path}: {inspect.in_words(teacher.model)}, frozen and not saved, "
        f"{shown_size(_num_bytes(teacher.abstract))} beside the model",
    )


def _teachers_vocabulary(job: TrainConfig) -> Iterator[Outcome]:
    """Whether ids mean the same words to it."""
    assert job.teacher_path is not None, "asked of a job with a teacher"
    return data.same_vocabulary(job.dataset, pretrained.describe(job.teacher_path).vocabulary)


def _decoding(job: TrainConfig) -> Iterator[Outcome]:
    """Whether the model writes, for the evaluation of what it wrote, in the way asked for."""
    from t5x_lite.data.examples import evaluation_tasks

    dataset = job.infer_eval_dataset
    assert dataset is not None, "only then is anything decoded"
    found = evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    if any(task.has_metrics for task in found):
        fitting.check_fits(job.model, job.decoding)
        yield Kind.OK, job.decoding.describe()


def _mesh(job: TrainConfig, found: _Found, processes: int) -> Iterator[Outcome]:
    """Whether parameters and batches divide over the devices, and what a device holds."""
    partitioner = make_partitioner(job.partitioning)
    found.readers = _readers(partitioner, processes)
    factory, problems = make_factory(_untaught(job), partitioner), []
    fitting: list[Callable[[], object]] = [lambda: factory.abstract]
    for dataset in (job.dataset, job.eval_dataset):
        if dataset is None:
            continue
        fitting.append(functools.partial(partitioner.check_batch_size, dataset.batch_size))
    ramp, parts = make_ramp(job.dataset), job.num_microbatches
    fitting += [
        functools.partial(microbatches.check, stage.rows, parts, partitioner)
        for stage in ramp.stages
    ]
    for fits in fitting:
        try:
            fits()
        except UserError as error:
            problems.append(str(error))
    # A batch that does not divide is so for each data set and for microbatches.
    for problem in dict.fromkeys(problems):
        yield Kind.FIX, problem
    if not problems:
        state, mesh = factory.abstract, partitioner.mesh.shape
        in_parts = f" in {parts} parts" if parts > 1 else ""
        yield (
            Kind.OK,
            f"{in_words(mesh)}, {ramp} a batch{in_parts}\n"
            f"a device holds {shown_size(_on_a_device(state))} of parameters and optimizer, "
            f"{shown_size(_on_a_device(state.parameters))} of gradients, and activations",
        )


def _readers(partitioner: Partitioner, processes: int) -> int:
    """How many processes read parts of their own of a batch, were there so many."""
    devices = partitioner.mesh.size
    if devices % processes:
        raise UserError(
            f"--process_count={processes} processes cannot share {devices} devices evenly: give "
            "the number of all devices with --cpu_devices=..."
        )
    return partitioner.num_readers(processes)


def _start(job: TrainConfig, found: _Found) -> Iterator[Outcome]:
    """What the run would start from, and whether names and shapes are the model's."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            origin = starts.find_origin(job, job.model)
            report = starts.check_origin(job, found.shapes, origin)
    except ModelMismatchError as error:
        yield Kind.FIX, f"{error}\n{jobs.fitting_gin_file(error.stored_model)}"
        return
    except FileNotFoundError as error:
        yield Kind.FIX, f"{error} Name one: --gin.INITIAL_CHECKPOINT_PATH=..."
        return
    finally:
        damaged = printed.getvalue().strip()
    if damaged:
        yield Kind.NOTE, damaged.removeprefix("WARNING: ")
    found.origin = origin
    yield Kind.OK, f"{origin.source}; steps {origin.first_step} to {origin.last_step}"
    if origin.is_own and origin.first_step == origin.last_step:
        yield Kind.NOTE, "this run is complete: it will only make up for evaluations it lacks"
    pruned.check(found.shapes, origin)
    if report is not None and job.restore.is_partial and not origin.is_own:
        yield Kind.NOTE, f"of the checkpoint's leaves: {report.counts()}"


def _model_dir(job: TrainConfig, found: _Found) -> Iterator[Outcome]:
    """Whether checkpoints can be written, and all that are kept at a time."""
    existing = places.check_writable(job.model_dir, "--gin.MODEL_DIR")
    directory = folders.absolute(job.model_dir)
    if existing is None:
        yield Kind.NOTE, f"{directory} is remote: neither room nor rights were looked at"
        return
    # The new one is whole before an old one goes.
    kept = job.checkpoints.keep + job.checkpoints.keep_best + 1
    there = min(len(folders.steps(directory)), kept - 1)
    needed, free = (kept - there) * found.checkpoint_bytes, places.room_in(existing)
    more = "more " if there else ""
    sentence = (
        f"{directory}: {kept - there} {more}checkpoints at a time need {shown_size(needed)}, "
        f"free are {shown_size(free)}"
    )
    if needed > free:
        yield (
            Kind.FIX,
            f"{sentence}: make room, keep fewer (--gin.KEEP_CHECKPOINTS=..., now "
            f"{job.checkpoints.keep}), or give another --gin.MODEL_DIR.",
        )
    else:
        yield Kind.OK, sentence


def _num_bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _on_a_device(tree: Any) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )
