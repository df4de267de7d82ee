"""Decoding one token at a time: keys and values of earlier positions are kept, not recomputed.

`start` reads what is given (the encoder's input, or a language model's prefix, in parallel) and
scores the first new token; `advance` feeds one token per row and scores the next. Rows may have
prefixes of different lengths: each row writes at its own position, over the padding of its prefix.

Several rows may continue one example: `repeat` makes them, `select` replaces them by the best of
them. They share the keys and values of the encoder's output, which is neither copied nor moved.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.features.outputs import TOKENS
from t5x_lite.model import masks, parameter_tree
from t5x_lite.model.attention import KeysValues
from t5x_lite.model.block import LayerCache
from t5x_lite.model.config import ModelConfig, Visibility
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Encoded, segments_of


class Cache(NamedTuple):
    """What decoding remembers between tokens; shapes and dtypes stay the same from step to step.

    `layers` holds self-attention keys and values [layers, batch, kv_len, heads, head_dim], and
    cross-attention ones over enc_len, computed once. `positions` is where each row's next token
    goes. `encoder_segments` is None in decoder-only models. After `repeat` it and cross-attention
    have fewer rows than the rest: neighbouring rows read the same one.
    """

    layers: LayerCache
    positions: Array
    encoder_segments: Array | None


def start(
    config: ModelConfig, parameters: dict, batch: Batch, *, max_decode_length: int
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """Logits of the first new token, and the cache with room for `max_decode_length` tokens.

    Args:
        batch: encoder_input_tokens, or decoder_prefix_tokens, each with its segment ids (1, and 0
            in the padding on the right) and room for the prompt in front, if the model has one. The
            start token is put in front here.
    """
    network = parameter_tree.to_modules(config, parameters)
    if config.encoder is not None:
        encoded = network.encode(batch)
        rows = encoded.segments.shape[0]
        tokens = jnp.full((rows, 1), config.special.start, jnp.int32)
        segments = jnp.ones_like(tokens)
        x = network.embed(tokens)
    else:
        encoded = None
        tokens, segments = _started(
            config, batch["decoder_prefix_tokens"], segments_of(batch, "decoder_prefix")
        )
        x = network.embed(tokens, segments, prompt_at=1)
    lengths = jnp.sum(segments, axis=1, dtype=jnp.int32)
    positions = masks.row_positions(x.shape[1])
    mask = AttentionMask(
        visibility=config.decoder.visibility,
        window=config.decoder.window,
        q_positions=positions,
        kv_positions=positions,
        kv_in_prefix=segments > 0,
        q_segments=segments,
        kv_segments=segments,
    )
    hidden, seen = network.decode(x, mask, encoded, keep_cache=True)
    assert seen is not None, "keep_cache=True keeps it"
    last = jnp.take_along_axis(hidden, lengths[:, None, None] - 1, axis=1)
    room = [(0, 0), (0, 0), (0, max_decode_length), (0, 0), (0, 0)]
    cache = Cache(
        layers=seen._replace(
            self_attention=KeysValues(*(jnp.pad(part, room) for part in seen.self_attention))
        ),
        positions=lengths,
        encoder_segments=None if encoded is None else encoded.segments,
    )
    return network.head(TOKENS, last).all()[:, 0], cache


def advance(
    config: ModelConfig, parameters: dict, tokens: Int[Array, "batch"], cache: Cache
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """Feeds one token per row; the logits of the token after it, and the longer cache."""
    network = parameter_tree.to_modules(config, parameters)
    mask = AttentionMask(
        # Whatever the prefix saw of itself, a position after it sees all that lies before.
        visibility=Visibility.CAUSAL,
        window=config.decoder.window,
        q_positions=cache.positions[:, None],
        kv_positions=masks.row_positions(cache.layers.self_attention.keys.shape[2]),
    )
    segments = cache.encoder_segments
    encoded = None if segments is None else Encoded(hidden=None, segments=segments)
    hidden, layers = network.decode(
        network.embed(tokens[:, None]), mask, encoded, cache=cache.layers, keep_cache=True
    )
    assert layers is not None, "keep_cache=True keeps it"
    return network.head(TOKENS, hidden).all()[:, 0], Cache(layers, cache.positions + 1, segments)


def _started(
    config: ModelConfig, tokens: Int[Array, "batch length"], segments: Int[Array, "batch length"]
) -> tuple[Int[Array, "batch longer"], Int[Array, "batch longer"]]:
    """A prompt with the start token in front, if the model reads one there; a row without a prompt
    begins with it in any case.
    """
    start = config.special.start
    if config.prompts.start_token or config.prompt_length:
        in_front = ((0, 0), (1, 0))
        tokens = jnp.pad(tokens, in_front, constant_values=start)
        return tokens, jnp.pad(segments, in_front, constant_values=1)
    is_empty = (jnp.sum(segments, axis=1, keepdims=True) == 0) & (
        masks.row_positions(tokens.shape[1]) == 0
    )
    return jnp.where(is_empty, start, tokens), jnp.where(is_empty, 1, segments)


def repeat(cache: Cache, n: int) -> Cache:
    """The cache of n rows per example, neighbours, all with its memory."""
    own = jax.tree.map(lambda part: jnp.repeat(part, n, axis=1), cache.layers.self_attention)
    layers = cache.layers._replace(self_attention=own)
    return cache._replace(layers=layers, positions=jnp.repeat(cache.positions, n))


def select(cache: Cache, chosen: Int[Array, "batch n"]) -> Cache:
    """The cache in which row i of an example goes on from what was its row `chosen[example, i]`.

    An example's rows never leave its device: the index runs inside an example only.
    """
    batch, n = chosen.shape

    def move(part: Array) -> Array:
        grouped = part.reshape(part.shape[0], batch, n, *part.shape[2:])
        index = chosen.reshape(1, batch, n, *(1,) * (part.ndim - 2))
        return jnp.take_along_axis(grouped, index, axis=2).reshape(part.shape)

    own = jax.tree.map(move, cache.layers.self_attention)
    # Rows of one example are equally long, so positions stay.
    return cache._replace(layers=cache.layers._replace(self_attention=own))
