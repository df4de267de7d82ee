"""A stack of layers: weights with a leading `layers` axis, built and run by loops."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.model import maxima
from t5x_lite.model.block import Block, LayerCache, Surroundings
from t5x_lite.model.config import ComputeConfig, Remat, StackConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.norms import RMSNorm
from t5x_lite.model.position_bias import RelativePositionBias
from t5x_lite.partitioning.constrain import constrain


class Stack(nnx.Module):
    """An encoder's or decoder's weights.

    How they are read (visibility, bucket rule, with or without cross-attention) is an argument,
    because the shared architecture reads one stack's weights in two ways.
    """

    def __init__(self, config: StackConfig, embed_dim: int, *, key: PRNGKeyArray):
        layers_key, bias_key = jax.random.split(key)
        bias = config.relative_bias
        if not bias.per_layer:
            self.relpos_bias = RelativePositionBias(
                config.block.attention.num_heads, bias.num_buckets, key=bias_key
            )
        # A loop, not vmap: the values are the same and the program compiles in half the time.
        self.layers = jax.lax.map(
            lambda key: Block(config.block, bias, embed_dim, key=key),
            jax.random.split(layers_key, config.depth),
        )
        self.final_norm = RMSNorm(embed_dim)

    def __call__(
        self,
        x: Float[Array, "batch length embed"],
        config: StackConfig,
        mask: AttentionMask,
        *,
        compute: ComputeConfig,
        dropout: Dropout,
        encoded: Float[Array, "batch enc_len embed"] | None = None,
        cross_mask: AttentionMask | None = None,
        cache: LayerCache | None = None,
        keep_cache: bool = False,
    ) -> tuple[Float[Array, "batch length embed"], LayerCache | None]:
        """The stack's output and, if asked for, the keys and values that its layers saw."""
        shared_bias = None
        if not config.relative_bias.per_layer:
            shared_bias = self.relpos_bias(
                mask.q_positions, mask.kv_positions, config.relative_bias
            )
        around = Surroundings(
            mask=mask,
            relative_bias=config.relative_bias,
            position_bias=shared_bias,
            encoded=encoded,
            cross_mask=cross_mask,
        )

        def run_layer(
            x: Array, inputs: tuple[Block, Array, LayerCache | None]
        ) -> tuple[Array, tuple[LayerCache | None, maxima.Maxima]]:
            layer, index, layer_cache = inputs
            x = constrain(x, ("batch", "length", "embed"))
            with maxima.apart() as found:
                x, seen = layer(x, around, cache=layer_cache, dropout=dropout.fold(index))
            return x, (seen if keep_cache else None, found)

        maxima.observe("input", x)
        x, (seen, found) = jax.lax.scan(
            _rematerialized(run_layer, compute),
            dropout(x, "stack_input"),
            (self.layers, jnp.arange(config.depth), cache),
            unroll=min(compute.scan_unroll, config.depth),
        )
        maxima.add(found, "layers")
        x = self.final_norm(x)
        maxima.observe("output", x)
        return dropout(x, "stack_output"), seen


def _rematerialized(run_layer: Callable, compute: ComputeConfig) -> Callable:
    """`run_layer` with what the backward pass should recompute."""
    if compute.remat is Remat.NONE:
        return run_layer
    policy = None
    if compute.remat is Remat.MINIMAL:
        policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
    # Inside a loop XLA cannot undo the recomputation; between unrolled layers it could.
    return jax.checkpoint(run_layer, policy=policy, prevent_cse=compute.scan_unroll > 1)
