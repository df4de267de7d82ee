"""Optimizers of optax: only the layout of the state is ours, and that each layer stands alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.optim.config import AdamWConfig, ParameterGroup
from t5x_lite.optim.groups import assign
from t5x_lite.optim.lamb import LambConfig
from t5x_lite.optim.lion import LionConfig
from t5x_lite.optim.optimizer import make_optimizer, state_axes
from t5x_lite.training.state import TrainState

AXES = {"stack": ("layers", "embed", "mlp"), "scale": ("embed",)}
SLOTS = {AdamWConfig: {"mu", "nu"}, LambConfig: {"mu", "nu"}, LionConfig: {"mu"}}
PAIRS = [
    (
        AdamWConfig(beta_1=0.8, beta_2=0.95, epsilon=1e-6, weight_decay=0.1),
        lambda rate: optax.adamw(rate, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1),
    ),
    (
        LambConfig(beta_1=0.8, beta_2=0.95, epsilon=1e-5, weight_decay=0.1),
        lambda rate: optax.lamb(rate, b1=0.8, b2=0.95, eps=1e-5, weight_decay=0.1),
    ),
    (
        LionConfig(beta_1=0.8, beta_2=0.95, weight_decay=0.1),
        lambda rate: optax.lion(rate, b1=0.8, b2=0.95, weight_decay=0.1),
    ),
]
EACH = pytest.mark.parametrize(
    ("config", "of_optax"), PAIRS, ids=[type(config).__name__ for config, _ in PAIRS]
)


def rate(step):
    return 0.1 / (1.0 + step)


def first_parameters():
    """Two layers of sizes so different that a norm of both is near to neither's, and a norm."""
    rng = np.random.default_rng(0)
    sizes = np.float32([0.1, 10.0])[:, None, None]
    stack = jnp.asarray(rng.normal(size=(2, 3, 4)) * sizes, jnp.float32)
    return {"stack": stack, "scale": jnp.ones(5)}


def gradients_of(step):
    """Of the parameters of a step, whatever they are."""
    rng = np.random.default_rng(step + 1)
    stack, scale = rng.normal(size=(2, 3, 4)), rng.normal(size=5)
    return {"stack": jnp.asarray(stack, jnp.float32), "scale": jnp.asarray(scale, jnp.float32)}


def run(optimizer, parameters, state, steps):
    """The parameters and the state after these steps."""
    for step in steps:
        updates, state = jax.jit(optimizer.update)(gradients_of(step), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    return parameters, state


def layer_by_layer(optimizer, parameters, steps):
    """Each layer of the stack as a model of its own."""
    layers = []
    for layer in range(len(parameters["stack"])):
        alone = dict(parameters, stack=parameters["stack"][layer])
        state = optimizer.init(alone)
        for step in steps:
            gradients = gradients_of(step)
            gradients["stack"] = gradients["stack"][layer]
            updates, state = optimizer.update(gradients, state, alone)
            alone = optax.apply_updates(alone, updates)
        layers.append(alone)
    return {
        "stack": jnp.stack([each["stack"] for each in layers]),
        "scale": layers[0]["scale"],
    }


@EACH
def test_each_layer_moves_as_a_model_of_its_own_in_optax(config, of_optax):
    """With a schedule and weight decay, over five steps."""
    parameters, steps = first_parameters(), range(5)
    ours = make_optimizer(config, rate, AXES)
    found, state = run(ours, parameters, ours.init(parameters), steps)
    expected = layer_by_layer(of_optax(rate), parameters, steps)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7),
        found,
        expected,
    )
    assert state["step"] == 5


@EACH
def test_slots_live_where_their_parameters_do(config, of_optax):
    parameters = first_parameters()
    found = state_axes(config, AXES, parameters)
    expected = {
        name: dict.fromkeys(SLOTS[type(config)], axes)
        | {"count": axes[:1] if axes[0] == "layers" else ()}
        for name, axes in AXES.items()
    }
    assert found == {"step": (), "param_states": expected}
    state = make_optimizer(config, rate, AXES).init(parameters)
    assert jax.tree.structure(state).flatten_up_to(found)


@EACH
def test_a_run_that_was_saved_goes_on_bit_for_bit(config, of_optax, tmp_path):
    optimizer, parameters = make_optimizer(config, rate, AXES), first_parameters()
    expected = run(optimizer, parameters, optimizer.init(parameters), range(4))
    half = TrainState(jnp.int32(2), *run(optimizer, parameters, optimizer.init(parameters), (0, 1)))
    checkpoints = manager.Checkpoints(tmp_path, SaveCheckpointConfig(period=1))
    checkpoints.save(2, half, manager.Description(""))
    checkpoints.close()
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), half
    )
    restored = manager.restore(manager.find(tmp_path), abstract)
    found = run(optimizer, restored.parameters, restored.optimizer_state, (2, 3))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@EACH
def test_a_groups_weight_decay_takes_the_place_of_the_optimizers(config, of_optax):
    """Of one layer, and so before LAMB measures the step."""
    parameters = first_parameters()
    group = ParameterGroup(pattern="stack", layers=(1, 1), weight_decay=0.1)
    treatments = assign([group], AXES, parameters, weight_decay=0.0).treatments
    plain = dataclasses.replace(config, weight_decay=0.0)

    def first_updates(*arguments):
        optimizer = make_optimizer(*arguments)
        return optimizer.update(gradients_of(0), optimizer.init(parameters), parameters)[0]

    found = first_updates(plain, rate, AXES, treatments)
    with_decay, without = first_updates(config, rate, AXES), first_updates(plain, rate, AXES)
    np.testing.assert_array_equal(found["stack"][1], with_decay["stack"][1])
    np.testing.assert_array_equal(found["stack"][0], without["stack"][0])
    assert np.any(without["stack"][1] != with_decay["stack"][1])


def test_lamb_moves_what_is_zero_and_rests_where_nothing_pulls():
    """The ratio of norms is 1 where it would be 0, infinite or undefined."""
    lamb, adamw = (
        make_optimizer(cls(epsilon=1e-6, weight_decay=0.0), rate, AXES)
        for cls in (LambConfig, AdamWConfig)
    )
    zero = jax.tree.map(jnp.zeros_like, first_parameters())
    found, _ = lamb.update(gradients_of(0), lamb.init(zero), zero)
    expected, _ = adamw.update(gradients_of(0), adamw.init(zero), zero)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    rests, _ = lamb.update(zero, lamb.init(zero), first_parameters())
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(rests))
