"""Greedy decoding: at every step the most likely token."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.decoding.language_model import without
from t5x_lite.decoding.token_by_token import TokenByToken


def greedy(*, max_decode_length: int, first_forbidden: int | None = None) -> TokenByToken:
    """One sequence per example.

    Args:
        max_decode_length: tokens written at most, the end token included.
        first_forbidden: ids from this one on are never written.
    """

    def choose(
        logits: Float[Array, "rows vocab"],
        indices: Int[Array, "examples"],
        steps: Int[Array, "examples"],
    ) -> Int[Array, "rows"]:
        del indices, steps
        return jnp.argmax(without(logits, first_forbidden), axis=-1)

    return TokenByToken(choose, max_decode_length)
