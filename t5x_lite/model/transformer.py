"""The model as pure functions of a config and a nested dict of parameters: all that others use.

`batch` holds SeqIO's model features: encoder_input_tokens, decoder_input_tokens, and with each
their segment ids (packed examples 1, 2, ..., padding 0); for a prefix LM decoder_causal_attention
(1 on the inputs and the position after them). Positions are not read: segments tell them.
"""

import dataclasses
import math

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import TOKENS, Outputs, Wanted
from t5x_lite.model import decoding_cache, execution, masks, maxima, parameter_tree
from t5x_lite.model.choices import Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.heads import HEADS
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Transformer, segments_of

Parameters = dict
Cache = decoding_cache.Cache
Network = decoding_cache.Transformer
start = decoding_cache.start
start_prepared = decoding_cache.start_prepared
prepare = decoding_cache.prepare
prepares_copies = execution.layers_apart
advance = decoding_cache.advance
advance_prepared = decoding_cache.advance_prepared
repeat = decoding_cache.repeat
select = decoding_cache.select
put = decoding_cache.put
cache_axes = decoding_cache.axes
TOKEN_LOGITS = Wanted()


def init_parameters(config: ModelConfig, key: PRNGKeyArray) -> Parameters:
    """Fresh float32 parameters; may run inside jit with out_shardings."""
    return parameter_tree.to_tree(Transformer(config, key=key))


def quantize(config: ModelConfig, parameters: Parameters) -> tuple[ModelConfig, Parameters]:
    """The model for inference with weights as int8; see quantization.py.

    Raises:
        UserError: they are int8 already: rounded again they would only lose.
    """
    if config.weights is Weights.INT8:
        raise UserError("the weights are int8 already; needed is a model in float32.")
    network = parameter_tree.to_modules(config, parameters)
    network.quantize()
    return dataclasses.replace(config, weights=Weights.INT8), parameter_tree.to_tree(network)


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
    wanted: Wanted = TOKEN_LOGITS,
    dropout_key: PRNGKeyArray | None = None,
) -> Outputs:
    """What is wanted of every position; without a dropout key nothing is dropped. Hidden states are
    those behind the last norm, in the activations' dtype, the prompt's included.

    Raises:
        UserError: the model has no such head or stack.
    """
    _check(config, wanted)
    network = parameter_tree.to_modules(config, parameters)
    dropout = Dropout(config.dropout_rate, config.dropout_shared_along_length, dropout_key)
    decodes = bool(wanted.heads) or "decoder" in wanted.hidden
    encoded, found = None, {}
    if config.encoder is not None:
        encoded = network.encode(batch, dropout)
        assert encoded.hidden is not None, "only a decoding cache stands in for hidden states"
        found["encoder"] = encoded.hidden
    if decodes:
        segments = segments_of(batch, "decoder")
        # An encoder has the prompt; without one it stands behind the start token.
        own = None if encoded is not None else segments
        x = network.embed(batch["decoder_input_tokens"], own, prompt_at=1)
        mask = _decoder_mask(config, batch, segments)
        found["decoder"], _ = network.decode(x, mask, encoded, dropout=dropout)
    return Outputs(
        heads={name: network.head(name, found["decoder"]) for name in wanted.heads},
        hidden={name: found[name] for name in wanted.hidden},
    )


def logits(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch length vocab"]:
    """Float32 scores of every token at every decoder position."""
    return apply(config, parameters, batch, dropout_key=dropout_key).heads[TOKENS].all()


def encode(
    config: ModelConfig, parameters: Parameters, batch: Batch
) -> Float[Array, "batch length embed"]:
    """The encoder's last hidden states, or the decoder's in a model without an encoder."""
    stack = "decoder" if config.encoder is None else "encoder"
    return apply(config, parameters, batch, wanted=Wanted((), (stack,))).hidden[stack]


def apply_with_maxima(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    wanted: Wanted = TOKEN_LOGITS,
    dropout_key: PRNGKeyArray | None = None,
) -> tuple[Outputs, maxima.Maxima]:
    """The outputs, and the largest absolute value of the activations at each place: [layers] inside
    a stack, a scalar elsewhere; `maxima.in_order` knows where they come first.
    """
    with maxima.collecting() as found:
        outputs = apply(config, parameters, batch, wanted=wanted, dropout_key=dropout_key)
    return outputs, found


def _check(config: ModelConfig, wanted: Wanted) -> None:
    stacks = ("decoder",) if config.encoder is None else ("encoder", "decoder")
    for name, known in [*((h, HEADS) for h in wanted.heads), *((s, stacks) for s in wanted.hidden)]:
        if name not in known:
            raise UserError(f"the model has no {name!r}; it has {', '.join(known)}.")


def _decoder_mask(
    config: ModelConfig, batch: Batch, segments: Int[Array, "batch length"]
) -> AttentionMask:
    prefix = batch.get("decoder_causal_attention")
    positions = masks.row_positions(segments.shape[1])
    return AttentionMask(
        visibility=config.decoder.visibility,
        window=config.decoder.window,
        q_positions=positions,
        kv_positions=positions,
        kv_in_prefix=None if prefix is None else prefix > 0,
        q_segments=segments,
        kv_segments=segments,
    )
