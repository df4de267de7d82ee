"""Adafactor against a reference in double precision, written from the paper for one matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from t5x_lite.optim.adafactor import factored_dimensions
from t5x_lite.optim.config import AdafactorConfig
from t5x_lite.optim.optimizer import make_optimizer, state_axes

RATE = 0.01
# Layers that differ by orders of magnitude, in weights and gradients: what a statistic over all
# layers together gets wrong.
SCALES = (1e-3, 1.0, 30.0)


class Reference:
    """SPEC's formulas for one unstacked tensor, float64."""

    def __init__(self, parameter, factor, offset=0):
        self.parameter = np.asarray(parameter, np.float64)
        self.factor, self.offset, self.step = factor, offset, 0
        self.row = self.col = self.moment = 0.0

    def update(self, gradient):
        gradient = np.asarray(gradient, np.float64)
        beta = 1 - (max(self.step - self.offset, 0) + 1) ** -0.8
        self.step += 1
        squared = gradient**2 + 1e-30
        if self.factor:
            self.row = beta * self.row + (1 - beta) * squared.mean(axis=1)
            self.col = beta * self.col + (1 - beta) * squared.mean(axis=0)
            moment = np.outer(self.row, self.col) / self.row.mean()
        else:
            moment = self.moment = beta * self.moment + (1 - beta) * squared
        scaled = gradient / np.sqrt(moment)
        scaled /= max(1.0, np.sqrt(np.mean(scaled**2)))
        change = -RATE * max(1e-3, np.sqrt(np.mean(self.parameter**2))) * scaled
        self.parameter = self.parameter + change
        return change


def run(config, axes, parameters, gradients):
    """The updates of every step, and the last state."""
    optimizer = make_optimizer(config, lambda step: jnp.float32(RATE), axes)
    parameters = jnp.asarray(parameters)
    state, step, found = optimizer.init(parameters), jax.jit(optimizer.update), []
    for gradient in gradients:
        updates, state = step(jnp.asarray(gradient), state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        found.append(updates)
    return found, state


def random_tree(rng, shape, scales):
    return (
        rng.normal(size=(len(scales), *shape)).astype(np.float32)
        * np.float32(scales)[:, None, None]
    )


def assert_close(found, expected, tolerance):
    """To `tolerance` of the update's norm, layer by layer."""
    for one, other in zip(found, expected, strict=True):
        error = np.linalg.norm(np.asarray(one, np.float64) - other)
        assert error <= tolerance * np.linalg.norm(other)


@pytest.mark.parametrize("offset", [0, 7])
@pytest.mark.parametrize(
    ("shape", "factor"),
    [((128, 160), True), ((160, 128), True), ((127, 200), False)],
    ids=["wide", "tall", "too small to factor"],
)
def test_stacked_layers_equal_unstacked_ones_and_the_paper(shape, factor, offset):
    """Stacking is a layout. 20 steps, layers that differ 30,000-fold, round-off only."""
    rng = np.random.default_rng(0)
    config = AdafactorConfig(step_offset=offset)
    parameters = random_tree(rng, shape, SCALES)
    gradients = [random_tree(rng, shape, SCALES[::-1]) for _ in range(20)]
    stacked, state = run(config, ("layers", "embed", "mlp"), parameters, gradients)
    assert set(state["param_states"]) == {
        "count",
        *(("v_row", "v_col") if factor else ("v",)),
    }
    for layer in range(len(SCALES)):
        alone, _ = run(config, ("embed", "mlp"), parameters[layer], [g[layer] for g in gradients])
        reference = Reference(parameters[layer], factor, offset)
        expected = [reference.update(gradient[layer]) for gradient in gradients]
        assert_close([update[layer] for update in stacked], expected, 1e-6)
        assert_close(alone, expected, 1e-6)


def test_a_vector_of_each_layer_is_clipped_alone():
    """Norm scales are [layers, embed]: as a matrix they would be factored over layers."""
    rng = np.random.default_rng(1)
    parameters = rng.normal(size=(130, 256)).astype(np.float32)
    parameters *= np.linspace(0.01, 10, 130, dtype=np.float32)[:, None]
    gradients = [rng.normal(size=parameters.shape).astype(np.float32) for _ in range(20)]
    found, state = run(AdafactorConfig(), ("layers", "embed"), parameters, gradients)
    assert state["param_states"]["v"].shape == (130, 256)
    for layer in (0, 129):
        reference = Reference(parameters[layer], factor=False)
        expected = [reference.update(gradient[layer]) for gradient in gradients]
        assert_close([update[layer] for update in found], expected, 1e-6)


def test_an_embedding_with_rows_never_seen_equals_the_paper():
    """Most rows of an embedding have zero gradient in a step; they must not move nor turn NaN."""
    rng = np.random.default_rng(2)
    parameters = rng.normal(size=(256, 128)).astype(np.float32)
    gradients = []
    for _ in range(20):
        gradient = rng.normal(size=parameters.shape).astype(np.float32)
        gradient[rng.permutation(256)[:200]] = 0
        gradient[17] = 0
        gradients.append(gradient)
    found, _ = run(AdafactorConfig(), ("vocab", "embed"), parameters, gradients)
    reference = Reference(parameters, factor=True)
    assert_close(found, [reference.update(gradient) for gradient in gradients], 1e-6)
    assert not np.any(np.asarray(found)[:, 17])


@pytest.mark.parametrize("shape", [(2, 128, 130), (2, 8, 16)], ids=["factored", "not"])
def test_scaling_the_loss_leaves_updates_unchanged(shape):
    """Adafactor divides by the gradient's own size, so the loss may be a sum or a mean."""
    rng = np.random.default_rng(3)
    parameters = rng.normal(size=shape).astype(np.float32)
    gradients = [rng.normal(size=shape).astype(np.float32) * 1e-3 for _ in range(20)]
    axes = ("layers", "embed", "mlp")
    plain, _ = run(AdafactorConfig(), axes, parameters, gradients)
    scaled, _ = run(AdafactorConfig(), axes, parameters, [1000 * g for g in gradients])
    assert_close(scaled, [np.asarray(update, np.float64) for update in plain], 1e-5)


@pytest.mark.parametrize("shape", [(128, 192), (129, 200)])
def test_one_matrix_equals_optax(shape):
    """A peer that nobody here wrote; it agrees on a single kernel, and only there."""
    rng = np.random.default_rng(4)
    parameters = rng.normal(size=shape).astype(np.float32)
    gradients = [rng.normal(size=parameters.shape).astype(np.float32) for _ in range(10)]
    found, _ = run(AdafactorConfig(), ("embed", "mlp"), parameters, gradients)
    peer = optax.adafactor(RATE, multiply_by_parameter_scale=True, clipping_threshold=1.0)
    state, current, expected = peer.init(parameters), parameters, []
    for gradient in gradients:
        updates, state = peer.update(gradient, state, current)
        current = optax.apply_updates(current, updates)
        expected.append(np.asarray(updates, np.float64))
    assert_close(found, expected, 3e-7)


def test_updates_do_not_scale_with_the_parameters_if_told_so():
    parameters, gradient = np.full((4, 4), 5.0, np.float32), np.ones((4, 4), np.float32)
    config = AdafactorConfig(multiply_by_parameter_scale=False)
    (update,), _ = run(config, ("embed", "mlp"), parameters, [gradient])
    np.testing.assert_allclose(update, -RATE, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "dimensions"),
    [
        ((128, 128), (0, 1)),
        ((512, 2048), (0, 1)),
        ((2048, 512), (1, 0)),
        ((4, 512, 128), (2, 1)),
        ((127, 9999), None),
        ((4096,), None),
        ((), None),
    ],
)
def test_only_two_large_dimensions_are_factored(shape, dimensions):
    """Both must reach 128; then v_row lacks the larger one, as in T5X's checkpoints."""
    assert factored_dimensions(shape, 128) == dimensions


def test_slots_inherit_the_axes_that_they_keep():
    """Else a row factor of 11B parameters would be replicated, or split along the wrong axis."""
    config = AdafactorConfig()
    axes = {"wi": ("layers", "embed", "mlp"), "wo": ("layers", "mlp", "embed"), "scale": ("embed",)}
    parameters = {
        "wi": jnp.ones((3, 128, 256)),
        "wo": jnp.ones((3, 256, 128)),
        "scale": jnp.ones(128),
    }
    found = state_axes(config, axes, parameters)
    assert found["step"] == ()
    assert found["param_states"] == {
        "wi": {"v_row": ("layers", "embed"), "v_col": ("layers", "mlp"), "count": ("layers",)},
        "wo": {"v_row": ("layers", "embed"), "v_col": ("layers", "mlp"), "count": ("layers",)},
        "scale": {"v": ("embed",), "count": ()},
    }
    state = make_optimizer(config, lambda step: jnp.float32(1), axes).init(parameters)
    sizes = {"layers": 3, "embed": 128, "mlp": 256}
    jax.tree.map(lambda slot, axes: _check_shape(slot, axes, sizes), state, found)


def _check_shape(slot, axes, sizes):
    assert slot.shape == tuple(sizes[axis] for axis in axes)
