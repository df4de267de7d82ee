"""Attention by cuDNN's fused kernel on NVIDIA GPUs, where it computes what dense attention does."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.errors import UserError
from t5x_lite.model import masks
from t5x_lite.model.attend.block_logits import Form, Inputs
from t5x_lite.model.masks import AttentionMask

_MAX_HEAD_DIM = 128


def attend(
    form: Form, inputs: Inputs, mask: AttentionMask
) -> Float[Array, "batch q_len heads head_dim"]:
    """What `dense.attend` gives, up to rounding, and its gradients. The mask is an array of
    [batch, q_len, kv_len], alike for all heads, the logits are none.

    Raises:
        UserError: all that cuDNN cannot do, with what to choose instead.
    """
    _check(inputs)
    batch, q_len = inputs.queries.shape[:2]
    see = jnp.broadcast_to(masks.allowed(mask), (batch, 1, q_len, inputs.keys.shape[1]))
    return jax.nn.dot_product_attention(
        inputs.queries,
        inputs.keys,
        inputs.values,
        mask=see,
        scale=1.0 if form.scale is None else form.scale,
        implementation="cudnn",
    )


def _check(inputs: Inputs) -> None:
    head_dim, lengths = inputs.queries.shape[-1], (inputs.queries.shape[1], inputs.keys.shape[1])
    problems = []
    if inputs.strips is not None:
        problems.append("a learned position bias, which it would round to bfloat16")
    if inputs.noise is not None:
        problems.append("dropout that differs from query to query, of which it draws its own")
    if inputs.queries.dtype != jnp.bfloat16:
        problems.append(f"{inputs.queries.dtype} activations (needed are bfloat16)")
    if head_dim % 8 or head_dim > _MAX_HEAD_DIM:
        problems.append(f"head_dim={head_dim} (needed is a multiple of 8 up to {_MAX_HEAD_DIM})")
    if any(length % 2 for length in lengths):
        problems.append(f"{lengths[0]} queries and {lengths[1]} keys (needed are even numbers)")
    if problems:
        raise UserError(
            f"attention='cudnn' with {'; '.join(problems)}: cuDNN cannot compute this exactly. "
            "Needed is --gin.ComputeConfig.attention='blockwise', which can."
        )
