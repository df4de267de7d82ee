"""The likeliest sequence among those with an attribute, by beams that are judged as they grow.

Yoshida et al. (2024, MAP's not dead yet), section 4: a hypothesis x scores log p(x) + log q(a | x),
where q is what the model itself tells of all that begins with x. What ends counts by log p alone,
and only if it has the attribute. With q = 1 and two candidates it is beam search without a length
penalty.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.beam import (
    Hypotheses,
    concatenate,
    continuations,
    ended_first,
    nothing,
    take,
)
from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import TOKEN_LOGITS, Decoded, LanguageModel
from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.search import Moves
from t5x_lite.features.attributes import holds
from t5x_lite.features.config import Attribute
from t5x_lite.features.outputs import TOKENS, Told, Wanted

ATTRIBUTE = "attribute"


class _State(NamedTuple):
    """`live` are the candidates that the model reads next, likeliest first, all of them `steps`
    tokens long.
    """

    examples: Examples
    steps: Int[Array, "examples"]
    live: Hypotheses
    ended: Hypotheses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalBeamSearch:
    """A `Search` of the `num_decodes` best hypotheses that end and have the attribute; where there
    are fewer, the best living ones fill the places behind them.

    Args:
        beam_size: hypotheses that live on once they are judged.
        candidates: continuations that are judged for each of them.
        attribute: what is asked for; one that is not exact is told by the head of that name.
        max_decode_length: tokens written at most, the end token included.
        num_decodes: at most `beam_size`.
        rules: what may be written.
    """

    beam_size: int
    candidates: int
    attribute: Attribute
    max_decode_length: int
    num_decodes: int = 1
    rules: Rules = ANYTHING

    @property
    def rows(self) -> int:
        """One for each candidate."""
        return self.beam_size * self.candidates

    @property
    def max_steps(self) -> int:
        """One for each token."""
        return self.max_decode_length

    @property
    def wanted(self) -> Wanted:
        """The judge's scores too, where one is needed."""
        return TOKEN_LOGITS if self.attribute.is_exact else Wanted((TOKENS, ATTRIBUTE))

    def begin(
        self,
        first_logits: Float[Array, "examples vocab"],
        examples: Examples,
        model: LanguageModel,
    ) -> _State:
        """The first token of each candidate."""
        count, length = examples.indices.shape[0], self.max_decode_length
        live = nothing(count, self.rows, length, model.padding)
        # One living hypothesis, the empty one: its copies would all grow alike.
        root = live.log_probs.at[:, 0].set(0.0)
        live = live._replace(log_probs=root, scores=root)
        ended = nothing(count, self.beam_size, length, model.padding)
        state = _State(examples, jnp.zeros_like(examples.indices), live, ended)
        logits = jnp.repeat(first_logits, self.rows, axis=0)
        # Nothing is judged before the first token: all would be judged alike.
        judged = Told({TOKENS: logits, ATTRIBUTE: jnp.zeros((logits.shape[0], 1))})
        return self.grow(state, judged, model)[0]

    def last(self, state: _State) -> Int[Array, "rows"]:
        """The newest token of each candidate."""
        place = jnp.maximum(state.steps - 1, 0)[:, None, None]
        return jnp.take_along_axis(state.live.tokens, place, axis=2).reshape(-1)

    def grow(self, state: _State, told: Told, model: LanguageModel) -> tuple[_State, Moves]:
        """The best candidates, as they are judged, with one more token each."""
        beams, places = self._judged(state, told).best(self.beam_size)
        logits = take(told.logits.reshape(*state.live.log_probs.shape, -1), places)
        written = Written(state.examples, beams.tokens, state.steps)
        log_probs = self.rules(jax.nn.log_softmax(logits, axis=-1), written, end=model.end)
        grown, parents = _grown(state.steps, beams, log_probs, self.rows)
        ends = _newest(grown.tokens, state.steps) == model.end
        pool = concatenate(state.ended, self._ended(state, grown, ends, model))
        alive = jnp.where(ends, -jnp.inf, grown.log_probs)
        live, order = grown._replace(log_probs=alive, scores=alive).best(self.rows)
        new = _State(state.examples, state.steps + 1, live, pool.best(self.beam_size)[0])
        finished = self.finished(state)

        def kept(old: Array, new: Array) -> Array:
            return jnp.where(finished.reshape(-1, *(1,) * (new.ndim - 1)), old, new)

        moves = Moves(parents=take(take(places, parents), order))
        return jax.tree.map(kept, state, new), moves

    def finished(self, state: _State) -> Bool[Array, "examples"]:
        """No living hypothesis can beat the worst that is kept as ended, or all are as long as they
        may be.
        """
        hope = jnp.max(state.live.log_probs, axis=1)
        done = (state.ended.scores[:, -1] >= hope) | (state.steps >= self.max_decode_length)
        return (state.examples.indices < 0) | done

    def result(self, state: _State) -> Decoded:
        """Ended hypotheses first."""
        live, _ = state.live.best(self.beam_size)
        return ended_first(state.ended, live, self.num_decodes)

    def _judged(self, state: _State, told: Told) -> Hypotheses:
        """All that live, by log p(x) + log q(a | x)."""
        if self.attribute.is_exact:
            return state.live
        log_q = jax.nn.log_sigmoid(told.heads[ATTRIBUTE][:, 0])
        return state.live._replace(
            scores=state.live.log_probs + log_q.reshape(state.live.log_probs.shape)
        )

    def _ended(
        self,
        state: _State,
        grown: Hypotheses,
        ends: Bool[Array, "examples rows"],
        model: LanguageModel,
    ) -> Hypotheses:
        """Those that end and have the attribute, by log p."""
        length = self.max_decode_length
        is_written = jnp.arange(length)[None, None] <= state.steps[:, None, None]
        segments = jnp.broadcast_to(is_written, grown.tokens.shape).astype(jnp.int32)
        tokens = grown.tokens.reshape(-1, length)
        has_it = holds(self.attribute, tokens, segments.reshape(-1, length), end=model.end)[:, 0]
        counts = ends & has_it.reshape(ends.shape)
        return grown._replace(scores=jnp.where(counts, grown.log_probs, -jnp.inf))


def _grown(
    steps: Int[Array, "examples"],
    beams: Hypotheses,
    log_probs: Float[Array, "examples beams vocab"],
    count: int,
) -> tuple[Hypotheses, Int[Array, "examples candidates"]]:
    """The continuations that are likeliest as their beams are judged, and these beams."""
    judged = beams._replace(log_probs=beams.scores)
    found, parents, tokens = continuations(steps, judged, log_probs, count)
    vocab = log_probs.shape[-1]
    own = take(log_probs.reshape(len(steps), -1), parents * vocab + tokens)
    return found._replace(log_probs=take(beams.log_probs, parents) + own), parents


def _newest(
    tokens: Int[Array, "examples n length"], steps: Int[Array, "examples"]
) -> Int[Array, "examples n"]:
    """The token of each that stands behind `steps` others."""
    return jnp.take_along_axis(tokens, steps[:, None, None], axis=2)[..., 0]
