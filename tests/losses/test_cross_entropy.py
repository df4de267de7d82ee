"""Token losses against their definition in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.losses.cross_entropy import token_losses
from t5x_lite.losses.tokens import is_first_of_largest

BATCH, LENGTH, VOCAB = 2, 5, 11


def reference(logits, targets, smoothing, z_loss):
    """Distribution of the labels against log-softmax, minus that distribution's entropy."""
    logits = np.asarray(logits, np.float64)
    log_z = np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)) + logits.max(-1)
    labels = np.full(logits.shape, smoothing / (logits.shape[-1] - 1))
    np.put_along_axis(labels, np.asarray(targets)[..., None], 1 - smoothing, axis=-1)
    logs = np.log(labels, out=np.zeros_like(labels), where=labels > 0)
    loss = -np.sum(labels * (logits - log_z[..., None] - logs), axis=-1)
    softmax = np.exp(logits - log_z[..., None])
    gradient = softmax - labels + 2 * z_loss * log_z[..., None] * softmax
    return loss, z_loss * log_z**2, gradient


@pytest.fixture(name="data")
def _data():
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(BATCH, LENGTH, VOCAB)) * 5, jnp.float32)
    return logits, jnp.asarray(rng.integers(0, VOCAB, (BATCH, LENGTH)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("z_loss", [0.0, 0.3])
def test_losses_and_gradients_equal_the_definition(data, smoothing, z_loss):
    """The gradient is softmax - labels + 2 c log(Z) softmax, to float32 round-off."""
    logits, targets = data

    def total(logits):
        return sum(
            map(jnp.sum, token_losses(logits, targets, label_smoothing=smoothing, z_loss=z_loss))
        )

    loss, z_part, gradient = reference(logits, targets, smoothing, z_loss)
    found = token_losses(logits, targets, label_smoothing=smoothing, z_loss=z_loss)
    np.testing.assert_allclose(found[0], loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[1], z_part, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(jax.grad(total)(logits), gradient, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_large_logits_neither_overflow_nor_lose_the_loss(data, offset):
    """exp(10^4) is inf in float32; an untied head can start there."""
    logits, targets = data
    expected, _, _ = reference(logits + offset, targets, 0.1, 0.0)
    found, _ = token_losses(logits + offset, targets, label_smoothing=0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_best_prediction_costs_nothing(data, smoothing):
    """Label smoothing subtracts the labels' own entropy, so that 0 stays the floor."""
    _, targets = data
    hot = jax.nn.one_hot(targets, VOCAB)
    labels = hot * (1 - smoothing) + (1 - hot) * max(smoothing / (VOCAB - 1), 1e-30)
    loss, _ = token_losses(jnp.log(labels), targets, label_smoothing=smoothing)
    np.testing.assert_allclose(loss, 0.0, atol=1e-6)


def test_bfloat16_logits_are_summed_in_float32():
    """A bfloat16 sum over 32,128 tokens would stop growing at 256 equal terms."""
    logits = jnp.zeros((1, 1, 32_128), jnp.bfloat16)
    loss, _ = token_losses(logits, jnp.zeros((1, 1), jnp.int32))
    assert loss.dtype == jnp.float32
    np.testing.assert_allclose(loss, np.log(32_128), rtol=1e-6)


def test_right_is_what_argmax_would_choose(data):
    """Of equal scores the first counts; nothing is right beside a NaN."""
    logits, _ = data
    logits = jnp.round(logits / 5)  # several are the largest
    assert jnp.any(jnp.sum(logits == logits.max(-1, keepdims=True), axis=-1) > 1)
    for target in range(VOCAB):
        targets = jnp.full((BATCH, LENGTH), target)
        expected = jnp.argmax(logits, axis=-1) == target
        np.testing.assert_array_equal(is_first_of_largest(logits, targets), expected)
        assert not is_first_of_largest(logits.at[..., 1].set(jnp.nan), targets).any()
