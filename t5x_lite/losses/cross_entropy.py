"""Cross-entropy of each token with label smoothing and z-loss, in float32."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def token_losses(
    logits: Float[Array, "batch length vocab"],
    targets: Int[Array, "batch length"],
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[Float[Array, "batch length"], Float[Array, "batch length"]]:
    """(cross-entropy, z_loss * log(Z)^2) of every position, padding included.

    With label smoothing the right token has probability 1 - label_smoothing and the others share
    the rest; the entropy of that distribution is subtracted, so that the best prediction costs 0.
    """
    vocab = logits.shape[-1]
    logits = logits.astype(jnp.float32)
    largest = jax.lax.stop_gradient(jnp.max(logits, axis=-1))
    shifted = logits - largest[..., None]
    log_sum = jnp.log(jnp.sum(jnp.exp(shifted), axis=-1))
    # A masked sum, not a gather: it stays local when the vocabulary is split over devices.
    is_target = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2) == targets[..., None]
    cross_entropy = log_sum - jnp.sum(jnp.where(is_target, shifted, 0.0), axis=-1)
    if label_smoothing:
        right, other = 1.0 - label_smoothing, label_smoothing / (vocab - 1)
        against_all = vocab * log_sum - jnp.sum(shifted, axis=-1)
        entropy = -right * math.log(right) - label_smoothing * math.log(other)
        cross_entropy = (right - other) * cross_entropy + other * against_all - entropy
    return cross_entropy, z_loss * jnp.square(log_sum + largest)
