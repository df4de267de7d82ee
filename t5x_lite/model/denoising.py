"""Targets that a bidirectional decoder is to restore, spoiled as SUNDAE does (Savinov et al. 2022,
section 3): a share of the tokens of each target, itself drawn evenly from 0 to 1.

    target                     ein Hund rennt .
    a share of 0.6, UNIFORM    ein rot  rennt Weg
    the same, MASK             ein [M]  rennt [M]
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from t5x_lite.errors import UserError
from t5x_lite.features.denoising_config import Noise
from t5x_lite.model import masks
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.network import segments_of

TARGETS = "decoder_target_tokens"


def check(model: ModelConfig, noise: Noise) -> None:
    """Refuses a model that cannot restore such targets.

    Raises:
        UserError: its decoder sees nothing behind a token, or it knows no mask.
    """
    if not model.denoises:
        raise UserError(
            "denoising asked of a model that writes token by token, or nothing: needed is an "
            "encoder and a decoder that sees all of its positions: "
            "--gin_file=models/architectures/denoiser.gin"
        )
    if noise is Noise.MASK and model.special.mask is None:
        raise UserError(
            "noise='mask' of a model without one: needed is the id of its vocabulary's mask, "
            "--gin.SpecialTokens.mask=..., or noise='uniform': --gin.NOISE='uniform'"
        )


def spoiled(
    model: ModelConfig,
    noise: Noise,
    batch: Mapping[str, Shaped[Array, "..."]],
    key: PRNGKeyArray,
) -> Int[Array, "batch length"]:
    """What the first step reads. Padding stays."""
    true, segments = batch[TARGETS], segments_of(batch, "decoder")
    of_share, of_places, of_tokens = jax.random.split(key, 3)
    # Every position draws one, and of an example that of its last position counts.
    shares = jax.random.uniform(of_share, true.shape)
    shares = jnp.take_along_axis(shares, masks.last_in(segments), axis=1)
    is_chosen = (jax.random.uniform(of_places, true.shape) < shares) & (segments > 0)
    if noise is Noise.MASK:
        assert model.special.mask is not None, "a model without one is refused"
        return jnp.where(is_chosen, model.special.mask, true)
    anything = jax.random.randint(of_tokens, true.shape, 0, model.vocab_size, true.dtype)
    return jnp.where(is_chosen, anything, true)
