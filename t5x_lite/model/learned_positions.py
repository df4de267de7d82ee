"""Learned vectors that are added to those of tokens: of where they stand (Vaswani et al. 2017,
GPT-2), and of what kind they are.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model.config import LearnedPositionsConfig
from t5x_lite.model.initializer import Initializer


class LearnedPositions(nnx.Module):
    """A table of one vector for each position."""

    def __init__(
        self,
        config: LearnedPositionsConfig,
        width: int,
        axis: str,
        *,
        init: Initializer,
        key: PRNGKeyArray,
    ):
        self.config = config
        self.embedding = init.vectors(
            key, (config.num_rows, width), axes=("positions", axis), are_positions=True
        )

    def __call__(self, positions: Int[Array, "rows length"]) -> Float[Array, "rows length embed"]:
        """The float32 vector of each position. Only padding may lie behind the last one: whoever
        makes batches refuses examples that are longer.
        """
        rows = positions + self.config.unused
        return jnp.take(self.embedding[...], rows, axis=0, mode="clip")


class TokenTypes(nnx.Module):
    """A learned vector for each kind of token, such as those of a first and of a second text
    (Devlin et al. 2019).
    """

    def __init__(self, count: int, width: int, axis: str, *, init: Initializer, key: PRNGKeyArray):
        self.embedding = init.vectors(key, (count, width), axes=("token_types", axis))

    def __call__(self, types: Int[Array, "rows length"]) -> Float[Array, "rows length embed"]:
        """The float32 vector of each token's type."""
        return jnp.take(self.embedding[...], types, axis=0, mode="clip")
