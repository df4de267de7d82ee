"""What each target counts, and what their sum is divided by. Targets are those of the decoder, or
of an encoder that is alone.

The sums add over steps, microbatches and hosts; means are made from them where they are written.
"""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from t5x_lite.features.layouts import predicted_stack
from t5x_lite.losses.config import LossNormalization, TermConfig

Batch = Mapping[str, Shaped[Array, "..."]]
Sums = dict[str, Float[Array, ""]]

# A feature [batch] that multiplies what all targets of a row count, if a batch has it.
ROW_WEIGHTS = "row_weights"


def of_targets(batch: Batch, name: str) -> Shaped[Array, "batch length"]:
    """A feature of the stack that targets are of: "target_tokens", "segment_ids"."""
    return batch[f"{predicted_stack(batch)}_{name}"]


def loss_weights(batch: Batch) -> Float[Array, "batch length"]:
    """The loss weights of a batch that has some, else 1 for every target but padding."""
    if f"{predicted_stack(batch)}_loss_weights" in batch:
        return of_rows(batch, of_targets(batch, "loss_weights"))
    return of_rows(batch, is_real(batch))


def of_rows(batch: Batch, weights: Shaped[Array, "batch length"]) -> Float[Array, "batch length"]:
    """Weights as float32, times those of their rows."""
    weights = weights.astype(jnp.float32)
    return weights * batch[ROW_WEIGHTS][:, None] if ROW_WEIGHTS in batch else weights


def is_real(batch: Batch) -> Bool[Array, "batch length"]:
    """Where a target stands and no padding."""
    return of_targets(batch, "segment_ids") > 0


def first_positions(batch: Batch) -> Float[Array, "batch length"]:
    """1 at the first position of each example, where what is told of whole examples counts."""
    return of_rows(batch, is_real(batch) & (of_targets(batch, "positions") == 0))


def counted_segments(batch: Batch, config: TermConfig) -> Int[Array, "batch length"]:
    """Of the tokens that a term counts."""
    return batch[f"{config.counted_stack or predicted_stack(batch)}_segment_ids"]


def loss_normalizer(
    batch: Batch, weights: Float[Array, "batch length"], config: TermConfig
) -> Float[Array, ""]:
    """What the sum of what counts so much is divided by; at least 1e-6, so that an empty batch
    costs 0.
    """
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
    total = _sum_by_segment(weights, counted_segments(batch, config))
    return jnp.where(total > 0, 1.0 / jnp.where(total > 0, total, 1.0), 0.0)


def reduced(
    batch: Batch,
    loss: Float[Array, "batch length"],
    weights: Float[Array, "batch length"],
    config: TermConfig,
    normalizer: Float[Array, ""],
) -> tuple[Float[Array, ""], Sums]:
    """The value of a term that costs `loss` at each position, and the sums behind it."""
    sums = {"loss_sum": jnp.sum(loss * weights), "weight_sum": jnp.sum(weights)}
    scaled = weights * sequence_scale(batch, weights, config)
    return jnp.sum(loss * scaled) / normalizer, sums


def _sum_by_segment(
    weights: Float[Array, "batch length"], segments: Int[Array, "batch length"]
) -> Float[Array, "batch length"]:
    same = (segments[:, :, None] == segments[:, None, :]).astype(jnp.float32)
    return jnp.einsum("bqk,bk->bq", same, weights)
