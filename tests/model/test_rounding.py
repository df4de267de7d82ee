"""Numbers as whole numbers of steps; their gradients are those of numbers that are not rounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.model import rounding
from t5x_lite.model.choices import Granularity
from t5x_lite.model.quantization import quantized

ENDS = st.floats(-100, 0, width=32), st.floats(0, 100, width=32)


def grid(low, high):
    return rounding.grid_of(jnp.array([low, high], jnp.float32))


def values_of(x, low, high):
    own = grid(low, high)
    return np.asarray(rounding.steps_of(jnp.asarray(x, jnp.float32), own) * own.step)


@settings(max_examples=40, deadline=None)
@given(*ENDS)
def test_rounding_is_within_half_a_step_and_twice_is_once(low, high):
    """Of what is in the range; zero is a value of it, and there are 256 values at most."""
    if high - low < 1e-3:
        return
    x = np.linspace(low, high, 999, dtype=np.float32)
    found, step = values_of(x, low, high), float(grid(low, high).step)
    # The zero is moved by half a step at most, and so are both ends.
    assert np.abs(found - x).max() <= step * 1.001
    assert np.abs(found - x)[10:-10].max() <= step * 0.501
    np.testing.assert_array_equal(values_of(found, low, high), found)
    assert values_of([0.0], low, high) == [0.0]
    assert len(np.unique(values_of(np.linspace(-200, 200, 9999), low, high))) <= 256


@settings(max_examples=40, deadline=None)
@given(*ENDS)
def test_integers_are_the_same_steps(low, high):
    x = jnp.linspace(2 * low - 1, 2 * high + 1, 500, dtype=jnp.float32)
    own = grid(low, high)
    if not own.is_known:
        return
    values, offset = rounding.integers_of(x, own)
    assert values.dtype == jnp.int8
    steps = np.asarray(values, np.int32) + int(offset)
    np.testing.assert_array_equal(steps, np.asarray(rounding.steps_of(x, own)))


def test_a_range_that_is_not_known_rounds_nothing():
    x = jnp.array([0.3, -7.7, 1e-9], jnp.float32)
    own = grid(0.0, 0.0)
    assert float(own.step) == 1.0
    np.testing.assert_array_equal(rounding.steps_of(x, own), x)


def test_the_gradient_is_one_within_and_zero_beyond():
    """A step beyond; also at both ends, and at zero, where most of what a ReLU gives stands."""
    x = jnp.array([-2.0, -1.02, -1.0, -0.3, 0.0, 0.2, 3.0, 3.02, 9.0])
    own = grid(-1.0, 3.0)
    gradient = jax.grad(lambda x: jnp.sum(rounding.steps_of(x, own) * own.step))(x)
    np.testing.assert_allclose(gradient, [0, 0, 1, 1, 1, 1, 1, 0, 0], atol=1e-6)
    relu = grid(0.0, 3.0)
    gradient = jax.grad(lambda x: jnp.sum(rounding.steps_of(x, relu) * relu.step))(jnp.zeros(3))
    np.testing.assert_allclose(gradient, 1.0, atol=1e-6)


def test_the_range_itself_has_no_gradient():
    def total(ends):
        own = rounding.grid_of(ends)
        return jnp.sum(rounding.steps_of(jnp.array([-5.0, 0.5, 5.0]), own) * own.step)

    assert not jax.grad(total)(jnp.array([-1.0, 2.0])).any()


@pytest.mark.parametrize("granularity", Granularity)
def test_weights_round_in_training_as_they_are_held(granularity):
    """To the last bit, of each layer of a stack by itself; the gradient goes straight through, also
    for the largest; zeros stay zeros.
    """
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 16, 8), np.float32) * np.array([1, 10, 100])[:, None, None]
    kernel = jnp.asarray(kernel.astype(np.float32) * (rng.random((3, 16, 8)) < 0.3))
    values, scales = quantized(kernel, axis=-2, granularity=granularity)
    step = rounding.step_of(kernel, -2, granularity)
    np.testing.assert_array_equal(jnp.squeeze(step, -2), scales)
    steps = rounding.steps_of_weights(kernel, step)
    np.testing.assert_array_equal(steps, np.asarray(values, np.float32))
    assert not np.asarray(values)[np.asarray(kernel) == 0].any()
    for layer in range(3):
        alone = quantized(kernel[layer], axis=-2, granularity=granularity)
        np.testing.assert_array_equal(values[layer], alone[0])
    assert len(np.unique(scales)) == (3 if granularity is Granularity.TENSOR else 24)
    gradient = jax.grad(lambda kernel: jnp.sum(rounding.steps_of_weights(kernel, step) * step))(
        kernel
    )
    np.testing.assert_allclose(gradient, 1.0, atol=1e-6)


def test_union_is_what_both_saw():
    """Of all numbers at once it is the same as of parts, and zeros add nothing."""
    x = jnp.asarray(np.random.default_rng(1).standard_normal((4, 6)), jnp.float32)
    with rounding.collecting() as whole:
        rounding.observe("x", x)
    with rounding.collecting() as parts:
        rounding.observe("x", x[:2] * 0)
        rounding.observe("x", x[:2])
        rounding.observe("x", x[2:])
    np.testing.assert_array_equal(parts["x"], whole["x"])
    np.testing.assert_array_equal(whole["x"], [x.min(), x.max()])
    with rounding.collecting() as positive:
        rounding.observe("x", jnp.abs(x) + 1)
    assert positive["x"][0] == 0
