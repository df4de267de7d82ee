"""Greedy decoding: at every step the most likely token."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.token_by_token import TokenByToken


def greedy(*, max_decode_length: int, rules: Rules = ANYTHING) -> TokenByToken:
    """One sequence per example.

    Args:
        max_decode_length: tokens written at most, the end token included.
        rules: what may be written.
    """

    def choose(
        allowed: Float[Array, "examples n vocab"], written: Written
    ) -> Int[Array, "examples n"]:
        del written
        return jnp.argmax(allowed, axis=-1)

    return TokenByToken(choose, max_decode_length, rules=rules)
