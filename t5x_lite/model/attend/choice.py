"""Which form of attention runs, by device and lengths."""

import dataclasses

from jaxtyping import Array, Float

from t5x_lite.model.attend import blockwise, cudnn, dense, kernel
from t5x_lite.model.attend.prepare import prepare
from t5x_lite.model.choices import DENSE_LOGITS, AttentionForm
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import DenseBias, PositionBias
from t5x_lite.partitioning.constrain import platform


def always_dense(compute: ComputeConfig) -> ComputeConfig:
    """For one query a row over a cache, whose positions differ from row to row, and for keys of
    distances.
    """
    return dataclasses.replace(compute, attention=AttentionForm.DENSE)


def form_of(compute: ComputeConfig, q_len: int, kv_len: int) -> AttentionForm:
    """The form for these lengths: AUTO is dense where a head has few logits, whatever the device
    is, so that all devices give the same numbers.
    """
    if compute.attention is not AttentionForm.AUTO:
        return compute.attention
    return AttentionForm.DENSE if q_len * kv_len <= DENSE_LOGITS else AttentionForm.BLOCKWISE


def prepared(
    bias: PositionBias, mask: AttentionMask, compute: ComputeConfig
) -> PositionBias | DenseBias:
    """The bias as self-attention of every layer reads it: dense, so that it is made once, where
    attention is.
    """
    form = form_of(compute, mask.q_positions.shape[1], mask.kv_positions.shape[1])
    if form is not AttentionForm.DENSE:
        return bias
    # On other devices a product with one-hot rows is as good, and no reshape of all numbers.
    if platform() == "cpu" and mask.is_of_whole_rows:
        return bias.of_whole_rows(mask.q_positions.shape[1])
    return bias.array(mask.q_positions, mask.kv_positions)


def attend(
    queries: Float[Array, "batch q_len heads head_dim"],
    keys: Float[Array, "batch kv_len heads head_dim"],
    values: Float[Array, "batch kv_len heads head_dim"],
    mask: AttentionMask,
    *,
    position_bias: PositionBias | DenseBias | None,
    scale: float | None,
    dropout: Dropout,
    compute: ComputeConfig,
) -> Float[Array, "batch q_len heads head_dim"]:
    """softmax(scale * queries keys + position_bias, masked) values, by the form that is chosen."""
    form = form_of(compute, queries.shape[1], keys.shape[1])
    if form is AttentionForm.DENSE:
        if isinstance(position_bias, PositionBias):
            position_bias = position_bias.array(mask.q_positions, mask.kv_positions)
        return dense.attend(
            queries,
            keys,
            values,
            mask,
            position_bias=position_bias,
            scale=scale,
            dropout=dropout,
        )
    assert position_bias is None or isinstance(position_bias, PositionBias), "`prepared` so"
    prepared_form, inputs = prepare(
        queries,
        keys,
        values,
        mask,
        position_bias=position_bias,
        scale=scale,
        dropout=dropout,
        block=compute.attention_block,
        multiple=kernel.LANES if form is AttentionForm.PALLAS else 1,
    )
    if form is AttentionForm.CUDNN:
        return cudnn.attend(prepared_form, inputs, mask)
    return (kernel if form is AttentionForm.PALLAS else blockwise).attend(prepared_form, inputs)
