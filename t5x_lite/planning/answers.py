"""An inference job -> the program with which it answers a batch, for devices that are elsewhere.

The model is the one that the job names, so that its checkpoint need not be there; else what the
checkpoint says of itself. No parameter is read, and no input.
"""

import dataclasses

from t5x_lite.checkpoints.parameters import abstract_parameters
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.inference import restored
from t5x_lite.inference.config import InferConfig, Mode
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.planning import programs
from t5x_lite.planning.programs import Program
from t5x_lite.planning.topologies import Topology


@dataclasses.dataclass(frozen=True)
class Answers:
    """Models that answer batches of `batch_size` inputs, each cut or filled to `width` ids."""

    models: Ensemble
    decoding: DecodingConfig
    partitioning: PartitioningConfig
    batch_size: int
    width: int


def answers_of(job: InferConfig) -> Answers:
    """What an inference job does with each of its batches.

    Raises:
        UserError: it generates nothing, does not say how long inputs are, or has neither a model
            nor a checkpoint that is there.
    """
    if job.mode not in (Mode.PREDICT, Mode.PREDICT_WITH_AUX):
        raise UserError(
            f"mode={job.mode.value!r}: of an inference job a plan knows the answers it generates; "
            "needed is --gin.MODE=predict."
        )
    batch_size, width = _batch(job)
    models = _models(job)
    if job.weights is not None:
        members = [dataclasses.replace(each, weights=job.weights) for each in models.members]
        models = Ensemble(tuple(members), models.average)
    return Answers(models, job.decoding, job.partitioning, batch_size, width)


def make_engine(answers: Answers, topology: Topology) -> Engine:
    """The engine of a job on a topology, with abstract parameters.

    Raises:
        UserError: mesh or models do not fit its devices, or these cannot be compiled for.
    """
    devices = topology.devices()
    with programs.said_of(topology):
        partitioner = make_partitioner(answers.partitioning, devices)
        parameters = [abstract_parameters(each, partitioner) for each in answers.models.members]
    return Engine(answers.models, parameters, partitioner)


def lower(answers: Answers, engine: Engine) -> Program:
    """The program that writes the answers of a batch."""
    return programs.lower_answers(
        engine, answers.decoding, batch_size=answers.batch_size, width=answers.width
    )


def _batch(job: InferConfig) -> tuple[int, int]:
    if job.dataset is not None:
        return job.dataset.batch_size, programs.inputs_length(job.dataset)
    assert job.input_file is not None, "InferConfig asks for one of the two"
    if job.input_file.inputs_length is None:
        raise UserError(
            "inputs_length=None: a plan needs the length of inputs, and reads none: "
            "--gin.INPUTS_LENGTH=512"
        )
    return job.input_file.batch_size, job.input_file.inputs_length


def _models(job: InferConfig) -> Ensemble:
    paths = (job.checkpoint_path, *job.ensemble_paths)
    if job.model is not None:
        return Ensemble((job.model,) * len(paths), job.ensemble)
    try:
        return restored.describe(paths, None, job.ensemble).models
    except FileNotFoundError as error:
        raise UserError(
            f"{error} A plan needs the model alone, and no checkpoint where a gin file gives it: "
            "--gin_file=models/t5_1_1/base.gin"
        ) from error
