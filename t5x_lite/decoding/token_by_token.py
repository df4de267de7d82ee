"""The loop of decoders that extend each row by itself, one chosen token at a time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.language_model import LanguageModel, log_prob_of

# Logits and the number of tokens already written to the next token of each row.
Choose = Callable[[Float[Array, "rows vocab"], Int[Array, ""]], Int[Array, "rows"]]


def decode_rows(
    first_logits: Float[Array, "rows vocab"],
    cache: Any,
    model: LanguageModel,
    choose: Choose,
    *,
    max_decode_length: int,
    active: Bool[Array, "rows"],
) -> tuple[Int[Array, "rows max_decode_length"], Float[Array, "rows"]]:
    """Tokens and the log-probability of each row; stops when all rows have ended.

    Args:
        first_logits: what the model says of the first token.
        cache: the model's state behind those logits.
        model: one step of the model.
        active: rows that are decoded; the others are padding from the first token on.
    """
    rows = first_logits.shape[0]

    def pick(
        logits: Array, step: Array, ended: Array, log_probs: Array
    ) -> tuple[Array, Array, Array]:
        token = choose(logits, step).astype(jnp.int32)
        log_probs = log_probs + jnp.where(ended, 0.0, log_prob_of(logits, token))
        token = jnp.where(ended, model.padding, token)
        return token, ended | (token == model.end), log_probs

    def unfinished(state: tuple) -> Bool[Array, ""]:
        step, _, _, ended, _, _ = state
        return (step < max_decode_length) & ~jnp.all(ended)

    def body(state: tuple) -> tuple:
        step, tokens, last, ended, log_probs, cache = state
        # The model reads a token only if another is to follow, so the cache never needs a position
        # beyond max_decode_length.
        logits, cache = model.advance(last, cache)
        token, ended, log_probs = pick(logits, step, ended, log_probs)
        return step + 1, tokens.at[:, step].set(token), token, ended, log_probs, cache

    tokens = jnp.full((rows, max_decode_length), model.padding, jnp.int32)
    token, ended, log_probs = pick(first_logits, jnp.int32(0), ~active, jnp.zeros((rows,)))
    state = (jnp.int32(1), tokens.at[:, 0].set(token), token, ended, log_probs, cache)
    _, tokens, _, _, log_probs, _ = jax.lax.while_loop(unfinished, body, state)
    return tokens, log_probs
