"""What a decoder is, and the loop that runs it.

A decoder keeps a state of its own for each example, so that examples of one batch may stand at
different tokens: one that has ended can be replaced while its neighbours go on.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import Decoded, LanguageModel
from t5x_lite.features.outputs import Told, Wanted

# A NamedTuple of arrays that all begin with the examples, with `examples` among them.
State = Any


class Moves(NamedTuple):
    """What becomes of the model's memory: which row of its example each row goes on from, unless
    that is itself, and how many tokens each row goes back, unless none.
    """

    parents: Int[Array, "examples n"] | None = None
    back: Int[Array, "rows"] | None = None


STAY = Moves()


@runtime_checkable
class Search(Protocol):
    """How sequences grow, whatever the model."""

    @property
    def max_decode_length(self) -> int:
        """Tokens written at most, the end token included."""

    @property
    def max_steps(self) -> int:
        """How often the model is asked at most."""

    @property
    def rows(self) -> int:
        """Rows that the model advances for each example."""

    @property
    def wanted(self) -> Wanted:
        """Of the model, behind each token."""

    def begin(
        self,
        first_logits: Float[Array, "examples vocab"],
        examples: Examples,
        model: LanguageModel,
    ) -> State:
        """The state with the first token."""

    def last(self, state: State) -> Int[Array, "rows"]:
        """What the model reads next: the newest token of each row."""

    def grow(self, state: State, told: Told, model: LanguageModel) -> tuple[State, Moves]:
        """One more token for each example that is not finished, the others as they were."""

    def finished(self, state: State) -> Bool[Array, "examples"]:
        """Which examples no further step would change."""

    def result(self, state: State) -> Decoded:
        """The outputs of all examples, of those that are not finished too."""


def decode(
    search: Search,
    first_logits: Float[Array, "examples vocab"],
    cache: Any,
    model: LanguageModel,
    *,
    examples: Examples,
) -> Decoded:
    """The outputs for examples that begin and end together.

    Args:
        first_logits: what the model says of the first token.
        cache: the model's state behind those logits, a row for each example.
        model: one step of the model.
        examples: what is known of each.
    """
    state, cache = begin(search, first_logits, cache, model, examples=examples)
    return search.result(run(search, state, cache, model, left=0)[0])


def begin(
    search: Search,
    first_logits: Float[Array, "examples vocab"],
    cache: Any,
    model: LanguageModel,
    *,
    examples: Examples,
) -> tuple[State, Any]:
    """The state with the first token, and the cache with as many rows as the search has."""
    state = search.begin(first_logits, examples, model)
    if search.rows == 1:
        return state, cache
    assert model.repeat is not None, "several rows of an example need its memory repeated"
    return state, model.repeat(cache, search.rows)


def run(
    search: Search, state: State, cache: Any, model: LanguageModel, *, left: Int[Array, ""] | int
) -> tuple[State, Any]:
    """The state and the cache once at most `left` examples are unfinished."""

    def is_left(state: State) -> Bool[Array, ""]:
        return jnp.sum(~search.finished(state)) > left

    # The number of steps is bounded by itself, so that a program says how long it runs at most.
    def goes_on(carried: tuple) -> Bool[Array, ""]:
        length, goes_on, *_ = carried
        return (length < search.max_steps) & goes_on

    def step(carried: tuple) -> tuple:
        length, _, state, cache = carried
        # The model reads a token only if another is to follow, so the cache of an example never
        # needs a position beyond max_decode_length; what it writes for finished ones is not read.
        told, cache = model.told(search.last(state), cache, search.wanted)
        state, moves = search.grow(state, told, model)
        return length + 1, is_left(state), state, _moved(cache, moves, model)

    # Each example has a token at least.
    carried = (jnp.int32(1), is_left(state), state, cache)
    return jax.lax.while_loop(goes_on, step, carried)[2:]


def _moved(cache: Any, moves: Moves, model: LanguageModel) -> Any:
    if moves.parents is not None:
        assert model.select is not None, "rows of the memory move"
        cache = model.select(cache, moves.parents)
    if moves.back is not None:
        assert model.rewind is not None, "the memory goes back"
        cache = model.rewind(cache, moves.back)
    return cache
