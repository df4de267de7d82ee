"""What is asked of a model, and what it gives: known to models, losses and engines alike."""

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Array, Float

# Heads give this name to float32 scores of every token at every position of the decoder.
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


class Outputs(NamedTuple):
    """What was wanted, by name, and nothing else."""

    heads: Mapping[str, Float[Array, "batch length outputs"]]
    hidden: Mapping[str, Float[Array, "batch length embed"]]
