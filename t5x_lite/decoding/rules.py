"""What may be written next: forbidden and forced tokens, the same for every decoder.

Rules look at what a row has so far and take tokens away; what the model says of those that are left
stays as it is, and so do the log-probabilities that a decoder reports.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.examples import FREE, Examples


class Written(NamedTuple):
    """Rows so far, `n` for each example; `steps` are the tokens that each of its rows has."""

    examples: Examples
    tokens: Int[Array, "examples n length"]
    steps: Int[Array, "examples"]


@dataclasses.dataclass(frozen=True)
class Rules:
    """A function of logits, or log-probabilities, and of what is written: the same with minus
    infinity where a token may not follow. A forced token may always, and nothing else beside it.

    Args:
        first_forbidden: ids from this one on are never written.
        min_decode_length: before it, which counts the end token in, no row ends.
        no_repeat_ngram: no row has the same so many tokens twice; 0 lets them pass.
    """

    first_forbidden: int | None = None
    min_decode_length: int = 0
    no_repeat_ngram: int = 0

    def __call__(
        self,
        values: Float[Array, "examples n vocab"],
        written: Written,
        *,
        end: int,
    ) -> Float[Array, "examples n vocab"]:
        """`end` is the end token."""
        ids = jnp.arange(values.shape[-1])[None, None]
        allowed = values
        if self.first_forbidden is not None:
            allowed = jnp.where(ids < self.first_forbidden, allowed, -jnp.inf)
        if self.min_decode_length > 1:
            is_early = written.steps[:, None, None] + 1 < self.min_decode_length
            allowed = jnp.where((ids == end) & is_early, -jnp.inf, allowed)
        if self.no_repeat_ngram:
            repeats = _repeats(written, self.no_repeat_ngram, values.shape[-1])
            allowed = jnp.where(repeats, -jnp.inf, allowed)
        if written.examples.lengths is not None:
            left = (written.examples.lengths - written.steps)[:, None, None]
            is_asked = written.examples.lengths[:, None, None] != FREE
            # At its last token a row has to end, and at no other.
            is_wrong = is_asked & ((ids == end) != (left == 1))
            allowed = jnp.where(is_wrong, -jnp.inf, allowed)
        forced = written.examples.forced_at(written.steps)
        if forced is None:
            return allowed
        only = jnp.where(ids == forced[:, None, None], values, -jnp.inf)
        return jnp.where(forced[:, None, None] == FREE, allowed, only)


ANYTHING = Rules()


def rules_of(config: DecodingConfig, first_sentinel: int | None) -> Rules:
    """Those of a config, where sentinels are the ids from `first_sentinel` on."""
    return Rules(
        first_forbidden=first_sentinel if config.forbid_sentinels else None,
        min_decode_length=config.min_decode_length,
        no_repeat_ngram=config.no_repeat_ngram,
    )


def _repeats(written: Written, size: int, vocab: int) -> Bool[Array, "examples n vocab"]:
    """Which tokens would end a run of `size` tokens that the row has already."""
    tokens, steps = written.tokens, written.steps[:, None, None]
    starts = tokens.shape[-1] - size + 1
    shape = (*tokens.shape[:2], vocab)
    if starts < 1:
        return jnp.zeros(shape, bool)
    # The last size - 1 tokens of each row; where it has fewer, no run is as long.
    places = jnp.maximum(steps - size + 1 + jnp.arange(size - 1)[None, None], 0)
    newest = jnp.take_along_axis(tokens, jnp.broadcast_to(places, (*shape[:2], size - 1)), axis=-1)
    first = jnp.arange(starts)[None, None]
    is_run = jnp.broadcast_to(first + size <= steps, (*shape[:2], starts))
    for offset in range(size - 1):
        same = tokens[..., offset : offset + starts] == newest[..., offset, None]
        is_run = is_run & same
    ends = tokens[..., size - 1 :]
    rows, columns = (jnp.arange(count) for count in shape[:2])
    where = (rows[:, None, None], columns[None, :, None], jnp.where(is_run, ends, vocab))
    return jnp.zeros(shape, bool).at[where].set(True, mode="drop")
