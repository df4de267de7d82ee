"""Beam search with the length penalty of Wu et al. (2016): T5's translations and summaries.

Raffel et al. (2020), section 3.1.2 and 3.7: width 4, alpha 0.6. At every step the 2 * beam_size
likeliest continuations are split into those that have ended and those that live on, so that there
are always enough to live on. A search ends when no living hypothesis can beat the worst that is
kept as finished. Width 1 is not greedy decoding: of its two candidates an end token that is ranked
second counts as finished too, and may win.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.language_model import (
    Decoded,
    LanguageModel,
    rows_of,
    without,
)


class _Hypotheses(NamedTuple):
    """Sequences per example, best first; those that do not exist (yet) score minus infinity."""

    tokens: Int[Array, "batch n length"]
    log_probs: Float[Array, "batch n"]
    scores: Float[Array, "batch n"]

    def best(self, n: int) -> tuple["_Hypotheses", Int[Array, "batch n"]]:
        """The `n` that score highest, earlier ones first among equals, and where they stood."""
        _, places = jax.lax.top_k(self.scores, n)
        return _Hypotheses(*(_take(part, places) for part in self)), places


class _State(NamedTuple):
    """`live` scores by log-probability alone: all living hypotheses are equally long."""

    step: Int[Array, ""]
    live: _Hypotheses
    finished: _Hypotheses
    cache: Any


def length_penalty(num_tokens: Int[Array, ""] | int, alpha: float | int) -> Float[Array, ""]:
    """What the log-probability of `num_tokens` tokens, end token included, is divided by.

    >>> f"{length_penalty(10, 0.6):.4f}"
    '1.7329'
    """
    return jnp.asarray(((5.0 + num_tokens) / 6.0) ** alpha, jnp.float32)


def beam_search(
    first_logits: Float[Array, "batch vocab"],
    cache: Any,
    model: LanguageModel,
    *,
    beam_size: int,
    alpha: float | int,
    max_decode_length: int,
    num_decodes: int = 1,
    first_forbidden: int | None = None,
    active: Bool[Array, "batch"] | None = None,
) -> Decoded:
    """The `num_decodes` best finished hypotheses; where there are fewer, the best living ones fill
    the places behind them, cut at `max_decode_length` and without an end token.

    Args:
        first_logits: what the model says of the first token.
        cache: the model's state behind those logits.
        model: one step of the model, with `repeat` and `select`.
        beam_size: hypotheses that live on, and that are kept as finished.
        alpha: exponent of `length_penalty`; 0 compares log-probabilities as they are.
        max_decode_length: tokens written at most, the end token included.
        num_decodes: at most `beam_size`.
        first_forbidden: ids from this one on are never written.
        active: examples that are decoded; the others are filler of a batch.
    """
    assert model.repeat is not None and model.select is not None, "beams move rows of the memory"
    select = model.select
    batch = first_logits.shape[0]
    is_filler = ~rows_of(active, batch)
    last_penalty = length_penalty(max_decode_length, alpha)

    def grow(step: Array, live: _Hypotheses, finished: _Hypotheses, logits: Array) -> tuple:
        """One more token: the new live and finished hypotheses, and each live one's parent."""
        candidates, parents, tokens = _candidates(step, live, logits, first_forbidden)
        ended = tokens == model.end
        log_probs = candidates.log_probs
        alive = jnp.where(ended, -jnp.inf, log_probs)
        living = candidates._replace(log_probs=alive, scores=alive)
        scores = jnp.where(ended, log_probs / length_penalty(step + 1, alpha), -jnp.inf)
        pool = _concatenate(finished, candidates._replace(scores=scores))
        living, places = living.best(beam_size)
        return living, pool.best(beam_size)[0], _take(parents, places)

    def unfinished(state: _State) -> Bool[Array, ""]:
        # No future score of a living hypothesis is higher: log-probabilities only fall, and no
        # penalty is larger than that of the greatest length.
        hope = state.live.scores[:, 0] / last_penalty
        done = (state.finished.scores[:, -1] >= hope) | is_filler
        return (state.step < max_decode_length) & ~jnp.all(done)

    def body(state: _State) -> _State:
        last = jax.lax.dynamic_index_in_dim(state.live.tokens, state.step - 1, 2, keepdims=False)
        logits, cache = model.advance(last.reshape(-1), state.cache)
        live, finished, parents = grow(
            state.step, state.live, state.finished, logits.reshape(batch, beam_size, -1)
        )
        return _State(state.step + 1, live, finished, select(cache, parents))

    none = _nothing(batch, beam_size, max_decode_length, model.padding)
    # One living hypothesis, the empty one: its copies would all grow alike.
    root = none.log_probs.at[:, 0].set(0.0)
    logits = jnp.repeat(first_logits[:, None], beam_size, axis=1)
    live, finished, _ = grow(jnp.int32(0), none._replace(log_probs=root), none, logits)
    state = _State(jnp.int32(1), live, finished, model.repeat(cache, beam_size))
    state = jax.lax.while_loop(unfinished, body, state)
    return _result(state, last_penalty, num_decodes)


def _candidates(
    step: Array,
    live: _Hypotheses,
    logits: Float[Array, "batch beams vocab"],
    first_forbidden: int | None,
) -> tuple[_Hypotheses, Int[Array, "batch candidates"], Int[Array, "batch candidates"]]:
    """The 2 * beams likeliest continuations, best first, the hypothesis that each continues, and
    its new token.
    """
    batch, beams, vocab = logits.shape
    log_probs = without(jax.nn.log_softmax(logits, axis=-1), first_forbidden)
    total = (live.log_probs[..., None] + log_probs).reshape(batch, beams * vocab)
    log_probs, places = jax.lax.top_k(total, 2 * beams)
    parents, tokens = places // vocab, (places % vocab).astype(jnp.int32)
    sequences = _take(live.tokens, parents).at[:, :, step].set(tokens)
    return _Hypotheses(sequences, log_probs, log_probs), parents, tokens


def _result(state: _State, last_penalty: Array, num_decodes: int) -> Decoded:
    live = state.live._replace(scores=state.live.log_probs / last_penalty)
    # Finished ones come first whatever they score, places that hold nothing last.
    group = jnp.where(state.finished.scores > -jnp.inf, 0, 2)
    groups = jnp.concatenate([group, jnp.ones_like(group)], axis=1)
    both = _concatenate(state.finished, live)
    order = jnp.argsort(groups, axis=1, stable=True)[:, :num_decodes]
    chosen = _Hypotheses(*(_take(part, order) for part in both))
    return Decoded(chosen.tokens, chosen.log_probs, chosen.scores)


def _nothing(batch: int, n: int, length: int, padding: int) -> _Hypotheses:
    impossible = jnp.full((batch, n), -jnp.inf)
    return _Hypotheses(jnp.full((batch, n, length), padding, jnp.int32), impossible, impossible)


def _take(values: Array, places: Int[Array, "batch n"]) -> Array:
    places = places.reshape(places.shape + (1,) * (values.ndim - places.ndim))
    return jnp.take_along_axis(values, places, axis=1)


def _concatenate(one: _Hypotheses, other: _Hypotheses) -> _Hypotheses:
    return _Hypotheses(*(jnp.concatenate(parts, axis=1) for parts in zip(one, other, strict=True)))
