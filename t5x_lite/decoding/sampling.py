"""Sampling: every token is drawn from the model's distribution, sharpened and cut as asked.

What an example draws is a function of its key and of the number of the decode and of the token, so
it depends neither on the batch nor on the mesh.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from t5x_lite.decoding.language_model import Decoded, LanguageModel, rows_of, without
from t5x_lite.decoding.token_by_token import decode_rows


def sample(
    first_logits: Float[Array, "batch vocab"],
    cache: Any,
    model: LanguageModel,
    *,
    keys: Key[Array, "batch"],
    max_decode_length: int,
    num_decodes: int = 1,
    temperature: float | int = 1.0,
    top_k: int = 0,
    top_p: float | int = 1.0,
    first_forbidden: int | None = None,
    active: Bool[Array, "batch"] | None = None,
) -> Decoded:
    """`num_decodes` independent sequences per example, the likeliest first.

    Args:
        keys: one per example.
        temperature, top_k, top_p: see DecodingConfig; they are applied in this order.
        first_forbidden: ids from this one on are never written.
        active: examples that are decoded; the others are filler of a batch.
    """
    batch, _ = first_logits.shape
    row_keys = jax.vmap(lambda key: jax.random.split(key, num_decodes))(keys).reshape(-1)
    if num_decodes > 1:
        assert model.repeat is not None, "several decodes of an example need its memory repeated"
        first_logits = jnp.repeat(first_logits, num_decodes, axis=0)
        cache = model.repeat(cache, num_decodes)

    def choose(logits: Float[Array, "rows vocab"], step: Int[Array, ""]) -> Int[Array, "rows"]:
        allowed = without(logits, first_forbidden) / temperature
        step_keys = jax.vmap(lambda key: jax.random.fold_in(key, step))(row_keys)
        return draw(step_keys, allowed, top_k=top_k, top_p=top_p)

    tokens, log_probs = decode_rows(
        first_logits,
        cache,
        model,
        choose,
        max_decode_length=max_decode_length,
        active=rows_of(active, batch, num_decodes),
    )
    tokens = tokens.reshape(batch, num_decodes, max_decode_length)
    log_probs = log_probs.reshape(batch, num_decodes)
    order = jnp.argsort(log_probs, axis=1, descending=True, stable=True)
    log_probs = jnp.take_along_axis(log_probs, order, axis=1)
    return Decoded(jnp.take_along_axis(tokens, order[..., None], axis=1), log_probs, log_probs)


def draw(
    keys: Key[Array, "rows"],
    logits: Float[Array, "rows vocab"],
    *,
    top_k: int = 0,
    top_p: float | int = 1.0,
) -> Int[Array, "rows"]:
    """One token per row among the `top_k` likeliest and, of these, the fewest that reach `top_p`.

    Of tokens that are equally likely the one with the lower id counts as likelier.
    """
    vocab = logits.shape[-1]
    kept = min(top_k, vocab) if top_k else vocab
    if kept == vocab and top_p >= 1:
        return jnp.argmax(logits + _noise(keys, vocab), axis=-1)
    logits, ids = jax.lax.top_k(logits, kept)
    probabilities = jax.nn.softmax(logits, axis=-1)
    # A token stays if those before it do not reach top_p yet, so the first one always does.
    before = jnp.cumsum(probabilities, axis=-1) - probabilities
    ranks = jnp.arange(kept)[None, :]
    logits = jnp.where((before < top_p) | (ranks == 0), logits, -jnp.inf)
    chosen = jnp.argmax(logits + _noise(keys, kept), axis=-1)
    return jnp.take_along_axis(ids, chosen[:, None], axis=-1)[:, 0]


def _noise(keys: Key[Array, "rows"], length: int) -> Float[Array, "rows length"]:
    """Gumbel noise: the largest of logits plus noise is a draw from their softmax."""
    return jax.vmap(lambda key: jax.random.gumbel(key, (length,)))(keys)
