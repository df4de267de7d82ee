"""Positions as learned vectors that are added to those of tokens (Vaswani et al. 2017, GPT-2)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model.initializer import Initializer


class LearnedPositions(nnx.Module):
    """A table of one vector for each position."""

    def __init__(self, max_length: int, embed_dim: int, *, init: Initializer, key: PRNGKeyArray):
        self.embedding = init.vectors(
            key, (max_length, embed_dim), axes=("positions", "embed"), are_positions=True
        )

    def __call__(self, positions: Int[Array, "rows length"]) -> Float[Array, "rows length embed"]:
        """The float32 vector of each position. Only padding may lie behind the last one: whoever
        makes batches refuses examples that are longer.
        """
        return jnp.take(self.embedding[...], positions, axis=0, mode="clip")
