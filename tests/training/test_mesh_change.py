"""A run may go on on another mesh, with other axes and other rules."""

import functools

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig
from t5x_lite.optim.config import AdamWConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability.config import HealthConfig
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

VOCAB, ROWS, LENGTH = 32, 16, 8
TWO_AXES = PartitioningConfig(num_partitions=2)
SLICES = PartitioningConfig(
    mesh_axes=(("slice", 2), ("data", None), ("model", 2)),
    activation_axis_rules=(("batch", ("slice", "data")),),
    parameter_axis_rules=(("embed", "data"),),
)


@functools.cache
def factory_and_step(config):
    """Updates proportional to gradients: round-off stays round-off."""
    model = tiny_model(VOCAB, Layout.LM, dropout_rate=0.1)
    optimizer = AdamWConfig(epsilon=1.0, weight_decay=0.0)
    schedule = ScheduleConfig(base_learning_rate=1.0)
    factory = StateFactory(model, optimizer, schedule, make_partitioner(config))
    return factory, make_train_step(factory, (LossConfig(),), seed=0, health=HealthConfig())


def train(config, state, numbers):
    """The state after the steps of these numbers, each with a batch of its own."""
    factory, step = factory_and_step(config)
    for number in numbers:
        tokens = np.random.default_rng(number).integers(2, VOCAB, (ROWS, LENGTH), np.int32)
        names = ("decoder_input_tokens", "decoder_target_tokens")
        rows = dict.fromkeys(names, tokens) | {"decoder_segment_ids": np.ones_like(tokens)}
        batch = factory.partitioner.global_batch(rows)
        state, _ = step(state, batch)
    return state


@pytest.fixture(scope="module")
def uninterrupted():
    """Parameters after three steps on (data, model)."""
    state = factory_and_step(TWO_AXES)[0].initialize(0)
    return jax.device_get(train(TWO_AXES, state, range(3)).parameters)


@pytest.mark.parametrize("meshes", [(TWO_AXES, SLICES), (SLICES, TWO_AXES)], ids=["to", "from"])
def test_a_run_goes_on_with_other_axes(meshes, uninterrupted, tmp_path):
    """Restored bit for bit; further steps differ by the order of sums, 1e-5 of a leaf's norm."""
    first, second = meshes
    state = train(first, factory_and_step(first)[0].initialize(0), range(2))
    checkpoints = manager.Checkpoints(tmp_path, SaveCheckpointConfig(period=1))
    checkpoints.save(2, state, manager.Description(""))
    checkpoints.close()
    wanted = factory_and_step(second)[0].abstract
    restored = manager.restore(manager.find(tmp_path), wanted)
    jax.tree.map(np.testing.assert_array_equal, restored, state)
    kernel = restored.parameters["decoder"]["layers"]["mlp"]["wi"]["kernel"]
    assert kernel.sharding == wanted.parameters["decoder"]["layers"]["mlp"]["wi"]["kernel"].sharding
    found = train(second, restored, [2]).parameters

    def check(one, other):
        assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other)

    jax.tree.map(check, jax.device_get(found), uninterrupted)
