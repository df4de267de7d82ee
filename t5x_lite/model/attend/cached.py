"""Attention of decoding: one query a row, or one of each beam, over what a cache remembers."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.model import masks
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import DenseBias, PositionBias
from t5x_lite.model.precision import precision_of


def attend(
    queries: Float[Array, "batch q_len heads head_dim"],
    keys: Float[Array, "batch heads kv_len head_dim"],
    values: Float[Array, "batch heads kv_len head_dim"],
    mask: AttentionMask,
    *,
    position_bias: PositionBias | DenseBias | None,
    scale: float | None,
    memory: tuple[Array, Array] | None = None,
) -> Float[Array, "batch q_len heads head_dim"]:
    """As `dense.attend`, of keys and values that lie head by head; nothing is dropped. Those of a
    memory, [batch, memories, heads, head_dim], stay apart, for a cache is not moved to join them.
    """
    product = functools.partial(jnp.einsum, precision=precision_of(queries.dtype))

    def scored(axes: str, keys: Array) -> Float[Array, "batch heads q_len keys"]:
        logits = product(axes, queries, keys, preferred_element_type=jnp.float32)
        return logits if scale is None else logits * scale

    logits = scored("bqhd,bhkd->bhqk", keys)
    if isinstance(position_bias, PositionBias):
        position_bias = position_bias.array(mask.q_positions, mask.kv_positions)
    if position_bias is not None:
        logits = logits + position_bias
    if memory is not None:
        logits = jnp.concatenate([scored("bqhd,bkhd->bhqk", memory[0]), logits], axis=-1)
    weights = jax.nn.softmax(logits + masks.bias_of(mask), axis=-1).astype(queries.dtype)
    if memory is None:
        return product("bhqk,bhkd->bhqd", weights, values).swapaxes(1, 2)
    remembered, own = jnp.split(weights, [memory[0].shape[1]], axis=-1)
    mixed = product("bhqk,bhkd->bhqd", own, values)
    return (mixed + product("bhqk,bkhd->bhqd", remembered, memory[1])).swapaxes(1, 2)
