"""Greedy decoding: at every step the most likely token, until every row has ended."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Feeds one token per row to a model and returns the logits of the next ones; the second value is
# the model's own memory (its key-value cache), which a decoder only passes on.
Advance = Callable[[Int[Array, "batch"], Any], tuple[Float[Array, "batch vocab"], Any]]


def greedy(
    first_logits: Float[Array, "batch vocab"],
    cache: Any,
    advance: Advance,
    *,
    max_decode_length: int,
    eos_id: int = 1,
    pad_id: int = 0,
) -> Int[Array, "batch max_decode_length"]:
    """Decodes rows independently; behind a row's end token stands padding.

    Args:
        first_logits: what the model says of the first token.
        cache: the model's state behind those logits.
        advance: one step of the model.
        max_decode_length: tokens written at most, the end token included.
        eos_id: the token that ends a row.
        pad_id: what fills ended rows.
    """
    batch = first_logits.shape[0]
    tokens = jnp.full((batch, max_decode_length), pad_id, jnp.int32)
    ended = jnp.zeros((batch,), bool)

    def pick(
        logits: Float[Array, "batch vocab"], ended: Bool[Array, "batch"]
    ) -> Int[Array, "batch"]:
        return jnp.where(ended, pad_id, jnp.argmax(logits, axis=-1).astype(jnp.int32))

    def unfinished(state: tuple) -> Bool[Array, ""]:
        step, _, _, ended, _ = state
        return (step < max_decode_length) & ~jnp.all(ended)

    def body(state: tuple) -> tuple:
        step, tokens, last, ended, cache = state
        # The model reads a token only if another is to follow, so the cache never needs a position
        # beyond max_decode_length.
        logits, cache = advance(last, cache)
        token = pick(logits, ended)
        return step + 1, tokens.at[:, step].set(token), token, ended | (token == eos_id), cache

    first = pick(first_logits, ended)
    state = (jnp.int32(1), tokens.at[:, 0].set(first), first, first == eos_id, cache)
    return jax.lax.while_loop(unfinished, body, state)[1]
