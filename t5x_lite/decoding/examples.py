"""What a decoder is told of each example besides the model's logits."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

# In `Examples`: nothing is asked for.
FREE = -1


class Examples(NamedTuple):
    """A row for each example of a batch.

    `indices` are their numbers among all examples, which decide what is drawn; -1 is filler, which
    is finished from the beginning. `forced` are the tokens that each has to begin with, FREE behind
    them. `temperature` is the one that each is sampled with, in place of the decoder's own.
    `lengths` are the tokens that each has to have, its end token counted in, or FREE.
    """

    indices: Int[Array, "examples"]
    forced: Int[Array, "examples forced"] | None = None
    temperature: Float[Array, "examples"] | None = None
    lengths: Int[Array, "examples"] | None = None

    def forced_at(self, steps: Int[Array, "examples"]) -> Int[Array, "examples"] | None:
        """The token that each example has to write behind `steps` others, or FREE."""
        if self.forced is None:
            return None
        width = self.forced.shape[1]
        place = jnp.minimum(steps, width - 1)[:, None]
        token = jnp.take_along_axis(self.forced, place, axis=1)[:, 0]
        return jnp.where(steps < width, token, FREE)
