"""A training job -> the programs it runs, lowered for devices that need not be there.

Nothing is read: shapes of batches follow from the job, those of states from the model. So neither
tasks nor TensorFlow are needed.
"""

import contextlib
import dataclasses
import enum
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.head_config import OF_EXAMPLES
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.planning.topologies import Topology
from t5x_lite.training import microbatches
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory, make_factory
from t5x_lite.training.step import make_eval_step, make_step_of

Shapes = Mapping[str, tuple[int, ...]]
# What tasks ask an encoder by itself for.
_TOLD = (HeadKind.CLASSES, HeadKind.REGRESSION, HeadKind.SPAN)


class Kind(enum.Enum):
    """The programs of a job: a step of training, one of held-out batches, decoding of a batch."""

    TRAIN = "train"
    EVAL = "eval"
    DECODE = "decode"


@dataclasses.dataclass(frozen=True)
class Program:
    """A program before it is compiled, and its batch: feature -> (rows, length)."""

    kind: Kind
    lowered: jax.stages.Lowered
    shapes: Shapes


def make_states(job: TrainConfig, topology: Topology) -> StateFactory:
    """The states of a job on a topology.

    Raises:
        UserError: mesh, model or batch do not fit its devices, or these cannot be compiled for.
    """
    devices = topology.devices()
    with said_of(topology):
        states = make_factory(job, make_partitioner(job.partitioning, devices))
        states.abstract  # noqa: B018  what does not divide is said here
        microbatches.check(job.dataset.batch_size, job.num_microbatches, states.partitioner)
    return states


@contextlib.contextmanager
def said_of(topology: Topology) -> Iterator[None]:
    """What is wrong with a job there names the topology."""
    try:
        yield
    except UserError as error:
        raise UserError(f"on {topology}, {topology.num_devices} devices: {error}") from error


def lower(job: TrainConfig, states: StateFactory, kind: Kind) -> Program:
    """One of the programs of a job, for the mesh of its states.

    Raises:
        UserError: the job has no such program, or does not say how long examples are.
    """
    if kind is Kind.DECODE:
        return _decode(job, states)
    dataset = job.dataset if kind is Kind.TRAIN else (job.eval_dataset or job.dataset)
    shapes = batch_shapes(job, dataset)
    batch = abstract_batch(job, states, shapes)
    if kind is Kind.TRAIN:
        lowered = make_step_of(job, states, initial_step=0).lower(states.abstract, batch)
    else:
        states.partitioner.check_batch_size(dataset.batch_size)
        lowered = make_eval_step(states, job.loss).lower(states.abstract.parameters, batch)
    return Program(kind, lowered, shapes)


def _decode(job: TrainConfig, states: StateFactory) -> Program:
    """The answers that a run decodes of the examples it is evaluated on."""
    dataset = job.infer_eval_dataset or job.eval_dataset or job.dataset
    engine = Engine(Ensemble((job.model,)), [states.abstract.parameters], states.partitioner)
    return lower_answers(
        engine, job.decoding, batch_size=dataset.batch_size, width=inputs_length(dataset)
    )


def lower_answers(
    engine: Engine, decoding: DecodingConfig, *, batch_size: int, width: int
) -> Program:
    """The answers to a batch of inputs of this width, whose rows are filled up to the devices'; of
    an encoder by itself what its head tells, or without one of whole examples its hidden states.
    """
    rows = engine.partitioner.filled_batch_size(batch_size)
    if engine.layout is Layout.ENCODER:
        model = engine.models.members[0]
        what = next((kind.value for kind in _TOLD if model.head(kind) is not None), "encoder")
        each = what not in [kind.value for kind in OF_EXAMPLES]
        lowered = engine.lower_tell(what, of_each_token=each, batch_size=rows, width=width)
        return Program(Kind.DECODE, lowered, {"inputs": (rows, width)})
    # Which ids sentinels are is the vocabulary's to say, and makes no difference here.
    decoding = dataclasses.replace(decoding, forbid_sentinels=False)
    lowered = engine.lower_generate(decoding, batch_size=rows, width=width)
    return Program(
        Kind.DECODE,
        lowered,
        {"inputs": (rows, width), "outputs": (rows, decoding.max_decode_length)},
    )


def batch_shapes(job: TrainConfig, dataset: DatasetConfig) -> Shapes:
    """The feature -> (rows, length) of a job's batches.

    Raises:
        UserError: the job does not say how long examples are.
    """
    row = job.model.features.row
    return row.shapes(dataset.batch_size, _lengths(dataset), dataset.prompt_length)


def abstract_batch(job: TrainConfig, states: StateFactory, shapes: Shapes) -> Any:
    """A batch of these shapes on the mesh of the states, without its numbers."""
    dtypes = {each.name: each.dtype for each in job.model.features.row.features}
    place = states.partitioner.batch_sharding
    return {
        name: jax.ShapeDtypeStruct(shape, jnp.dtype(dtypes[name]), sharding=place)
        for name, shape in shapes.items()
    }


def inputs_length(dataset: DatasetConfig) -> int:
    """Ids of an input as it is answered; of a language model's documents the beginning.

    Raises:
        UserError: nobody says how long examples are.
    """
    return _lengths(dataset).get("inputs", 1)


def _lengths(dataset: DatasetConfig) -> Mapping[str, int]:
    if dataset.task_feature_lengths is None:
        raise UserError(
            "a plan needs the lengths of examples, and reads none: "
            "--gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 114}\""
        )
    return dataset.task_feature_lengths
