"""Tokens that are drawn while a model learns: a function of a key and of where they stand."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.features.outputs import Scores
from t5x_lite.partitioning.chunks import each_position


def by_scores(scores: Scores, key: PRNGKeyArray) -> Int[Array, "batch length"]:
    """A draw of each position's distribution, by which nothing learns, however logits are made."""
    scores = jax.lax.stop_gradient(scores)
    rows, length = scores.hidden.shape[:2]
    places = jnp.arange(rows * length, dtype=jnp.int32).reshape(rows, length)
    return each_position(lambda logits, places: drawn(logits, places, key), [scores], places)


def drawn(
    logits: Float[Array, "rows places vocab"], places: Int[Array, "rows places"], key: PRNGKeyArray
) -> Int[Array, "rows places"]:
    """The largest of logits with Gumbel noise: a draw of their softmax. Reductions, which stay
    local where the vocabulary is split.
    """

    def noise_of(place: Int[Array, ""]) -> Float[Array, "vocab"]:
        return jax.random.gumbel(jax.random.fold_in(key, place), logits.shape[-1:])

    noisy = logits + jax.vmap(jax.vmap(noise_of))(places)
    is_largest = noisy == jnp.max(noisy, axis=-1, keepdims=True)
    last = logits.shape[-1] - 1
    return jnp.min(jnp.where(is_largest, ids(logits), last), axis=-1)


def ids(logits: Float[Array, "rows places vocab"]) -> Int[Array, "rows places vocab"]:
    """Of each score the token that it is of."""
    return jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
