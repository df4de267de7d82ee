"""What is asked of a model, and what it gives: known to models, losses and engines alike."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from t5x_lite.features.denoising_config import Denoising

# Heads give this name to scores of every token at every position.
TOKENS = "tokens"
# What a pooler makes of hidden states, among them.
POOLED = "pooled"
# What is inside a stack, behind the name of the stack and a slash: its input and the output of each
# layer, [layers + 1, batch, length, embed]; the scores of self-attention before their softmax, 0
# where a query does not see a key, [layers, batch, heads, length, length]; their mean over heads,
# [layers, batch, length, length].
STATES = "states"
SCORES = "self_attention/scores"
MEAN_SCORES = "self_attention/mean_scores"


class Wanted(NamedTuple):
    """Names of heads, and of stacks ("encoder", "decoder") whose last hidden states are wanted, or
    POOLED for what the pooler makes of them: a row for each position, meant at the first one of an
    example. `inside` are names such as "encoder/states", of what layers make on the way. With
    `denoising` a bidirectional decoder reads its targets spoiled, several times.

    What nothing wanted needs is not computed: an encoder alone runs where only it is asked for.
    """

    heads: tuple[str, ...] = (TOKENS,)
    hidden: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    denoising: Denoising | None = None

    def __or__(self, other: "Wanted") -> "Wanted":
        """All that either wants, once."""
        return Wanted(
            tuple(dict.fromkeys(self.heads + other.heads)),
            tuple(dict.fromkeys(self.hidden + other.hidden)),
            tuple(dict.fromkeys(self.inside + other.inside)),
            self.denoising or other.denoising,
        )


@runtime_checkable
class Head(Protocol):
    """Makes logits of hidden states; hashable, and equal to another one that makes the same."""

    @property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """Logical axes of each of the weights, of which the last may be absent."""

    def __call__(
        self,
        hidden: Float[Array, "batch length embed"],
        weights: tuple[Shaped[Array, "..."], ...],
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
    weights: tuple[Any, ...] = ()
    head: Head | None = None
    chunk: int | None = None

    def at(self, places: Int[Array, "batch places"]) -> Float[Array, "batch places vocab"]:
        """The logits of some positions of each row; others are not made."""
        hidden = jnp.take_along_axis(self.hidden, places[..., None], axis=1)
        return hidden if self.head is None else self.head(hidden, self.weights)

    def all(self) -> Float[Array, "batch length vocab"]:
        """The logits of all positions at once, however large."""
        return self.hidden if self.head is None else self.head(self.hidden, self.weights)


class Told(NamedTuple):
    """What was wanted of one position of each row while a sequence is written."""

    heads: Mapping[str, Float[Array, "rows outputs"]]
    hidden: Mapping[str, Float[Array, "rows embed"]] = {}

    @property
    def logits(self) -> Float[Array, "rows vocab"]:
        """Of the token that comes next."""
        return self.heads[TOKENS]


class Outputs(NamedTuple):
    """What was wanted, by name, and nothing else. `read` are the tokens that were read, where
    something took the places of those of the batch. `unrolled` are the scores of tokens of each
    step of denoising, of which `heads` have the first.
    """

    heads: Mapping[str, Scores]
    hidden: Mapping[str, Float[Array, "batch length embed"]]
    read: Int[Array, "batch length"] | None = None
    inside: Mapping[str, Float[Array, "layers batch ..."]] = {}
    unrolled: tuple[Scores, ...] = ()
