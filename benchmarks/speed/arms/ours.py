"""t5x_lite, through what its commands call."""

import dataclasses
from typing import Any

import jax
import numpy as np

from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.operations import seconds_by_cause
from benchmarks.speed.settings import Settings
from t5x_lite import config
from t5x_lite.checkpoints import huggingface
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig
from t5x_lite.inference import restored
from t5x_lite.inference.engine import Engine
from t5x_lite.model.choices import Weights
from t5x_lite.partitioning import host_memory
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory, TrainState, make_factory
from t5x_lite.training.step import Step, make_step_of


def train(settings: Settings) -> Prepared:
    """A step of `t5x_lite train`, from a batch on the host to its metrics; its facts say where the
    seconds of one went.
    """
    host_memory.compute_in_calling_thread()
    host_memory.keep_freed()
    step, state = step_of(settings)
    batch = train_batch(settings)

    def advance() -> Any:
        nonlocal state
        placed = step.factory.partitioner.global_batch(batch)
        state, metrics = step(state, placed)
        return jax.device_get(metrics)

    cold, metrics = seconds_of(advance)
    advance()
    loss = float(metrics["cross_entropy_sum"] / metrics["weight_sum"])
    program = step.lower(state, step.factory.partitioner.global_batch(batch)).compile().as_text()
    facts = first_seconds(cold) | {"operations": seconds_by_cause(program or "", advance)}
    return Prepared(timed(advance), facts, loss)


def step_of(settings: Settings) -> tuple[Step, TrainState]:
    """The step of the job below, not compiled yet, and the state that it begins with."""
    job, factory = train_job(settings), factory_of(settings)
    state = factory.from_parameters(huggingface.load(settings.directory)[1])
    return make_step_of(job, factory, initial_step=0), state


def factory_of(settings: Settings) -> StateFactory:
    """The states of the job below."""
    job = train_job(settings)
    return make_factory(job, make_partitioner(job.partitioning))


def train_job(settings: Settings, **macros: object) -> TrainConfig:
    """What recipes/pretrain.gin makes of the model, at a constant rate, with further macros."""
    lengths = dict(zip(("inputs", "targets"), settings.lengths, strict=True))
    values: dict[str, object] = {
        "MODEL_DIR": settings.directory.with_suffix(".run"),
        "MIXTURE_OR_TASK_NAME": "not_looked_up",
        "TASK_FEATURE_LENGTHS": {name: length for name, length in lengths.items() if length},
        "TRAIN_STEPS": 1_000_000,
        "BATCH_SIZE": settings.batch,
        "DROPOUT_RATE": 0.0,
        "LEARNING_RATE_FACTORS": "constant",
        "LEARNING_RATE": 0.001,
    }
    overrides = [("--gin", f"{name}={value}") for name, value in (values | macros).items()]
    files = (*settings.model_files, "recipes/pretrain.gin")
    return config.resolve(TrainConfig, files, overrides=overrides).config


def train_batch(settings: Settings) -> dict[str, np.ndarray]:
    """Rows as the input pipeline packs them, each full of one example."""
    rows = dict(zip(("encoder", "decoder"), settings.predicted_rows(), strict=True))
    model, predicted = settings.model, rows["decoder"]
    start = np.full_like(predicted[:, :1], model.special.start)
    batch = {
        "decoder_target_tokens": predicted,
        "decoder_loss_weights": np.ones_like(predicted),
    }
    read = {"decoder": np.concatenate([start, predicted[:, :-1]], axis=1)}
    for stack in model.stacks:
        tokens = rows[stack]
        batch[f"{stack}_input_tokens"] = read.get(stack, tokens)
        batch[f"{stack}_segment_ids"] = np.ones_like(tokens)
        batch[f"{stack}_positions"] = np.tile(
            np.arange(tokens.shape[1], dtype=np.int32), (len(tokens), 1)
        )
    return batch


def decode(settings: Settings, *, beams: int | None = None, weights: str | None = None) -> Prepared:
    """Greedy decoding, or a beam search, as `t5x_lite infer` runs it."""
    engine, (inputs, _) = _engine(settings, weights), settings.rows()
    decoding = DecodingConfig(max_decode_length=settings.targets)
    if beams is not None:
        decoding = dataclasses.replace(decoding, strategy=BeamConfig(beam_size=beams))
    prompts = [row.tolist() for row in inputs]

    def generate() -> list[list[int]]:
        found = engine.generate(prompts, decoding, batch_size=settings.batch)
        return [each.ids() for each in found]

    cold, tokens = seconds_of(generate)
    return Prepared(timed(generate), first_seconds(cold), tokens)


def beam(settings: Settings, *, weights: str | None = None) -> Prepared:
    """A beam search."""
    return decode(settings, beams=settings.beams, weights=weights)


def score(settings: Settings, *, weights: str | None = None) -> Prepared:
    """The log-likelihood of each row of what is predicted."""
    engine = _engine(settings, weights)
    read, predicted = (rows.tolist() for rows in settings.predicted_rows())

    def run() -> list[float]:
        found = engine.score(read, predicted, batch_size=settings.batch)
        return [float(row.sum()) for row in found]

    cold, log_probs = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), log_probs)


def encode(settings: Settings) -> Prepared:
    """The mean of the encoder's last states over each row of inputs."""
    engine, inputs = _engine(settings), settings.rows()[0].tolist()

    def run() -> list[list[float]]:
        found = engine.encode(inputs, batch_size=settings.batch, mean=True)
        return [row.tolist() for row in found]

    cold, means = seconds_of(run)
    return Prepared(timed(run), first_seconds(cold), means)


def _engine(settings: Settings, weights: str | None = None) -> Engine:
    found = restored.describe((settings.directory,), None)
    return found.engine(
        make_partitioner(PartitioningConfig()),
        first_sentinel=None,
        weights=None if weights is None else Weights(weights),
    )
