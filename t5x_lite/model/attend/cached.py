"""Attention of decoding: one query a row, or one of each beam, over what a cache remembers."""

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
) -> Float[Array, "batch q_len heads head_dim"]:
    """As `dense.attend`, of keys and values that lie head by head; nothing is dropped."""
    precision = precision_of(queries.dtype)
    logits = jnp.einsum(
        "bqhd,bhkd->bhqk", queries, keys, precision=precision, preferred_element_type=jnp.float32
    )
    if scale is not None:
        logits = logits * scale
    if isinstance(position_bias, PositionBias):
        position_bias = position_bias.array(mask.q_positions, mask.kv_positions)
    if position_bias is not None:
        logits = logits + position_bias
    weights = jax.nn.softmax(logits + masks.bias_of(mask), axis=-1).astype(queries.dtype)
    mixed = jnp.einsum("bhqk,bhkd->bhqd", weights, values, precision=precision)
    return mixed.swapaxes(1, 2)
