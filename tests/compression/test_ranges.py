"""Ranges of products of 8 bits in training: an average that no optimizer, mesh or part moves."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.compression import ranges
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.losses.config import LossConfig
from t5x_lite.model import transformer
from t5x_lite.model.choices import LayerSharing
from t5x_lite.model.config import QuantizationConfig
from t5x_lite.optim.config import AdamWConfig, ParameterGroup, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability.config import HealthConfig
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

VOCAB, ROWS, LENGTH = 32, 16, 8
QUANTIZATION = QuantizationConfig(decay=0.75)
MODEL = dataclasses.replace(tiny_model(VOCAB, Layout.ENCODER), quantization=QUANTIZATION)
# Steps as large as 1, and a decay that would halve what it reaches.
OPTIMIZER = AdamWConfig(weight_decay=0.5)
RATE = ScheduleConfig(base_learning_rate=0.01, factors="constant")


# Parameters over `data` as well: gin/meshes/fully_sharded.gin.
FULLY_SHARDED = (("embed", "data"),)


@functools.cache
def factory_of(num_devices=8, num_partitions=2, model=MODEL, groups=(), rules=()):
    partitioner = make_partitioner(
        PartitioningConfig(num_partitions=num_partitions, parameter_axis_rules=rules),
        jax.devices()[:num_devices],
    )
    return StateFactory(model, OPTIMIZER, RATE, partitioner, groups)


@functools.cache
def first_parameters(model):
    return jax.device_get(factory_of(model=model).initialize(0).parameters)


def state_of(factory):
    return factory.from_parameters(first_parameters(factory.model))


def batch(seed=0):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(2, VOCAB, (ROWS, LENGTH)).astype(np.int32)
    ones = np.ones_like(tokens)
    return {
        "encoder_input_tokens": tokens,
        "encoder_target_tokens": tokens[:, ::-1].copy(),
        "encoder_segment_ids": ones,
    }


@functools.cache
def step_of(factory, count=1, health=None):
    return make_train_step(factory, (LossConfig(),), seed=0, num_microbatches=count, health=health)


def trained(factory, steps, count=1):
    """The host's parameters and the last loss, after some steps of different batches."""
    state, step = state_of(factory), step_of(factory, count)
    for number in range(steps):
        state, metrics = step(state, factory.partitioner.global_batch(batch(number)))
    return jax.device_get(state.parameters), float(metrics["loss_sum"])


def ranges_in(parameters):
    return {
        jax.tree_util.keystr(keys, simple=True, separator="/"): np.asarray(leaf)
        for keys, leaf in jax.tree_util.tree_leaves_with_path(parameters)
        if keys[-1].key == transformer.RANGE
    }


_LOOK = jax.jit(
    lambda model, *given: transformer.apply_with_ranges(model, *given)[1], static_argnums=0
)


def test_a_range_is_an_average_that_begins_with_what_is_seen_first():
    """As computed by hand, each layer by itself; with a decay of 1 what is known stays."""
    known = {"a": {"kernel": 1, "input_range": jnp.array([[-2.0, 4.0], [0.0, 0.0]])}, "b": 2}
    seen = {"a": {"input_range": jnp.array([[-4.0, 0.0], [-1.0, 3.0]])}}
    moved = ranges.moved(known, seen, 0.75)
    np.testing.assert_array_equal(moved["a"]["input_range"], [[-2.5, 3.0], [-1.0, 3.0]])
    assert moved["a"]["kernel"] == 1 and moved["b"] == 2
    kept = ranges.moved(known, seen, 1.0)["a"]["input_range"]
    np.testing.assert_array_equal(kept, [[-2.0, 4.0], [-1.0, 3.0]])


def test_steps_move_ranges_by_what_they_saw_and_by_nothing_else():
    """A step computes with what was known before it: its batch is seen with those parameters."""
    factory = factory_of(1, 1)
    state, step = state_of(factory), step_of(factory)
    for number in range(3):
        before = jax.device_get(state.parameters)
        seen = jax.device_get(_LOOK(MODEL, before, batch(number)))
        expected = ranges_in(ranges.moved(before, seen, QUANTIZATION.decay))
        state, _ = step(state, factory.partitioner.global_batch(batch(number)))
        found = ranges_in(jax.device_get(state.parameters))
        assert found.keys() == expected.keys() and len(found) == 6
        for name, value in found.items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_optimizer_knows_no_range():
    """Neither slots nor decay nor gradients; also where a group would have them all."""
    everything = ParameterGroup(pattern=".*", learning_rate=2.0)
    for groups in ((), (everything,)):
        factory = factory_of(groups=groups)
        slots = jax.tree_util.tree_leaves_with_path(factory.abstract.optimizer_state)
        assert slots and not [keys for keys, _ in slots if transformer.RANGE in str(keys)]
        assert transformer.RANGE in factory.groups.table


def test_a_plain_model_has_no_ranges_and_no_group():
    plain = dataclasses.replace(MODEL, quantization=None)
    assert not ranges_in(first_parameters(plain)) and ranges.groups(plain) == ()


@pytest.mark.parametrize(("count", "rules"), [(1, FULLY_SHARDED), (2, ())])
def test_any_mesh_and_any_microbatches_see_one_range(count, rules):
    """Of the first step to the order of float32 sums. Later a number between two steps may fall to
    either, so ranges and losses are those of one device to a hundredth.
    """
    for steps, tolerance in ((1, 1e-5), (3, 0.01)):
        expected, loss = trained(factory_of(1, 1), steps)
        found, other = trained(factory_of(8, 2, rules=rules), steps, count)
        ours, theirs = ranges_in(found), ranges_in(expected)
        for name, value in ours.items():
            size = np.abs(theirs[name]).max()
            assert np.abs(value - theirs[name]).max() < tolerance * size, name
        assert other == pytest.approx(loss, rel=tolerance)


def test_layers_that_share_weights_share_a_range():
    """It is that of all of them together."""
    stack = dataclasses.replace(MODEL.encoder, layer_sharing=LayerSharing.ALL)
    model = dataclasses.replace(MODEL, encoder=stack)
    found, _ = trained(factory_of(8, 2, model), 1)
    seen = ranges_in(jax.device_get(_LOOK(model, first_parameters(model), batch())))
    for name, value in ranges_in(found).items():
        assert value.shape == (2,)
        np.testing.assert_allclose(value, seen[name], rtol=1e-5, atol=1e-6)


def test_an_unsound_step_moves_no_range():
    factory = factory_of()
    state, step = state_of(factory), step_of(factory, 1, HealthConfig())
    state, _ = step(state, factory.partitioner.global_batch(batch()))
    before = ranges_in(jax.device_get(state.parameters))
    ruined = jax.tree_util.tree_map_with_path(
        lambda keys, leaf: leaf * jnp.nan if "scale" in str(keys) else leaf, state.parameters
    )
    state = dataclasses.replace(state, parameters=ruined)
    state, metrics = step(state, factory.partitioner.global_batch(batch(1)))
    assert metrics["unhealthy_steps"] == 1
    after = ranges_in(jax.device_get(state.parameters))
    for name, value in after.items():
        np.testing.assert_array_equal(value, before[name])


def test_training_learns_while_it_rounds():
    """The loss of one batch falls, and rounding is felt: without it the loss is another."""
    losses = {}
    for name, model in (
        ("rounded", MODEL),
        ("plain", dataclasses.replace(MODEL, quantization=None)),
    ):
        factory = factory_of(model=model)
        state, step, found = state_of(factory), step_of(factory), []
        placed = factory.partitioner.global_batch(batch())
        for _ in range(8):
            state, metrics = step(state, placed)
            found.append(float(metrics["loss_sum"] / metrics["weight_sum"]))
        losses[name] = found
    assert losses["rounded"][-1] < losses["rounded"][0] - 0.2
    assert losses["rounded"] != losses["plain"]
    assert losses["rounded"][-1] == pytest.approx(losses["plain"][-1], abs=0.2)


def test_integers_on_any_mesh_are_those_of_one_device():
    """Sums of int32 have no order; also where kernels are split along what they sum over."""
    model, parameters = transformer.quantize(MODEL, trained(factory_of(1, 1), 2)[0])
    texts = list(batch()["encoder_input_tokens"])
    found = []
    for num_devices, num_partitions in ((1, 1), (8, 2)):
        partitioner = factory_of(num_devices, num_partitions).partitioner
        placed = place_parameters(parameters, abstract_parameters(model, partitioner))
        engine = Engine(Ensemble((model,)), [placed], partitioner)
        found.append(np.stack(engine.encode(texts, batch_size=ROWS, mean=False)))
    # A number between two steps may fall to either, as norms sum floats.
    assert np.abs(found[1] - found[0]).max() < 0.02 * np.std(found[0])
