"""Prompt tuning (Lester et al. 2021): learned vectors in front of the inputs; the rest is frozen.

An encoder reads prompt and inputs; a decoder-only model its start token, the prompt and the inputs.
Whoever makes rows leaves room in front of the inputs of each example, packed or not, because how
many examples there are is not known when a program is compiled:

    r r in in r r in .   ->   P P in in P P in .
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model import masks, parameters


class Prompt(nnx.Module):
    """The learned vectors; they begin as random as token vectors, or as some of those."""

    def __init__(self, prompt_length: int, embed_dim: int, *, key: PRNGKeyArray):
        self.embedding = parameters.normal(
            key, (prompt_length, embed_dim), axes=("prompt_length", "embed"), stddev=1.0
        )

    def fill(
        self,
        x: Float[Array, "batch length embed"],
        segments: Int[Array, "batch length"],
        *,
        at: int,
    ) -> Float[Array, "batch length embed"]:
        """The sequences with the prompt at the positions from `at` on of each example."""
        index = masks.positions_in(segments) - at
        length = self.embedding.shape[0]
        is_prompt = (index >= 0) & (index < length) & (segments > 0)
        vectors = jnp.take(self.embedding[...], jnp.clip(index, 0, length - 1), axis=0)
        return jnp.where(is_prompt[:, :, None], vectors.astype(x.dtype), x)
