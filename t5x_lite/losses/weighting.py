"""What each target token counts, and what their sum is divided by.

The sums add over steps, microbatches and hosts; means are made from them where they are written.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from t5x_lite.losses.config import LossNormalization, TermConfig

Batch = Mapping[str, Shaped[Array, "..."]]
Sums = dict[str, Float[Array, ""]]


def loss_weights(batch: Batch) -> Float[Array, "batch length"]:
    """decoder_loss_weights where the batch has them, else 1 for every target but padding."""
    if "decoder_loss_weights" in batch:
        return batch["decoder_loss_weights"].astype(jnp.float32)
    return is_real(batch).astype(jnp.float32)


def is_real(batch: Batch) -> Bool[Array, "batch length"]:
    """Where a target stands and no padding."""
    return batch["decoder_segment_ids"] > 0


def loss_normalizer(batch: Batch, config: TermConfig) -> Float[Array, ""]:
    """What the sum over tokens is divided by; at least 1e-6, so that an empty batch costs 0."""
    weights = loss_weights(batch)
    match config.normalizing_factor:
        case LossNormalization.NUM_REAL_TARGET_TOKENS:
            total = jnp.sum(weights)
        case LossNormalization.NUM_TOTAL_TARGET_TOKENS:
            total = jnp.float32(weights.size)
        case LossNormalization.AVERAGE_PER_SEQUENCE:
            total = jnp.sum(weights * sequence_scale(batch, weights, config))
        case None:
            total = jnp.float32(1)
        case number:
            total = jnp.float32(number)
    return jnp.maximum(total, 1e-6)


def sequence_scale(
    batch: Batch, weights: Float[Array, "batch length"], config: TermConfig
) -> Float[Array, "batch #length"]:
    """1 over the weight of the sequence a token belongs to, if sequences count alike, else 1."""
    if config.normalizing_factor is not LossNormalization.AVERAGE_PER_SEQUENCE:
        return jnp.ones((weights.shape[0], 1), jnp.float32)
    total = _sum_by_segment(weights, batch["decoder_segment_ids"])
    return jnp.where(total > 0, 1.0 / jnp.where(total > 0, total, 1.0), 0.0)


def _sum_by_segment(
    weights: Float[Array, "batch length"], segments: Int[Array, "batch length"]
) -> Float[Array, "batch length"]:
    same = (segments[:, :, None] == segments[:, None, :]).astype(jnp.float32)
    return jnp.einsum("bqk,bk->bq", same, weights)
