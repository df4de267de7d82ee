"""The model as pure functions of a config and a nested dict of parameters: all that others use.

`batch` holds SeqIO's model features: encoder_input_tokens, decoder_input_tokens and, where they
apply, decoder_target_tokens (its zeros are padding), decoder_causal_attention (1 on a prefix LM's
inputs and the position after them), encoder_segment_ids and decoder_segment_ids (packed rows).
encoder_positions and decoder_positions are welcome but not read, unless packed rows have room for a
prompt: packed examples lie in one piece, so positions along the row have the same differences, and
only differences enter the model.
"""

import math

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.errors import UserError
from t5x_lite.model import decoding_cache, masks, maxima, parameter_tree
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Transformer
from t5x_lite.model.prompt import stretch

Parameters = dict
Cache = decoding_cache.Cache
start = decoding_cache.start
advance = decoding_cache.advance
repeat = decoding_cache.repeat
select = decoding_cache.select


def init_parameters(config: ModelConfig, key: PRNGKeyArray) -> Parameters:
    """Fresh float32 parameters; may run inside jit with out_shardings."""
    return parameter_tree.to_tree(Transformer(config, key=key))


def abstract_parameters(config: ModelConfig) -> Parameters:
    """The parameter tree with jax.ShapeDtypeStruct leaves; nothing is allocated."""
    return parameter_tree.shapes(config)


def parameter_axes(config: ModelConfig) -> Parameters:
    """The parameter tree with tuples of logical axes as leaves."""
    return parameter_tree.axes(config)


def num_parameters(config: ModelConfig) -> int:
    """How many numbers the model learns."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract_parameters(config)))


def apply(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch length vocab"]:
    """Float32 logits of every decoder position; without a dropout key nothing is dropped."""
    network = parameter_tree.to_modules(config, parameters)
    dropout = Dropout(config.dropout_rate, config.dropout_shared_along_length, dropout_key)
    encoded = network.encode(batch, dropout) if config.encoder is not None else None
    x, mask = network.embed(batch["decoder_input_tokens"]), _decoder_mask(config, batch)
    unread = 0  # outputs in front of those that are asked for
    if network.prompt is not None and encoded is None:
        segments = batch.get("decoder_segment_ids")
        if segments is None:
            x, unread = network.prompt.insert(x, at=1), config.prompt_length
        else:
            x = network.prompt.fill(x, batch.get("decoder_positions"), segments, at=1)
    hidden, _ = network.decode(x, mask, encoded, dropout=dropout)
    return network.logits(hidden[:, unread:])


def apply_with_maxima(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    dropout_key: PRNGKeyArray | None = None,
) -> tuple[Float[Array, "batch length vocab"], maxima.Maxima]:
    """The logits, and the largest absolute value of the activations at each place: [layers] inside
    a stack, a scalar elsewhere; `maxima.in_order` knows where they come first.
    """
    with maxima.collecting() as found:
        logits = apply(config, parameters, batch, dropout_key=dropout_key)
    return logits, found


def encode(
    config: ModelConfig, parameters: Parameters, batch: Batch
) -> Float[Array, "batch enc_len embed"]:
    """The encoder's output at the positions of its input, in the activations' dtype."""
    if config.encoder is None:
        raise UserError("this model has no encoder (encoder=None), so there is nothing to encode.")
    hidden = parameter_tree.to_modules(config, parameters).encode(batch).hidden
    assert hidden is not None, "only a decoding cache stands in for hidden states"
    return hidden[:, hidden.shape[1] - batch["encoder_input_tokens"].shape[1] :]


def _decoder_mask(config: ModelConfig, batch: Batch) -> AttentionMask:
    segments = batch.get("decoder_segment_ids")
    targets = batch.get("decoder_target_tokens")
    prefix = batch.get("decoder_causal_attention")
    inserted = config.prompt_length if config.encoder is None and segments is None else 0
    targets, prefix = stretch(targets, inserted), stretch(prefix, inserted)
    positions = masks.row_positions(batch["decoder_input_tokens"].shape[1] + inserted)
    return AttentionMask(
        visibility=config.decoder.visibility,
        q_positions=positions,
        kv_positions=positions,
        # In packed rows padding is a segment of its own.
        kv_is_real=targets > 0 if segments is None and targets is not None else None,
        kv_in_prefix=None if prefix is None else prefix > 0,
        q_segments=segments,
        kv_segments=segments,
    )
