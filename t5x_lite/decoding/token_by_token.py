"""Decoders that extend each row by itself, one chosen token at a time."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import TOKEN_LOGITS, Decoded, LanguageModel, log_prob_of
from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.search import STAY, Moves
from t5x_lite.features.outputs import TOKENS, Told, Wanted

# Logits, minus infinity where a token may not follow, and what is written, to a token for each row.
Choose = Callable[[Float[Array, "examples n vocab"], Written], Int[Array, "examples n"]]


class Rows(NamedTuple):
    """Sequences that grow; `steps` are the tokens that an example has, the padding behind the end
    of a row counted in.
    """

    examples: Examples
    steps: Int[Array, "examples"]
    tokens: Int[Array, "examples decodes length"]
    ended: Bool[Array, "examples decodes"]
    log_probs: Float[Array, "examples decodes"]


@dataclasses.dataclass(frozen=True)
class TokenByToken:
    """A `Search` of `num_decodes` sequences for each example that know nothing of each other.

    `max_decode_length` counts the end token in.
    """

    choose: Choose
    max_decode_length: int
    num_decodes: int = 1
    rules: Rules = ANYTHING
    wanted: Wanted = TOKEN_LOGITS

    @property
    def rows(self) -> int:
        """One for each sequence."""
        return self.num_decodes

    @property
    def max_steps(self) -> int:
        """One for each token."""
        return self.max_decode_length

    def begin(
        self,
        first_logits: Float[Array, "examples vocab"],
        examples: Examples,
        model: LanguageModel,
    ) -> Rows:
        """The first token of each sequence."""
        shape = (examples.indices.shape[0], self.num_decodes)
        empty = Rows(
            examples,
            jnp.zeros_like(examples.indices),
            jnp.full((*shape, self.max_decode_length), model.padding, jnp.int32),
            jnp.zeros(shape, bool),
            jnp.zeros(shape),
        )
        first = Told({TOKENS: jnp.repeat(first_logits, self.num_decodes, axis=0)})
        return self.grow(empty, first, model)[0]

    def last(self, state: Rows) -> Int[Array, "rows"]:
        """The newest token of each sequence."""
        place = jnp.maximum(state.steps - 1, 0)[:, None, None]
        return jnp.take_along_axis(state.tokens, place, axis=2).reshape(-1)

    def grow(self, state: Rows, told: Told, model: LanguageModel) -> tuple[Rows, Moves]:
        """One more token, padding behind the end."""
        logits = told.logits
        unfinished = ~self.finished(state)
        going = unfinished[:, None] & ~state.ended
        written = Written(state.examples, state.tokens, state.steps)
        allowed = self.rules(logits.reshape(*going.shape, -1), written, end=model.end)
        chosen = self.choose(allowed, written).astype(jnp.int32)
        log_probs = log_prob_of(logits, chosen.reshape(-1)).reshape(going.shape)
        place = jnp.arange(self.max_decode_length)[None, None] == state.steps[:, None, None]
        return Rows(
            state.examples,
            state.steps + unfinished,
            jnp.where(place & going[..., None], chosen[..., None], state.tokens),
            state.ended | (going & (chosen == model.end)),
            state.log_probs + jnp.where(going, log_probs, 0.0),
        ), STAY

    def finished(self, state: Rows) -> Bool[Array, "examples"]:
        """All sequences have ended, or are as long as they may be."""
        full = state.steps >= self.max_decode_length
        return (state.examples.indices < 0) | full | jnp.all(state.ended, axis=1)

    def result(self, state: Rows) -> Decoded:
        """The likeliest sequence first."""
        order = jnp.argsort(state.log_probs, axis=1, descending=True, stable=True)
        log_probs = jnp.take_along_axis(state.log_probs, order, axis=1)
        tokens = jnp.take_along_axis(state.tokens, order[..., None], axis=1)
        return Decoded(tokens, log_probs, log_probs)
