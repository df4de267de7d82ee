"""Two streams through one stack (Yang et al. 2019, section 2.3): contents, and behind them queries,
which of a token to be predicted know where it stands and not what it is.

Tokens are told in the order of their ranks. Each sees those of its own rank and below, in both
streams alike, but for queries of predicted tokens: those see lower ranks alone. So where nothing is
to be predicted both streams are the same. Rank 0 is a memory: what is behind an example's own text,
which all else sees and no gradient reaches, as if it were a segment that was read before.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.model.masks import AttentionMask


class Order(NamedTuple):
    """Of each token its rank, and whether it is to be predicted: [batch, length]."""

    ranks: Array
    is_predicted: Array


class Streams(NamedTuple):
    """What a stack reads instead of its input, and whether each position is of the memory."""

    x: Array
    mask: AttentionMask
    is_memory: Array


def begin(
    x: Float[Array, "batch length token_embed"],
    mask: AttentionMask,
    order: Order,
    query: nnx.Param,
) -> Streams:
    """Both streams in a row, twice as long."""
    hidden = query[...].astype(x.dtype)[None, None]
    queries = jnp.where(order.is_predicted[..., None], hidden, x)
    below = order.ranks - order.is_predicted.astype(order.ranks.dtype)
    doubled = dataclasses.replace(
        mask,
        q_positions=twice(mask.q_positions),
        q_segments=None if mask.q_segments is None else twice(mask.q_segments),
        q_reach=jnp.concatenate([order.ranks, below], axis=1),
        kv_ranks=order.ranks,
    )
    return Streams(jnp.concatenate([x, queries], axis=1), doubled, twice(order.ranks == 0))


def without_gradient(
    x: Float[Array, "batch length embed"], is_memory: Bool[Array, "batch length"]
) -> Float[Array, "batch length embed"]:
    """The same, through whose memory no gradient goes back."""
    return jnp.where(is_memory[..., None], jax.lax.stop_gradient(x), x)


def queries_of(x: Float[Array, "batch both embed"]) -> Float[Array, "batch length embed"]:
    """The second stream."""
    return x[:, x.shape[1] // 2 :]


def twice(x: Int[Array, "rows length"] | Bool[Array, "rows length"]) -> Array:
    """For both streams."""
    return jnp.concatenate([x, x], axis=1)
