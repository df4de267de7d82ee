"""What normalizes a sub-layer, in float32 whatever the activations are."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from t5x_lite.model import parameters
from t5x_lite.model.config import NormConfig, NormKind


class RMSNorm(nnx.Module):
    """T5's layer norm: divides by the root mean square, without mean subtraction and bias."""

    def __init__(self, config: NormConfig, width: int, axis: str):
        self.config = config
        self.scale = parameters.ones((width,), axes=(axis,))

    def __call__(self, x: Float[Array, "batch length embed"]) -> Float[Array, "batch length embed"]:
        """`x` at a root mean square of 1, times the learned scale, in the dtype of `x`."""
        wide = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(wide), axis=-1, keepdims=True)
        inverse = jax.lax.rsqrt(mean_square + self.config.epsilon)
        scaled = wide * inverse * self.scale[...][None, None, :]
        return scaled.astype(x.dtype)


class LayerNorm(nnx.Module):
    """Ba et al. (2016): mean 0 and variance 1, then a learned scale and bias."""

    def __init__(self, config: NormConfig, width: int, axis: str):
        self.config = config
        self.scale = parameters.ones((width,), axes=(axis,))
        self.bias = parameters.zeros((width,), axes=(axis,))

    def __call__(self, x: Float[Array, "batch length embed"]) -> Float[Array, "batch length embed"]:
        """`x` normalized over `embed`, in the dtype of `x`."""
        wide = x.astype(jnp.float32)
        centered = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centered), axis=-1, keepdims=True)
        normalized = centered * jax.lax.rsqrt(variance + self.config.epsilon)
        scaled = normalized * self.scale[...][None, None, :] + self.bias[...][None, None, :]
        return scaled.astype(x.dtype)


_KINDS: Mapping[NormKind, Callable[[NormConfig, int, str], RMSNorm | LayerNorm]] = {
    NormKind.RMS: RMSNorm,
    NormKind.LAYER: LayerNorm,
}


def make_norm(config: NormConfig, width: int, axis: str = "embed") -> RMSNorm | LayerNorm:
    """The norm that a layer's config asks for, over a logical axis of this width."""
    return _KINDS[config.kind](config, width, axis)
