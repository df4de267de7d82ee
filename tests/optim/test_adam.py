import jax
import jax.numpy as jnp
import numpy as np
import optax

from t5x_lite.optim.config import AdamWConfig
from t5x_lite.optim.optimizer import make_optimizer, state_axes


def test_adamw_equals_optax_with_a_schedule():
    """Only the layout of the state is ours."""
    rng = np.random.default_rng(0)
    config = AdamWConfig(beta_1=0.8, beta_2=0.95, epsilon=1e-6, weight_decay=0.1)
    parameters = {"a": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32), "b": jnp.ones(5)}
    axes = {"a": ("layers", "embed"), "b": ("embed",)}

    def rate(step):
        return 0.1 / (1.0 + step)

    ours = make_optimizer(config, rate, axes)
    theirs = optax.adamw(rate, b1=0.8, b2=0.95, eps=1e-6, weight_decay=0.1)
    our_state, their_state = ours.init(parameters), theirs.init(parameters)
    for _ in range(5):
        gradients = jax.tree.map(
            lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), parameters
        )
        found, our_state = ours.update(gradients, our_state, parameters)
        expected, their_state = theirs.update(gradients, their_state, parameters)
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-9),
            found,
            expected,
        )
        parameters = optax.apply_updates(parameters, found)
    assert our_state["step"] == 5


def test_moments_live_where_their_parameters_do():
    parameters = {"a": jnp.ones((3, 4))}
    axes = {"a": ("layers", "embed")}
    state = make_optimizer(AdamWConfig(), lambda step: jnp.float32(1), axes).init(parameters)
    found = state_axes(AdamWConfig(), axes, parameters)
    slots = {"mu": axes["a"], "nu": axes["a"], "count": ("layers",)}
    assert found == {"step": (), "param_states": {"a": slots}}
    assert jax.tree.structure(state).flatten_up_to(found)
