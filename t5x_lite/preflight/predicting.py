"""The checks of an evaluation or inference job."""

import argparse
import contextlib
import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence

import jax

from t5x_lite import config, jobs
from t5x_lite.checkpoints import folders, parameters, pretrained, restoring
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.display.terminal import shown_size
from t5x_lite.evaluation import selection
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import fitting, restored
from t5x_lite.inference.config import InferConfig
from t5x_lite.inference.restored import Restored
from t5x_lite.inference.sources import file_source
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.partitioning.rules import in_words
from t5x_lite.preflight import data, places
from t5x_lite.preflight.findings import Check, Kind, Outcome

Job = EvalConfig | InferConfig

_LINES_OF_FILE = 100


@dataclasses.dataclass
class _Found:
    """What is known of the model when its checkpoints were looked at."""

    model: ModelConfig | None
    checkpoints: Restored | None = None


def checks(resolved: config.Resolved[Job], arguments: argparse.Namespace) -> Iterator[Check]:
    """All of them; what they find out decides which come later."""
    job = resolved.config
    found = _Found(job.model)
    yield Check("checkpoint", lambda: _checkpoints(job, found))
    if isinstance(job, InferConfig) and job.mode.writes:
        yield Check("decoding", lambda: _decoding(job, found), needs=("checkpoint",))
    yield Check("mesh and batch", lambda: _mesh(job, found.model))
    yield Check("output", lambda: _output(job))
    if job.dataset is not None:
        yield from data.checks(resolved, arguments, found.model)
        read = ("tasks", "vocabulary", "data, examples", "example, examples")
        if isinstance(job, EvalConfig):
            yield Check("metrics", lambda: _metrics(job), needs=("tasks", "data, examples"))
            yield Check("decoding", lambda: _decoding(job, found), needs=("checkpoint", "metrics"))
        if found.checkpoints is not None:
            folder = found.checkpoints.found[0].vocabulary
            same = functools.partial(data.same_vocabulary, job.dataset, folder)
            yield Check("its vocabulary", same, needs=read)
    elif isinstance(job, InferConfig):
        yield Check("input file", lambda: _input_file(job, found), needs=("checkpoint",))


def _checkpoints(job: Job, found: _Found) -> Iterator[Outcome]:
    """Whether they are there, whole, and of the model's shapes."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            found.checkpoints = restored.describe(_paths(job), job.model, job.ensemble)
            members = found.checkpoints.models.members
            for each, model in zip(found.checkpoints.found, members, strict=True):
                _check_leaves(each, model)
    except ModelMismatchError as error:
        yield Kind.FIX, f"{error}\n{jobs.fitting_gin_file(error.stored_model)}"
        return
    finally:
        damaged = printed.getvalue().strip()
    if damaged:
        yield Kind.NOTE, damaged.removeprefix("WARNING: ")
    found.model = found.checkpoints.model
    for each, model in zip(found.checkpoints.found, members, strict=True):
        number = f"{transformer.num_parameters(model):,} parameters"
        yield Kind.OK, f"{each.path}: step {each.step}, {number}"


def _paths(job: Job) -> Sequence[str]:
    """The checkpoints; the newest of a model directory stands for its best."""
    path = job.checkpoint_path
    if isinstance(job, EvalConfig) and selection.means_best(path):
        path = str(folders.absolute(path).parent)
    return (path, *job.ensemble_paths)


def _check_leaves(found: pretrained.Pretrained, model: ModelConfig) -> None:
    if found.format is not None:
        with pretrained.open_foreign(found.path, model):
            return
    pretrained.model_for(found.path, model)
    one_device = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    abstract = {"parameters": parameters.abstract_parameters(model, one_device)}
    restoring.check(found.path, abstract)


def _mesh(job: Job, model: ModelConfig | None) -> Iterator[Outcome]:
    """Whether parameters, if the model is known, divide over the devices; batches are filled up."""
    partitioner = make_partitioner(job.partitioning)
    if model is not None:
        parameters.abstract_parameters(model, partitioner)
    mesh, rows = partitioner.mesh.shape, partitioner.filled_batch_size(_batch_size(job))
    yield Kind.OK, f"{in_words(mesh)}, {rows} rows a batch"


def _batch_size(job: Job) -> int:
    if job.dataset is not None:
        return job.dataset.batch_size
    assert isinstance(job, InferConfig) and job.input_file is not None, "it asks for one of the two"
    return job.input_file.batch_size


def _output(job: Job) -> Iterator[Outcome]:
    flag = "EVAL_OUTPUT_DIR" if isinstance(job, EvalConfig) else "INFER_OUTPUT_DIR"
    existing = places.check_writable(job.output_dir, f"--gin.{flag}")
    if existing is None:
        yield Kind.NOTE, f"{job.output_dir} is remote: rights were not looked at"
    else:
        yield Kind.OK, f"{job.output_dir}, free are {shown_size(places.room_in(existing))}"


def _decoding(job: Job, found: _Found) -> Iterator[Outcome]:
    """Whether the models write in the way that is asked for, if they write at all."""
    from t5x_lite.evaluation.evaluate import tasks_with_metrics

    assert found.checkpoints is not None, "the checkpoint was found before"
    members = found.checkpoints.models.members
    if isinstance(job, EvalConfig):
        with contextlib.redirect_stdout(io.StringIO()):  # what is left out was said of the metrics
            tasks = tasks_with_metrics(job.dataset.mixture_or_task_name, job.dataset.split)
        if not any(task.task.predict_metric_fns for task in tasks):
            return
    if members[0].layout is not Layout.ENCODER:
        for member in members:
            fitting.check_fits(member, job.decoding)
        yield Kind.OK, job.decoding.describe()


def _metrics(job: EvalConfig) -> Iterator[Outcome]:
    from t5x_lite.evaluation.evaluate import tasks_with_metrics

    tasks = tasks_with_metrics(job.dataset.mixture_or_task_name, job.dataset.split)
    names = [task.name for task in tasks]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        selection.checkpoint_paths(job.checkpoint_path, names)
    yield Kind.OK, "\n".join([f"of {', '.join(names)}", *printed.getvalue().splitlines()])


def _input_file(job: InferConfig, found: _Found) -> Iterator[Outcome]:
    """Its first lines, and the vocabulary that makes ids of them."""
    assert found.checkpoints is not None and job.input_file is not None, "both were found before"
    tokenizer = found.checkpoints.tokenizer(job.input_file.vocabulary)
    model = found.checkpoints.model
    source = file_source(job.input_file, tokenizer, model, _LINES_OF_FILE)
    first = tokenizer.decode(source.inputs[0])
    yield Kind.OK, f"{job.input_file.path}\ninputs {len(source.inputs[0]):>4} ids: {first[:80]}"
