"""The model as pure functions of a config and a nested dict of parameters: all that others use.

`batch` holds SeqIO's model features: encoder_input_tokens, decoder_input_tokens, and with each
their segment ids (packed examples 1, 2, ..., padding 0); for a prefix LM decoder_causal_attention
(1 on the inputs and the position after them). An encoder with types of tokens reads
encoder_token_types, without which all are of the first; one of two streams encoder_order, without
which the first runs alone, and encoder_loss_weights. Positions are not read: segments tell them.
A model with a generator also reads encoder_target_tokens and encoder_loss_weights (replacement.py),
one that is to denoise decoder_target_tokens in place of decoder_input_tokens (denoising.py).
"""

import dataclasses
import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.errors import UserError
from t5x_lite.features.denoising_config import Denoising
from t5x_lite.features.outputs import (
    MEAN_SCORES,
    POOLED,
    SCORES,
    STATES,
    TOKENS,
    Outputs,
    Scores,
    Wanted,
)
from t5x_lite.model import (
    decoding_cache,
    denoising,
    draws,
    execution,
    masks,
    maxima,
    parameter_tree,
    replacement,
    rounding,
    taps,
    whole_targets,
    windows,
)
from t5x_lite.model.choices import ExamplePlace, HeadKind, Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.head_config import OF_EXAMPLES
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Encoded, Transformer, segments_of

Parameters = dict
Cache = decoding_cache.Cache
Network = decoding_cache.Transformer
start = decoding_cache.start
start_prepared = decoding_cache.start_prepared
prepare = decoding_cache.prepare
prepares_copies = execution.layers_apart
advance = decoding_cache.advance
advance_prepared = decoding_cache.advance_prepared
tell = decoding_cache.tell
differentiable = decoding_cache.differentiable
empty = decoding_cache.empty
read = decoding_cache.read
repeat = decoding_cache.repeat
select = decoding_cache.select
rewind = decoding_cache.rewind
put = decoding_cache.put
read_inputs = whole_targets.read_inputs
length_scores = whole_targets.length_scores
token_scores = whole_targets.token_scores
repeated = whole_targets.repeated
cache_axes = decoding_cache.axes
TOKEN_LOGITS = Wanted()
_INSIDE = (STATES, SCORES, MEAN_SCORES)
RANGE = "input_range"


def init_parameters(config: ModelConfig, key: PRNGKeyArray) -> Parameters:
    """Fresh float32 parameters; may run inside jit with out_shardings."""

    def make(model: ModelConfig) -> Parameters:
        # Folded: the model begins as it would without a generator.
        own = key if model == config.alone else jax.random.fold_in(key, 6)
        return parameter_tree.to_tree(Transformer(model, key=own))

    return replacement.with_generator(config, make)


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
    return replacement.with_generator(config, parameter_tree.shapes)


def parameter_axes(config: ModelConfig) -> Parameters:
    """The parameter tree with tuples of logical axes as leaves."""
    return replacement.with_generator(config, parameter_tree.axes)


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
    those behind the last norm, in the activations' dtype, the prompt's included. States inside a
    stack are before that norm, and as wide as a model's `projections` make them.

    Raises:
        UserError: the model has no such head or stack.
    """
    _check(config, wanted)
    dropout = Dropout(config.dropout_rate, config.dropout_shared_along_length, dropout_key)
    if config.generator is None:
        return _apply(config, parameters, batch, wanted, dropout)
    return _apply_with_generator(config, parameters, batch, wanted, dropout)


def _apply(
    config: ModelConfig, parameters: Parameters, batch: Batch, wanted: Wanted, dropout: Dropout
) -> Outputs:
    network = parameter_tree.to_modules(config, parameters)
    with taps.asking(wanted.inside) as told:
        outputs = _run(network, batch, wanted, dropout)
    if config.projections is not None:
        told |= {
            name: network.projections(states)
            for name, states in told.items()
            if name.endswith(STATES)
        }
    return outputs._replace(inside=told)


def _run(network: Transformer, batch: Batch, wanted: Wanted, dropout: Dropout) -> Outputs:
    config = network.config
    stacks = {*wanted.hidden, *(name.partition("/")[0] for name in wanted.inside)}
    read_by = {name: config.read_by(HeadKind(name)) for name in wanted.heads}
    reads_top = not {*stacks, *read_by.values()}.isdisjoint({config.top_name, POOLED})
    encoded, found = None, {}
    if config.encoder is not None:
        encoded = network.encode(batch, dropout)
        assert encoded.hidden is not None, "only a decoding cache stands in for hidden states"
        found["encoder"] = encoded.hidden
    heads: dict[str, Scores] = {}
    unrolled: tuple[Scores, ...] = ()
    read = None
    if reads_top and wanted.denoising is not None:
        assert encoded is not None, "checked: a denoiser has an encoder"
        unrolled, read = _unrolled(network, batch, encoded, wanted.denoising, dropout)
        heads[TOKENS] = unrolled[0]
    elif reads_top and config.decoder is not None:
        tokens = batch["decoder_input_tokens"]
        found["decoder"] = _decoded(network, tokens, batch, encoded, dropout)
    if reads_top and config.pooler:
        found[POOLED] = network.pooler(_of_examples(config, batch, config.top_name, found))
    for name, stack in read_by.items():
        if name not in heads:
            is_of_examples = HeadKind(name) in OF_EXAMPLES
            told = _of_examples(config, batch, stack, found) if is_of_examples else found[stack]
            heads[name] = network.head(name, told, found.get(POOLED), dropout)
    return Outputs(heads, {name: found[name] for name in wanted.hidden}, read, unrolled=unrolled)


def _decoded(
    network: Transformer,
    tokens: Int[Array, "batch length"],
    batch: Batch,
    encoded: Encoded | None,
    dropout: Dropout,
) -> Float[Array, "batch length embed"]:
    """The decoder's output for these tokens."""
    segments = segments_of(batch, "decoder")
    if network.config.recurrence is not None:
        return windows.read(network, tokens, segments, dropout)
    # An encoder has the prompt; without one it stands behind the start token.
    own = None if encoded is not None else segments
    x = network.embed(tokens, own, prompt_at=1)
    mask = _decoder_mask(network.config, batch, segments)
    return network.decode(x, mask, encoded, dropout=dropout)[0]


def _unrolled(
    network: Transformer,
    batch: Batch,
    encoded: Encoded,
    given: Denoising,
    dropout: Dropout,
) -> tuple[tuple[Scores, ...], Int[Array, "batch length"]]:
    """The scores of each step of denoising, and what the first one read. No gradient goes through
    what a step draws for the next. Without a key the same is drawn each time.
    """
    key = dropout.fold("denoising").key
    key = jax.random.key(0) if key is None else key
    first = tokens = denoising.spoiled(network.config, given.noise, batch, key)
    unrolled: list[Scores] = []
    for step in range(given.num_steps):
        own = dropout.fold(step)
        hidden = _decoded(network, tokens, batch, encoded, own)
        unrolled.append(network.head(TOKENS, hidden, None, own))
        if step + 1 < given.num_steps:
            drawn = draws.by_scores(unrolled[-1], jax.random.fold_in(key, 1 + step))
            is_real = segments_of(batch, "decoder") > 0
            tokens = jnp.where(is_real, drawn, tokens)
    return tuple(unrolled), first


def _apply_with_generator(
    config: ModelConfig, parameters: Parameters, batch: Batch, wanted: Wanted, dropout: Dropout
) -> Outputs:
    """The head of tokens is the generator's; all else reads what it put into the text. Without a
    key the same is drawn each time.
    """
    generator, told = replacement.generator_of(config), None
    if generator is not None:
        parameters, own = replacement.apart(parameters)
        with maxima.within(replacement.GENERATOR):
            told = _apply(generator, own, batch, TOKEN_LOGITS, dropout.fold("generator"))
    heads = {TOKENS: told.heads[TOKENS]} if told is not None and TOKENS in wanted.heads else {}
    rest = wanted._replace(heads=tuple(name for name in wanted.heads if name != TOKENS))
    if rest == Wanted((), ()):
        return Outputs(heads, {})
    key = dropout.fold("replacements").key
    scores = None if told is None else told.heads[TOKENS]
    read = replacement.replaced_tokens(
        config, scores, batch, jax.random.key(0) if key is None else key
    )
    batch = {**batch, "encoder_input_tokens": read}
    found = _apply(config.alone, parameters, batch, rest, dropout)
    return found._replace(heads=heads | dict(found.heads), read=read)


def logits(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    dropout_key: PRNGKeyArray | None = None,
) -> Float[Array, "batch length vocab"]:
    """Float32 scores of every token at every position of the decoder, or of an encoder alone."""
    return apply(config, parameters, batch, dropout_key=dropout_key).heads[TOKENS].all()


def encode(
    config: ModelConfig, parameters: Parameters, batch: Batch
) -> Float[Array, "batch length embed"]:
    """The encoder's last hidden states, or the decoder's in a model without an encoder."""
    stack = next(iter(config.stacks))
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


def apply_with_ranges(
    config: ModelConfig,
    parameters: Parameters,
    batch: Batch,
    *,
    wanted: Wanted = TOKEN_LOGITS,
    dropout_key: PRNGKeyArray | None = None,
) -> tuple[Outputs, Parameters]:
    """The outputs, and [lowest, highest] of what every kernel of 8 bits read, with zero in it: the
    part of the parameter tree that holds such ranges.
    """
    with rounding.collecting() as found:
        outputs = apply(config, parameters, batch, wanted=wanted, dropout_key=dropout_key)
    return outputs, parameter_tree.by_names(
        {f"{place}/{RANGE}": _of_parameter(place, each) for place, each in found.items()}, config
    )


def _of_parameter(place: str, ranges: Float[Array, "*layers 2"]) -> Float[Array, "*own 2"]:
    """Of a kernel that all layers share the range is that of all of them."""
    is_shared = "/layers/" not in f"/{place}/" and ranges.ndim == 2
    return functools.reduce(rounding.union, list(ranges)) if is_shared else ranges


def _of_examples(
    config: ModelConfig,
    batch: Batch,
    stack: str,
    found: Mapping[str, Float[Array, "batch length embed"]],
) -> Float[Array, "batch length embed"]:
    """At each position of a stack what tells of its whole example, if that is told there."""
    if config.example_place is ExamplePlace.FIRST:
        return found[stack]
    last = masks.last_in(segments_of(batch, stack))
    return jnp.take_along_axis(found[stack], last[..., None], axis=1)


def _check(config: ModelConfig, wanted: Wanted) -> None:
    heads = [head.kind.value for head in config.heads]
    heads += [TOKENS] if replacement.generator_of(config) is not None else []
    hidden = [*config.stacks, *([POOLED] if config.pooler else [])]
    inside = [f"{stack}/{what}" for stack in config.stacks for what in _INSIDE]
    for names, known in zip(wanted[:3], (heads, hidden, inside), strict=True):
        for name in (name for name in names if name not in known):
            raise UserError(f"the model has no {name!r}; it has {', '.join(known) or 'none'}.")
    if config.recurrence is not None and wanted.inside:
        raise UserError(
            f"{', '.join(wanted.inside)} of a model that reads in windows: needed is one without "
            "recurrence, or a loss that compares outputs alone."
        )
    if wanted.denoising is not None:
        denoising.check(config, wanted.denoising.noise)


def _decoder_mask(
    config: ModelConfig, batch: Batch, segments: Int[Array, "batch length"]
) -> AttentionMask:
    decoder, prefix = config.decoder, batch.get("decoder_causal_attention")
    assert decoder is not None, "asked of a model that decodes"
    positions = masks.row_positions(segments.shape[1])
    return AttentionMask(
        visibility=decoder.visibility,
        window=decoder.window,
        q_positions=positions,
        kv_positions=positions,
        kv_in_prefix=None if prefix is None else prefix > 0,
        q_segments=segments,
        kv_segments=segments,
    )
