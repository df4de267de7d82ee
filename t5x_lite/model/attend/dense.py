"""Attention as it is written: all logits of all heads at once, the fastest where they are few."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.model import masks, maxima, taps
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.precision import precision_of
from t5x_lite.partitioning.constrain import platform


def attend(
    queries: Float[Array, "batch q_len heads head_dim"],
    keys: Float[Array, "batch kv_len heads head_dim"],
    values: Float[Array, "batch kv_len heads head_dim"],
    mask: AttentionMask,
    *,
    position_bias: Float[Array, "rows heads q_len kv_len"] | None,
    scale: float | None,
    dropout: Dropout,
) -> Float[Array, "batch q_len heads head_dim"]:
    """softmax(scale * queries keys + position_bias, masked) values; logits and softmax are float32
    whatever the activations are.
    """
    precision = precision_of(queries.dtype)
    logits = jnp.einsum(
        "bqhd,bkhd->bhqk",
        queries,
        keys,
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    if scale is not None:
        logits = logits * scale
    if position_bias is not None:
        shared = platform() == "cpu" and position_bias.shape[0] == 1
        logits = _with_shared(logits, position_bias) if shared else logits + position_bias
    maxima.observe("logits", logits)
    taps.tell("scores", lambda: _seen(logits, mask))
    taps.tell("mean_scores", lambda: jnp.mean(_seen(logits, mask), axis=1))
    weights = jax.nn.softmax(logits + masks.bias_of(mask), axis=-1).astype(queries.dtype)
    if mask.q_reach is not None:
        # In an order of its own a token may see none: not even a little of what it must not see.
        weights = jnp.where(masks.allowed(mask), weights, jnp.zeros_like(weights))
    weights, values = _dropped(weights, values, dropout)
    if platform() != "cpu":
        return jnp.einsum("bhqk,bkhd->bqhd", weights, values, precision=precision)
    # A CPU multiplies what lies head by head four times as fast.
    by_head = jnp.einsum("bhqk,bhkd->bhqd", weights, values.swapaxes(1, 2), precision=precision)
    return by_head.swapaxes(1, 2)


def _seen(
    logits: Float[Array, "batch heads q_len kv_len"], mask: AttentionMask
) -> Float[Array, "batch heads q_len kv_len"]:
    """Those of keys that a query sees, and 0."""
    return jnp.where(masks.allowed(mask), logits, 0.0)


@jax.custom_vjp
def _with_shared(
    logits: Float[Array, "batch heads q_len kv_len"], bias: Float[Array, "1 heads q_len kv_len"]
) -> Float[Array, "batch heads q_len kv_len"]:
    """The sum. Its gradient is added up row by row where it is made: a CPU's compiler would keep
    those of all layers for one slow reduction.
    """
    return logits + bias


def _backward(_: None, gradient: Array) -> tuple[Array, Array]:
    rows = gradient
    while (count := rows.shape[0]) > 1:
        half = count // 2
        both = rows[:half] + rows[half : 2 * half]
        rows = jnp.concatenate([both, rows[-1:]]) if count % 2 else both
    return gradient, jax.lax.optimization_barrier(rows)


_with_shared.defvjp(lambda logits, bias: (_with_shared(logits, bias), None), _backward)


def _dropped(
    weights: Float[Array, "batch heads q_len kv_len"],
    values: Float[Array, "batch kv_len heads head_dim"],
    dropout: Dropout,
) -> tuple[Float[Array, "batch heads q_len kv_len"], Float[Array, "batch kv_len heads head_dim"]]:
    """Weights and values whose product lacks the weights that are dropped.

    Noise that is shared along the queries drops whole keys of a head, so it is the values that are
    masked: that is less work with the same bits, and a product whose operand is masked by noise in
    its own fusion overflows the stack of the TPU compiler (libtpu 0.0.42).
    """
    if not (dropout.drops and dropout.shared_along_length):
        return dropout(weights, "weights"), values
    kept = dropout.kept("weights", (*weights.shape[:2], 1, weights.shape[3]))
    of_keys = kept[:, :, 0].swapaxes(1, 2)[..., None]
    scaled = weights / (1.0 - dropout.rate)
    return scaled, jnp.where(of_keys, values, jnp.zeros_like(values))
