"""T5's layer norm: rescaling only, without mean subtraction and bias."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from t5x_lite.model import parameters

_EPSILON = 1e-6


class RMSNorm(nnx.Module):
    """Divides by the root mean square, in float32 whatever the activations are."""

    def __init__(self, embed_dim: int):
        self.scale = parameters.ones((embed_dim,), axes=("embed",))

    def __call__(self, x: Float[Array, "batch length embed"]) -> Float[Array, "batch length embed"]:
        """`x` at a root mean square of 1, times the learned scale, in the dtype of `x`."""
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
        scaled = wide * jax.lax.rsqrt(mean_square + _EPSILON) * self.scale[...][None, None, :]
        return scaled.astype(x.dtype)
