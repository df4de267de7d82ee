"""A stack of layers: weights with a leading `layers` axis, built and run by loops."""

import dataclasses
import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model import execution, maxima
from t5x_lite.model.attend import choice
from t5x_lite.model.block import Block, LayerCache, Seen, StackContext, copies
from t5x_lite.model.choices import LAYER_INPUT
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    InitConfig,
    LearnedPositionsConfig,
    StackConfig,
)
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.learned_positions import LearnedPositions
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.norms import make_norm
from t5x_lite.model.position_bias import RelativePositionBias
from t5x_lite.model.rematerialization import named, rematerialized
from t5x_lite.partitioning.constrain import constrain


class Stack(nnx.Module):
    """An encoder's or decoder's weights.

    How they are read (visibility, bucket rule, with or without cross-attention) is an argument,
    because the shared architecture reads one stack's weights in two ways.
    """

    def __init__(self, config: StackConfig, embed_dim: int, *, init: InitConfig, key: PRNGKeyArray):
        layers_key, positions_key = jax.random.split(key)
        initializer = Initializer(init, config.num_residual)
        positions, relative = config.positions, config.relative_bias
        if isinstance(positions, LearnedPositionsConfig):
            self.position_embedder = LearnedPositions(
                positions.max_length, embed_dim, init=initializer, key=positions_key
            )
        if relative is not None and not relative.per_layer:
            self.relpos_bias = RelativePositionBias(
                config.block.attention.num_heads, relative.num_buckets, key=positions_key
            )
        # A loop, not vmap: the values are the same and the program compiles in half the time.
        self.layers = jax.lax.map(
            lambda key: Block(config.block, relative, embed_dim, init=initializer, key=key),
            jax.random.split(layers_key, config.depth),
        )
        self.final_norm = make_norm(config.block.norm, embed_dim)

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
        cache: LayerCache | list[LayerCache] | None = None,
        keep_cache: bool = False,
    ) -> tuple[Float[Array, "batch length embed"], Any]:
        """The stack's output and, if asked for, the keys and values that its layers saw."""
        compute = choice.while_decoding(compute) if cache is not None else compute
        relative, shared_bias = config.relative_bias, None
        if relative is not None and not relative.per_layer:
            shared_bias = choice.prepared(self.relpos_bias(relative), mask, compute)
        if isinstance(config.positions, LearnedPositionsConfig):
            x = x + self.position_embedder(mask.token_positions).astype(x.dtype)
        context = StackContext(
            mask=mask,
            relative_bias=relative,
            position_bias=shared_bias,
            encoded=None if encoded is None else copies(encoded, config.block),
            cross_mask=cross_mask,
            compute=compute,
        )

        def run_layer(
            x: Array, inputs: tuple[Block, Array, LayerCache | None]
        ) -> tuple[Array, tuple[Seen | LayerCache | None, maxima.Maxima]]:
            layer, index, layer_cache = inputs
            x = named(constrain(x, ("batch", "length", "embed")), LAYER_INPUT)
            own = dataclasses.replace(context, mask=_mask_of_layer(config, mask, index))
            with maxima.apart() as found:
                x, seen = layer(x, own, cache=layer_cache, dropout=dropout.fold(index))
            return x, (seen if keep_cache else None, found)

        maxima.observe("input", x)
        x = dropout(x, "stack_input")
        if isinstance(self.layers, nnx.List):
            caches = [None] * config.depth if cache is None else cache
            assert isinstance(caches, list), "layers are apart where their caches are"
            x, (seen, found) = _one_by_one(run_layer, x, list(self.layers), caches)
        else:
            unroll = min(execution.unroll(compute, self._layer_size), config.depth)
            x, (seen, found) = jax.lax.scan(
                rematerialized(run_layer, compute, unroll=unroll),
                x,
                (self.layers, jnp.arange(config.depth), cache),
                unroll=unroll,
            )
        maxima.add(found, "layers")
        x = self.final_norm(x)
        maxima.observe("output", x)
        return dropout(x, "stack_output"), seen

    @property
    def _layer_size(self) -> int:
        """Parameters of a layer."""
        leaves = jax.tree.leaves(self.layers)
        return sum(leaf.size // leaf.shape[0] for leaf in leaves)

    def apart(self) -> list[Block]:
        """Its layers as decoding reads them, each with weights of its own."""
        depth = len(jax.tree.leaves(self.layers)[0])
        found = []
        for number in range(depth):
            layer = jax.tree.map(operator.itemgetter(number), self.layers)
            layer.put_in_rows()
            found.append(layer)
        return found


def _mask_of_layer(
    config: StackConfig, mask: AttentionMask, index: Int[Array, ""]
) -> AttentionMask:
    """A layer's own: where layers differ, the loop over them tells which it is, and all of them
    stay one program.
    """
    if config.window is None or config.window_every == 1:
        return mask
    every = config.window_every
    return dataclasses.replace(mask, is_local=index % every == every - 1)


def _one_by_one(
    run_layer: Callable, x: Array, layers: Sequence[Block], caches: Sequence[LayerCache | None]
) -> tuple[Array, tuple[list[Any], maxima.Maxima]]:
    """What a loop over the stack gives, of layers and caches that stand apart."""
    seen, found = [], []
    for index, (layer, cache) in enumerate(zip(layers, caches, strict=True)):
        x, (own, observed) = run_layer(x, (layer, jnp.int32(index), cache))
        seen.append(own)
        found.append(observed)
    return x, (seen, jax.tree.map(lambda *each: jnp.stack(each), *found))
