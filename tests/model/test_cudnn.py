"""Attention by cuDNN: what is refused, and the program a GPU is given. No GPU runs it here."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.cudnn import fused_attention_stablehlo

from t5x_lite.errors import UserError
from t5x_lite.model import masks
from t5x_lite.model.attend import choice
from t5x_lite.model.choices import AttentionForm, Visibility
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import RelativeBiasConfig
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import PositionBias

TABLE = PositionBias(jnp.ones((3, 32)), RelativeBiasConfig())


def causal(heads, position_bias=None, dropout=NO_DROPOUT, *, form="cudnn", window=None):
    """Self-attention of packed rows."""
    batch, length = heads.shape[:2]
    segments = jnp.ones((batch, length), jnp.int32).at[:, length // 2 :].set(2)
    mask = AttentionMask(
        visibility=Visibility.CAUSAL,
        window=window,
        q_positions=masks.row_positions(length),
        kv_positions=masks.row_positions(length),
        q_segments=segments,
        kv_segments=segments,
    )
    return choice.attend(
        heads,
        heads,
        heads,
        mask,
        position_bias=position_bias,
        scale=None,
        dropout=dropout,
        compute=ComputeConfig(attention=AttentionForm(form)),
    )


@pytest.mark.parametrize(
    ("length", "dtype", "fields", "message"),
    [
        (8, jnp.bfloat16, {"position_bias": TABLE}, "a learned position bias"),
        (8, jnp.float32, {}, "float32 activations (needed are bfloat16)"),
        (9, jnp.bfloat16, {}, "9 queries and 9 keys (needed are even numbers)"),
        (8, jnp.bfloat16, {}, "head_dim=4 (needed is a multiple of 8 up to 128)"),
        (
            8,
            jnp.bfloat16,
            {"dropout": Dropout(0.1, shared_along_length=False, key=jax.random.key(0))},
            "dropout that differs from query to query",
        ),
    ],
)
def test_what_cudnn_cannot_do_is_refused(length, dtype, fields, message):
    """In one line, with the form that can."""
    heads = jnp.ones((2, length, 3, 4), dtype)
    with pytest.raises(UserError, match=re.escape(message) + ".*attention='blockwise'"):
        causal(heads, **fields)


@pytest.mark.parametrize("window", [None, 2])
def test_cudnn_is_asked_for_dense_attention(window, monkeypatch):
    """In windows too, by JAX's own reference of the function that calls it; to bfloat16's 8 bits.
    A query that a wrong mask lets see more has another mean.
    """
    given = jax.nn.dot_product_attention

    def portable(*heads, implementation, **fields):
        assert implementation == "cudnn"
        return given(*heads, **fields, implementation="xla")

    monkeypatch.setattr(jax.nn, "dot_product_attention", portable)
    heads = jax.random.normal(jax.random.key(0), (2, 12, 3, 8), jnp.bfloat16)
    dense = causal(heads, form="dense", window=window)
    np.testing.assert_allclose(
        causal(heads, window=window).astype(jnp.float32), dense.astype(jnp.float32), atol=2e-2
    )


def test_cudnn_gets_a_program_for_nvidia(monkeypatch):
    """Forward and backward call its kernels. That of jax asks the machine for its version."""
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    heads = jax.ShapeDtypeStruct((2, 8, 3, 64), jnp.bfloat16)
    gradient = jax.grad(lambda heads: jnp.sum(causal(heads).astype(jnp.float32)))
    program = jax.jit(gradient).trace(heads).lower(lowering_platforms=("cuda",)).as_text()
    assert "__cudnn$fmhaScaleBiasSoftmax(" in program
    assert "__cudnn$fmhaScaleBiasSoftmaxBackward(" in program
