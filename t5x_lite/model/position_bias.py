"""T5's relative position bias: one learned number per head and bucket of offsets.

>>> import jax.numpy as jnp
>>> config = RelativeBiasConfig(bidirectional=True)
>>> [int(b) for b in buckets_of(jnp.array([-200, -8, -1, 0, 1, 8, 200]), config)]
[15, 8, 1, 0, 17, 24, 31]
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model import parameters
from t5x_lite.model.config import RelativeBiasConfig


@functools.lru_cache
def _bucket_of_distance(num_buckets: int, max_distance: int) -> np.ndarray:
    """Bucket of each distance 0 ... max_distance; beyond, the last bucket goes on.

    Half of the buckets hold one distance each, the others grow logarithmically. Made in NumPy,
    where the program is built, so that no device's logarithm moves a border.
    """
    num_exact = num_buckets // 2
    distance = np.arange(max_distance + 1)
    # At exact powers the quotient of logarithms is an integer: the epsilon keeps it from rounding
    # down.
    ratio = np.maximum(distance, 1).astype(np.float32) / num_exact + np.finfo(np.float32).eps
    steps = np.log(ratio) / np.log(max_distance / num_exact) * (num_buckets - num_exact)
    coarse = np.minimum(num_exact + steps.astype(np.int32), num_buckets - 1)
    return np.where(distance < num_exact, distance, coarse).astype(np.int32)


def buckets_of(offset: Int[Array, "*shape"], config: RelativeBiasConfig) -> Int[Array, "*shape"]:
    """The bucket of each offset, which is key position minus query position."""
    if config.bidirectional:
        buckets_a_side = config.num_buckets // 2
        first = jnp.where(offset > 0, buckets_a_side, 0)
        distance = jnp.abs(offset)
    else:
        buckets_a_side = config.num_buckets
        first = jnp.zeros_like(offset)
        distance = jnp.maximum(-offset, 0)
    table = jnp.asarray(_bucket_of_distance(buckets_a_side, config.max_distance))
    return first + table[jnp.minimum(distance, config.max_distance)]


DenseBias = Float[Array, "rows heads q_len kv_len"]


@dataclasses.dataclass(frozen=True)
class PositionBias:
    """What is added to the float32 logits of self-attention, symbolic until a form of attention
    makes the numbers that it needs.
    """

    table: Float[Array, "heads relpos_buckets"]
    config: RelativeBiasConfig

    def array(
        self, q_positions: Int[Array, "q_rows q_len"], kv_positions: Int[Array, "kv_rows kv_len"]
    ) -> DenseBias:
        """The number of every query and key."""
        offset = kv_positions[:, None, :] - q_positions[:, :, None]
        return jnp.einsum(
            "hr,bqkr->bhqk", self.table, self._chosen(offset), precision=jax.lax.Precision.HIGHEST
        )

    def of_whole_rows(self, length: int) -> DenseBias:
        """`array` where both are 0 ... length - 1: the number of each offset is looked up once and
        moved to its places; the gradient sums along diagonals and multiplies no one-hot rows.
        """
        column = jnp.arange(2 * length)
        offset = jnp.where(column < length, column, column - 2 * length)
        strip = self.by_offset(offset[None, :])
        # Cut to rows that are one shorter, the strip begins one later in each.
        rows = jnp.broadcast_to(strip, (strip.shape[0], length, 2 * length))
        flat = rows.reshape(-1, length * 2 * length)[:, : length * (2 * length - 1)]
        return flat.reshape(-1, length, 2 * length - 1)[None, :, :, :length]

    def by_offset(self, offset: Int[Array, "rows columns"]) -> Float[Array, "heads rows columns"]:
        """The number of each offset, which is key position minus query position."""
        return jnp.einsum(
            "hr,mnr->hmn", self.table, self._chosen(offset), precision=jax.lax.Precision.HIGHEST
        )

    def _chosen(self, offset: Int[Array, "*shape"]) -> Float[Array, "*shape relpos_buckets"]:
        # A product with one-hot rows, not a gather: its gradient is a product too, where that of a
        # gather adds q_len * kv_len numbers one by one into a few hundred.
        buckets = buckets_of(offset, self.config)
        return jax.nn.one_hot(buckets, self.config.num_buckets, dtype=jnp.float32)


class RelativePositionBias(nnx.Module):
    """The table; how offsets become buckets is said by whoever reads it.

    Encoder and decoder of the shared architecture read one table by two bucket rules.
    """

    def __init__(self, num_heads: int, num_buckets: int, *, key: PRNGKeyArray):
        # Variance scaling over the mean of fan-in and fan-out, uniform: T5X's choice.
        self.rel_embedding = parameters.uniform(
            key,
            (num_heads, num_buckets),
            axes=("heads", "relpos_buckets"),
            stddev=(2.0 / (num_heads + num_buckets)) ** 0.5,
        )

    def __call__(self, config: RelativeBiasConfig) -> PositionBias:
        """The table as `config` reads it."""
        return PositionBias(jnp.asarray(self.rel_embedding[...]), config)
