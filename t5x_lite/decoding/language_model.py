"""What every decoder needs of a model, and what every decoder gives."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.features.outputs import TOKENS, Told, Wanted

TOKEN_LOGITS = Wanted()
# Feeds one token per row and gives the logits of the next ones; the second value is the model's own
# memory (its key-value cache), which a decoder only passes on.
Advance = Callable[[Int[Array, "rows"], Any], tuple[Float[Array, "rows vocab"], Any]]
# The same, with all that is wanted of the model behind that token.
Tell = Callable[[Int[Array, "rows"], Any, Wanted], tuple[Told, Any]]
# The memory with every row repeated n times, neighbours in the new order.
Repeat = Callable[[Any, int], Any]
# The memory with the n rows of each example replaced by the n of them that are named.
Select = Callable[[Any, Int[Array, "batch n"]], Any]
# The memory of each row without its last tokens, so many for each.
Rewind = Callable[[Any, Int[Array, "rows"]], Any]


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """A model that scores next tokens and ends with the token `end`, behind which `padding` fills;
    `repeat` and `select` serve several outputs per input, `rewind` those who go back, `tell` those
    who want other heads or hidden states too.
    """

    advance: Advance
    end: int
    padding: int
    repeat: Repeat | None = None
    select: Select | None = None
    rewind: Rewind | None = None
    tell: Tell | None = None

    def told(self, tokens: Int[Array, "rows"], memory: Any, wanted: Wanted) -> tuple[Told, Any]:
        """What is wanted behind one more token of each row, and the memory."""
        if wanted != TOKEN_LOGITS:
            assert self.tell is not None, "more than logits is wanted"
            return self.tell(tokens, memory, wanted)
        logits, memory = self.advance(tokens, memory)
        return Told({TOKENS: logits}), memory


class Decoded(NamedTuple):
    """Sequences, best first, and how likely the model holds them to be.

    Behind a row's end token stands padding. `log_probs` is the sum over the row's tokens, the end
    token included, of their log-probabilities under the model, whatever temperature, filter or ban
    the choice went through. `scores` is what the sequences are ordered by: beam search divides
    `log_probs` by its length penalty, an exact search says what none exceeds, the other strategies
    take them as they are.
    """

    tokens: Int[Array, "batch decodes length"]
    log_probs: Float[Array, "batch decodes"]
    scores: Float[Array, "batch decodes"]


def log_prob_of(
    logits: Float[Array, "rows vocab"], tokens: Int[Array, "rows"]
) -> Float[Array, "rows"]:
    """The log-probability of one token per row."""
    chosen = jnp.take_along_axis(logits, tokens[:, None], axis=-1)[:, 0]
    return chosen - jax.nn.logsumexp(logits, axis=-1)
