"""Greedy decoding: at every step the most likely token, until every row has ended."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.language_model import Decoded, LanguageModel, rows_of, without
from t5x_lite.decoding.token_by_token import decode_rows


def greedy(
    first_logits: Float[Array, "batch vocab"],
    cache: Any,
    model: LanguageModel,
    *,
    max_decode_length: int,
    first_forbidden: int | None = None,
    active: Bool[Array, "batch"] | None = None,
) -> Decoded:
    """One sequence per example.

    Args:
        first_logits: what the model says of the first token.
        cache: the model's state behind those logits.
        model: one step of the model.
        max_decode_length: tokens written at most, the end token included.
        first_forbidden: ids from this one on are never written.
        active: examples that are decoded; the others are filler of a batch.
    """

    def choose(logits: Float[Array, "batch vocab"], step: Int[Array, ""]) -> Int[Array, "batch"]:
        del step
        return jnp.argmax(without(logits, first_forbidden), axis=-1)

    tokens, log_probs = decode_rows(
        first_logits,
        cache,
        model,
        choose,
        max_decode_length=max_decode_length,
        active=rows_of(active, first_logits.shape[0]),
    )
    return Decoded(tokens[:, None], log_probs[:, None], log_probs[:, None])
