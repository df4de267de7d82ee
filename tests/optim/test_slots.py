"""Slots that begin later than the run go by their own age."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ParameterGroup
from t5x_lite.optim.groups import assign
from t5x_lite.optim.lamb import LambConfig
from t5x_lite.optim.lion import LionConfig
from t5x_lite.optim.optimizer import make_optimizer

AXES = {"early": ("layers", "embed", "mlp"), "late": ("layers", "embed", "mlp")}
LATE = 1000
OPTIMIZERS = [
    AdamWConfig(),
    AdafactorConfig(min_dim_size_to_factor=2),
    AdafactorConfig(),
    LambConfig(),
    LionConfig(),
]


def optimizer_of(config, treatments=None):
    return make_optimizer(config, lambda step: jnp.float32(0.1), AXES, treatments)


@pytest.fixture(scope="module")
def parameters():
    rng = np.random.default_rng(0)
    return {name: jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32) for name in AXES}


@pytest.mark.parametrize("config", OPTIMIZERS)
def test_fresh_slots_in_an_old_run_update_as_in_a_new_one(config, parameters):
    """Adapters on a checkpoint of step 1,000: the first updates of all are as if it were step 0."""
    optimizer = optimizer_of(config)
    new = optimizer.init(parameters)
    old = {**new, "step": jnp.int32(LATE)}
    for factor in (1.0, -0.5, 2.0):
        gradients = jax.tree.map(lambda each, factor=factor: factor * each + 0.1, parameters)
        expected, new = optimizer.update(gradients, new, parameters)
        found, old = optimizer.update(gradients, old, parameters)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert old["step"] == LATE + 3
    assert old["param_states"]["late"]["count"].tolist() == [3, 3]


@pytest.mark.parametrize("config", OPTIMIZERS)
@pytest.mark.parametrize("layers", [None, (1, 1)])
def test_what_thaws_later_updates_as_if_it_began_then(config, layers, parameters):
    """From step 3 on, a tensor or one layer of it, bit for bit as those that began at step 0."""
    group = ParameterGroup(pattern="late", layers=layers, from_step=3)
    groups = assign([group], AXES, parameters, weight_decay=0.0)
    optimizer = optimizer_of(config, groups.treatments)
    state = optimizer.init(parameters)
    first = slice(None) if layers is None else slice(1, 2)
    for step in range(5):
        gradients = groups.moving(parameters, step)
        before = state
        updates, state = optimizer.update(gradients, before, parameters)
        state = groups.slots(before, state, step)
        if step == 3:
            alone = optimizer_of(config, groups.treatments)
            expected, _ = alone.update(gradients, alone.init(parameters), parameters)
            np.testing.assert_array_equal(updates["late"][first], expected["late"][first])
    late = state["param_states"]["late"]["count"].tolist()
    assert late == ([2, 2] if layers is None else [5, 2])
    assert state["param_states"]["early"]["count"].tolist() == [5, 5]
