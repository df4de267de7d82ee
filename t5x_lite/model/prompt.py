"""Prompt tuning (Lester et al. 2021): learned vectors in front of the inputs; the rest is frozen.

An encoder reads prompt and inputs; a decoder-only model its start token, the prompt and the inputs:

    unpacked   in in in .         ->   P P in in in .       put in here: `insert`
    packed     r r in in r r in   ->   P P in in P P in     into room that the data made: `fill`

Only a packed row needs help from the data: each of its examples needs a prompt of its own, and how
many there are is not known when a program is compiled.
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from t5x_lite.errors import UserError
from t5x_lite.model import parameters


class Prompt(nnx.Module):
    """The learned vectors; they begin as random as token vectors, or as some of those."""

    def __init__(self, prompt_length: int, embed_dim: int, *, key: PRNGKeyArray):
        self.embedding = parameters.normal(
            key, (prompt_length, embed_dim), axes=("prompt_length", "embed"), stddev=1.0
        )

    def insert(
        self, x: Float[Array, "batch length embed"], *, at: int
    ) -> Float[Array, "batch longer embed"]:
        """The sequences with the prompt in front of position `at`."""
        prompt = jnp.broadcast_to(
            self.embedding[...].astype(x.dtype)[None], (len(x), *self.embedding.shape)
        )
        return jnp.concatenate([x[:, :at], prompt, x[:, at:]], axis=1)

    def fill(
        self,
        x: Float[Array, "batch length embed"],
        positions: Int[Array, "batch length"] | None,
        segments: Int[Array, "batch length"],
        *,
        at: int,
    ) -> Float[Array, "batch length embed"]:
        """The sequences with the prompt at the positions from `at` on of each example.

        Raises:
            UserError: the batch does not tell positions.
        """
        if positions is None:
            raise UserError(
                "packed rows with a prompt need encoder_positions and decoder_positions, which "
                "tell where each example begins; this batch has none."
            )
        index = positions - at
        length = self.embedding.shape[0]
        is_prompt = (index >= 0) & (index < length) & (segments > 0)
        vectors = jnp.take(self.embedding[...], jnp.clip(index, 0, length - 1), axis=0)
        return jnp.where(is_prompt[:, :, None], vectors.astype(x.dtype), x)


def stretch(
    feature: Shaped[Array, "batch length"] | None, prompt_length: int
) -> Shaped[Array, "batch longer"] | None:
    """A feature of each position, in which the prompt after position 0 is as position 0 is."""
    if feature is None:
        return None
    return jnp.concatenate([jnp.repeat(feature[:, :1], prompt_length, axis=1), feature], axis=1)
