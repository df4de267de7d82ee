"""Sampling: every token is drawn from the model's distribution, sharpened and cut as asked.

What an example draws is a function of the seed and of the numbers of the example, of the decode and
of the token, so it depends neither on the batch nor on the mesh.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.token_by_token import TokenByToken


def sample(
    *,
    seed: int,
    max_decode_length: int,
    num_decodes: int = 1,
    temperature: float | int = 1.0,
    top_k: int = 0,
    top_p: float | int = 1.0,
    rules: Rules = ANYTHING,
) -> TokenByToken:
    """`num_decodes` independent sequences per example, the likeliest first.

    Args:
        seed, temperature, top_k, top_p: see DecodingConfig; the last three are applied in this
            order. A temperature of an example's own takes the place of this one.
        max_decode_length: tokens written at most, the end token included.
        rules: what may be written.
    """

    def choose(
        allowed: Float[Array, "examples n vocab"], written: Written
    ) -> Int[Array, "examples n"]:
        allowed = allowed / _temperature(written.examples, temperature)
        keys = _keys(seed, written.examples.indices, written.steps, num_decodes)
        rows = allowed.reshape(-1, allowed.shape[-1])
        return draw(keys, rows, top_k=top_k, top_p=top_p).reshape(allowed.shape[:2])

    return TokenByToken(choose, max_decode_length, num_decodes, rules)


def _temperature(examples: Examples, common: float | int) -> Float[Array, "examples 1 1"] | float:
    own = examples.temperature
    return common if own is None else own[:, None, None]


def _keys(
    seed: int, indices: Int[Array, "examples"], steps: Int[Array, "examples"], num_decodes: int
) -> Key[Array, "rows"]:
    """Those of the next token of each row."""
    key = jax.random.key(seed)

    def of_example(index: Array, step: Array) -> Key[Array, "decodes"]:
        keys = jax.random.split(jax.random.fold_in(key, index), num_decodes)
        return jax.vmap(lambda own: jax.random.fold_in(own, step))(keys)

    return jax.vmap(of_example)(indices, steps).reshape(-1)


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
