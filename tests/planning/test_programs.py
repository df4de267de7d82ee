"""Lowered programs are those that run: same arguments, same numbers."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.reading import Asked
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig
from t5x_lite.planning.plan import model_flops
from t5x_lite.planning.programs import Kind, lower, make_states
from t5x_lite.planning.topologies import find
from t5x_lite.testing import tiny_model
from t5x_lite.text.template import Framed
from t5x_lite.training.step import make_eval_step, make_step_of


@pytest.fixture(scope="module")
def job(make_job):
    return make_job(NUM_PARTITIONS=2)


@pytest.fixture(scope="module")
def states(job):
    return make_states(job, find("cpu:8"))


@pytest.fixture
def batch(job, states):
    """Any batch; every position counts."""
    row = job.model.features.row
    shapes = row.shapes(job.dataset.batch_size, job.dataset.task_feature_lengths)
    rng = np.random.default_rng(0)
    whole = {
        name: rng.integers(2, 64, size=shape, dtype=np.int32) for name, shape in shapes.items()
    }
    ones = [name for name in whole if not name.endswith("tokens")]
    return states.partitioner.place_batch(
        whole | {name: np.ones_like(whole[name]) for name in ones}
    )


def test_the_program_of_training_is_the_step_that_runs(job, states, batch):
    lowered = lower(job, states, Kind.TRAIN).lowered
    state, metrics = lowered.compile()(states.initialize(0), {}, batch)
    expected, same = make_step_of(job, states, initial_step=0)(states.initialize(0), batch)
    for got, wanted in zip(jax.tree.leaves((state, metrics)), jax.tree.leaves((expected, same))):
        np.testing.assert_array_equal(got, wanted)
        assert got.sharding == wanted.sharding


def test_the_program_of_evaluation_is_the_step_that_runs(job, states, batch):
    parameters = states.initialize(0).parameters
    metrics = lower(job, states, Kind.EVAL).lowered.compile()(parameters, {}, batch)
    assert metrics == make_eval_step(states, job.loss)(parameters, batch)
    assert metrics["weight_sum"] == 16 * 8


def test_the_program_of_decoding_writes_what_an_engine_does(job, states):
    parameters = [states.initialize(0).parameters]
    engine = Engine(Ensemble((job.model,)), parameters, states.partitioner)
    rows = [[5, 6, 1]] * 16
    expected = engine.generate(rows, job.decoding, batch_size=16)
    tokens = np.zeros((16, 16), np.int32)
    tokens[:, :3] = rows
    features = {
        "encoder_input_tokens": tokens,
        "encoder_segment_ids": (tokens > 0).astype(np.int32),
        "example_index": np.arange(16, dtype=np.int32),
    }
    program = lower(job, states, Kind.DECODE)
    compiled = program.lowered.compile()
    decoded = compiled(tuple(parameters), states.partitioner.place_batch(features))
    assert program.shapes == {"inputs": (16, 16), "outputs": (16, 4)}
    np.testing.assert_array_equal(decoded[0], [each.tokens for each in expected])


@pytest.mark.parametrize("kind", [HeadKind.CLASSES, HeadKind.SPAN, None])
def test_the_program_of_an_encoder_tells_what_an_engine_does(kind, job):
    """A head of whole examples at their first positions, one of spans everywhere; or its states."""
    heads = () if kind is None else (HeadConfig(kind=kind),)
    model = dataclasses.replace(tiny_model(64, Layout.ENCODER), heads=heads)
    job = dataclasses.replace(job, model=model)
    states = make_states(job, find("cpu:8"))
    program = lower(job, states, Kind.DECODE)
    parameters = [states.initialize(0).parameters]
    engine = Engine(Ensemble((model,)), parameters, states.partitioner)
    rows = [Framed([5, 6, 7, 1], [0] * 4)] * 16
    place = 0 if kind is HeadKind.CLASSES else None
    what = "encoder" if kind is None else kind.value
    expected = engine.tell([Asked(row, place) for row in rows], what, batch_size=16)
    tokens = np.zeros((16, 16), np.int32)
    tokens[:, :4] = [row.ids for row in rows]
    features = {
        "encoder_input_tokens": tokens,
        "encoder_segment_ids": (tokens > 0).astype(np.int32),
        "encoder_token_types": np.zeros_like(tokens),
        **({"place": np.zeros((16, 1), np.int32)} if place == 0 else {}),
    }
    told = program.lowered.compile()(tuple(parameters), states.partitioner.place_batch(features))
    assert program.shapes == {"inputs": (16, 16)}
    found = np.asarray(told)[:, 0] if place == 0 else np.asarray(told)[:, :4]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert model_flops(model, Kind.DECODE, program.shapes, job.decoding) > 0


@pytest.mark.parametrize(
    ("macros", "said"),
    [
        ({"NUM_PARTITIONS": 3}, "on cpu:8, 8 devices: num_partitions=3 does not divide"),
        ({"BATCH_SIZE": 12}, "a batch of 12 rows does not divide by data=8"),
        ({"NUM_MICROBATCHES": 4}, "NUM_MICROBATCHES=4 does not fit"),
        ({"NUM_PARTITIONS": 8}, "4 heads do not divide by model=8|divide by model=8"),
    ],
)
def test_what_does_not_divide_is_said_with_the_topology(make_job, macros, said):
    with pytest.raises(UserError, match=said):
        make_states(make_job(**macros), find("cpu:8"))


def test_lengths_are_asked_for(make_job):
    job = make_job(TASK_FEATURE_LENGTHS=None)
    with pytest.raises(UserError, match="TASK_FEATURE_LENGTHS="):
        lower(job, make_states(job, find("cpu:8")), Kind.TRAIN)
