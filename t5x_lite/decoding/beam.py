"""Beam search with the length penalty of Wu et al. (2016): T5's translations and summaries.

Raffel et al. (2020), section 3.1.2 and 3.7: width 4, alpha 0.6. At every step the 2 * beam_size
likeliest continuations are split into those that have ended and those that live on, so that there
are always enough to live on. A search ends when no living hypothesis can beat the worst that is
kept as ended. Width 1 is not greedy decoding: of its two candidates an end token that is ranked
second counts as ended too, and may win.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import TOKEN_LOGITS, Decoded, LanguageModel
from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.search import Moves
from t5x_lite.features.outputs import TOKENS, Told, Wanted


class Hypotheses(NamedTuple):
    """Sequences per example, best first; those that do not exist (yet) score minus infinity."""

    tokens: Int[Array, "batch n length"]
    log_probs: Float[Array, "batch n"]
    scores: Float[Array, "batch n"]

    def best(self, n: int) -> tuple["Hypotheses", Int[Array, "batch n"]]:
        """The `n` that score highest, earlier ones first among equals, and where they stood."""
        _, places = jax.lax.top_k(self.scores, n)
        return Hypotheses(*(take(part, places) for part in self)), places


class _State(NamedTuple):
    """`live` scores by log-probability alone: all living hypotheses of an example are equally long,
    of `steps` tokens.
    """

    examples: Examples
    steps: Int[Array, "examples"]
    live: Hypotheses
    ended: Hypotheses


def length_penalty(
    num_tokens: Int[Array, "*shape"] | int, alpha: float | int
) -> Float[Array, "*shape"]:
    """What the log-probability of `num_tokens` tokens, end token included, is divided by.

    >>> f"{length_penalty(10, 0.6):.4f}"
    '1.7329'
    """
    return jnp.asarray(((5.0 + num_tokens) / 6.0) ** alpha, jnp.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """A `Search` of the `num_decodes` best hypotheses that end; where there are fewer, the best
    living ones fill the places behind them, cut at `max_decode_length` and without an end token.

    Args:
        beam_size: hypotheses that live on, and that are kept as ended.
        alpha: exponent of `length_penalty`; 0 compares log-probabilities as they are.
        max_decode_length: tokens written at most, the end token included.
        num_decodes: at most `beam_size`.
        rules: what may be written.
    """

    beam_size: int
    alpha: float | int
    max_decode_length: int
    num_decodes: int = 1
    rules: Rules = ANYTHING
    wanted: Wanted = TOKEN_LOGITS

    @property
    def rows(self) -> int:
        """One for each hypothesis that lives."""
        return self.beam_size

    @property
    def max_steps(self) -> int:
        """One for each token."""
        return self.max_decode_length

    def begin(
        self,
        first_logits: Float[Array, "examples vocab"],
        examples: Examples,
        model: LanguageModel,
    ) -> _State:
        """The first token of each hypothesis."""
        none = nothing(
            examples.indices.shape[0], self.beam_size, self.max_decode_length, model.padding
        )
        # One living hypothesis, the empty one: its copies would all grow alike.
        root = none.log_probs.at[:, 0].set(0.0)
        live = none._replace(log_probs=root, scores=root)
        state = _State(examples, jnp.zeros_like(examples.indices), live, none)
        first = Told({TOKENS: jnp.repeat(first_logits, self.beam_size, axis=0)})
        return self.grow(state, first, model)[0]

    def last(self, state: _State) -> Int[Array, "rows"]:
        """The newest token of each living hypothesis."""
        place = jnp.maximum(state.steps - 1, 0)[:, None, None]
        return jnp.take_along_axis(state.live.tokens, place, axis=2).reshape(-1)

    def grow(self, state: _State, told: Told, model: LanguageModel) -> tuple[_State, Moves]:
        """One more token: the new living and ended hypotheses, and each living one's parent."""
        logits = told.logits.reshape(*state.live.log_probs.shape, -1)
        written = Written(state.examples, state.live.tokens, state.steps)
        allowed = self.rules(jax.nn.log_softmax(logits, axis=-1), written, end=model.end)
        candidates, parents, tokens = continuations(
            state.steps, state.live, allowed, 2 * self.beam_size
        )
        ended = tokens == model.end
        log_probs = candidates.log_probs
        alive = jnp.where(ended, -jnp.inf, log_probs)
        living = candidates._replace(log_probs=alive, scores=alive)
        penalty = length_penalty(state.steps + 1, self.alpha)[:, None]
        scores = jnp.where(ended, log_probs / penalty, -jnp.inf)
        pool = concatenate(state.ended, candidates._replace(scores=scores))
        living, places = living.best(self.beam_size)
        grown = _State(state.examples, state.steps + 1, living, pool.best(self.beam_size)[0])
        finished = self.finished(state)

        def kept(old: Array, new: Array) -> Array:
            return jnp.where(finished.reshape(-1, *(1,) * (new.ndim - 1)), old, new)

        return jax.tree.map(kept, state, grown), Moves(parents=take(parents, places))

    def finished(self, state: _State) -> Bool[Array, "examples"]:
        """No living hypothesis can beat the worst that is kept as ended, or all are as long as they
        may be.
        """
        # No future score of a living hypothesis is higher: log-probabilities only fall, and no
        # penalty is larger than that of the greatest length.
        hope = state.live.scores[:, 0] / self._last_penalty
        done = (state.ended.scores[:, -1] >= hope) | (state.steps >= self.max_decode_length)
        return (state.examples.indices < 0) | done

    def result(self, state: _State) -> Decoded:
        """Ended hypotheses first."""
        live = state.live._replace(scores=state.live.log_probs / self._last_penalty)
        return ended_first(state.ended, live, self.num_decodes)

    @property
    def _last_penalty(self) -> Float[Array, ""]:
        return length_penalty(self.max_decode_length, self.alpha)


def ended_first(ended: Hypotheses, live: Hypotheses, num_decodes: int) -> Decoded:
    """The best that ended, whatever they score, living ones in the places that are left."""
    group = jnp.where(ended.scores > -jnp.inf, 0, 2)
    groups = jnp.concatenate([group, jnp.ones_like(group)], axis=1)
    both = concatenate(ended, live)
    order = jnp.argsort(groups, axis=1, stable=True)[:, :num_decodes]
    chosen = Hypotheses(*(take(part, order) for part in both))
    return Decoded(chosen.tokens, chosen.log_probs, chosen.scores)


def continuations(
    steps: Int[Array, "batch"],
    live: Hypotheses,
    log_probs: Float[Array, "batch beams vocab"],
    count: int,
) -> tuple[Hypotheses, Int[Array, "batch candidates"], Int[Array, "batch candidates"]]:
    """The `count` likeliest continuations, best first, the hypothesis that each continues, and its
    new token.
    """
    batch, beams, vocab = log_probs.shape
    total = (live.log_probs[..., None] + log_probs).reshape(batch, beams * vocab)
    log_probs, places = jax.lax.top_k(total, count)
    parents, tokens = places // vocab, (places % vocab).astype(jnp.int32)
    place = jnp.arange(live.tokens.shape[-1])[None, None] == steps[:, None, None]
    sequences = jnp.where(place, tokens[..., None], take(live.tokens, parents))
    return Hypotheses(sequences, log_probs, log_probs), parents, tokens


def nothing(batch: int, n: int, length: int, padding: int) -> Hypotheses:
    """`n` hypotheses of each example that do not exist yet."""
    impossible = jnp.full((batch, n), -jnp.inf)
    return Hypotheses(jnp.full((batch, n, length), padding, jnp.int32), impossible, impossible)


def take(values: Array, places: Int[Array, "batch n"]) -> Array:
    """Of each example what stands at its places."""
    places = places.reshape(places.shape + (1,) * (values.ndim - places.ndim))
    return jnp.take_along_axis(values, places, axis=1)


def concatenate(one: Hypotheses, other: Hypotheses) -> Hypotheses:
    """Both, the first ones first."""
    return Hypotheses(*(jnp.concatenate(parts, axis=1) for parts in zip(one, other, strict=True)))
