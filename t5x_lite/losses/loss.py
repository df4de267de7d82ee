"""Logits and a batch to one number to minimize, and sums to report.

The sums add over steps, microbatches and hosts; means are made from them where they are written.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from t5x_lite.losses import cross_entropy
from t5x_lite.losses.config import LossConfig, LossNormalization

Batch = Mapping[str, Shaped[Array, "..."]]
Metrics = dict[str, Float[Array, ""]]


def compute_loss(
    logits: Float[Array, "batch length vocab"],
    batch: Batch,
    config: LossConfig,
    *,
    training: bool,
    normalizer: Float[Array, ""] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """The normalized loss and the sums behind it; z-loss counts in training only.

    Args:
        normalizer: what to divide by; default is this batch's own. Give the whole batch's to
            microbatches, so that their losses and gradients add up to those of the whole.
    """
    targets = batch["decoder_target_tokens"]
    token_loss, z_loss = cross_entropy.token_losses(
        logits,
        targets,
        label_smoothing=config.label_smoothing,
        z_loss=config.z_loss if training else 0.0,
    )
    weights = loss_weights(batch)
    correct = (jnp.argmax(logits, axis=-1) == targets).astype(jnp.float32)
    metrics = {
        "cross_entropy_sum": jnp.sum(token_loss * weights),
        "z_loss_sum": jnp.sum(z_loss * weights),
        "correct_sum": jnp.sum(correct * weights),
        "weight_sum": jnp.sum(weights),
        "num_tokens": jnp.sum(targets > 0).astype(jnp.float32),
    }
    metrics["loss_sum"] = metrics["cross_entropy_sum"] + metrics["z_loss_sum"]
    if normalizer is None:
        normalizer = loss_normalizer(batch, config)
    scaled = weights * _sequence_scale(batch, weights, config)
    return jnp.sum((token_loss + z_loss) * scaled) / normalizer, metrics


def loss_weights(batch: Batch) -> Float[Array, "batch length"]:
    """decoder_loss_weights where the batch has them, else 1 for every target but padding."""
    if "decoder_loss_weights" in batch:
        return batch["decoder_loss_weights"].astype(jnp.float32)
    return (batch["decoder_target_tokens"] > 0).astype(jnp.float32)


def loss_normalizer(batch: Batch, config: LossConfig) -> Float[Array, ""]:
    """What the sum over tokens is divided by; at least 1e-6, so that an empty batch costs 0."""
    weights = loss_weights(batch)
    match config.normalizing_factor:
        case LossNormalization.NUM_REAL_TARGET_TOKENS:
            total = jnp.sum(weights)
        case LossNormalization.NUM_TOTAL_TARGET_TOKENS:
            total = jnp.float32(weights.size)
        case LossNormalization.AVERAGE_PER_SEQUENCE:
            total = jnp.sum(weights * _sequence_scale(batch, weights, config))
        case None:
            total = jnp.float32(1)
        case number:
            total = jnp.float32(number)
    return jnp.maximum(total, 1e-6)


def _sequence_scale(
    batch: Batch, weights: Float[Array, "batch length"], config: LossConfig
) -> Float[Array, "batch #length"]:
    """1 over the weight of the sequence a token belongs to, if sequences count alike, else 1."""
    if config.normalizing_factor is not LossNormalization.AVERAGE_PER_SEQUENCE:
        return jnp.ones((weights.shape[0], 1), jnp.float32)
    segments = batch.get("decoder_segment_ids")
    total = jnp.sum(weights, axis=-1, keepdims=True)
    if segments is not None:
        total = _sum_by_segment(weights, segments)
    return jnp.where(total > 0, 1.0 / jnp.where(total > 0, total, 1.0), 0.0)


def _sum_by_segment(
    weights: Float[Array, "batch length"], segments: Int[Array, "batch length"]
) -> Float[Array, "batch length"]:
    same = (segments[:, :, None] == segments[:, None, :]).astype(jnp.float32)
    return jnp.einsum("bqk,bk->bq", same, weights)
