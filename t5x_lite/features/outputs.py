"""What is asked of a model, and what it gives: known to models, losses and engines alike."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

# Heads give this name to scores of every token at every position of the decoder.
TOKENS = "tokens"


class Wanted(NamedTuple):
    """Names of heads, and of stacks ("encoder", "decoder") whose last hidden states are wanted.

    What nothing wanted needs is not computed: an encoder alone runs where only it is asked for.
    """

    heads: tuple[str, ...] = (TOKENS,)
    hidden: tuple[str, ...] = ()

    def __or__(self, other: "Wanted") -> "Wanted":
        """All that either wants, once."""
        return Wanted(
            tuple(dict.fromkeys(self.heads + other.heads)),
            tuple(dict.fromkeys(self.hidden + other.hidden)),
        )


@runtime_checkable
class Head(Protocol):
    """Makes logits of hidden states; hashable, and equal to another one that makes the same."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Logical axes of the weights."""

    def __call__(
        self, hidden: Float[Array, "batch length embed"], weights: Float[Array, "*copies _in _out"]
    ) -> Float[Array, "batch length outputs"]:
        """Float32 logits; weights may have an axis in front, for each row of `hidden` its own."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["hidden", "weights"],
    meta_fields=["head", "chunk"],
)
@dataclasses.dataclass(frozen=True)
class Scores:
    """Float32 logits [batch, length, vocab] of every position. Without a head `hidden` holds them;
    with one they are too many to be there at once, and `partitioning.chunks` makes them piece by
    piece.

    `chunk` is the number of positions whose logits a device may hold at a time.
    """

    hidden: Any
    weights: Any = None
    head: Head | None = None
    chunk: int | None = None

    def all(self) -> Float[Array, "batch length vocab"]:
        """The logits of all positions at once, however large."""
        return self.hidden if self.head is None else self.head(self.hidden, self.weights)


class Outputs(NamedTuple):
    """What was wanted, by name, and nothing else."""

    heads: Mapping[str, Scores]
    hidden: Mapping[str, Float[Array, "batch length embed"]]
