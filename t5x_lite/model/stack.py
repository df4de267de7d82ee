"""A stack of layers: weights with a leading `layers` axis, built and run by loops."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.features.outputs import MEAN_SCORES, SCORES, STATES
from t5x_lite.model import execution, maxima, relative_keys, rounding, streams, taps
from t5x_lite.model.attend import choice
from t5x_lite.model.block import SHARED, Block, LayerCache, Part, Seen, StackContext, copies
from t5x_lite.model.choices import LAYER_INPUT, LayerSharing
from t5x_lite.model.collected import Found
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    LearnedPositionsConfig,
    ModelConfig,
    StackConfig,
)
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.learned_positions import LearnedPositions, TokenTypes
from t5x_lite.model.linear import Linear
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.memory import Memory
from t5x_lite.model.norms import make_norm
from t5x_lite.model.position_bias import DenseBias, PositionBias, RelativePositionBias
from t5x_lite.model.relative_keys import Distances
from t5x_lite.model.rematerialization import named, rematerialized
from t5x_lite.model.streams import Order
from t5x_lite.partitioning.constrain import constrain


class Noted(NamedTuple):
    """What a layer notes beside its output, for who collects it; of all layers, stacked."""

    maxima: Found
    told: taps.Told
    ranges: Found


class Stack(nnx.Module):
    """An encoder's or decoder's weights.

    How they are read (visibility, bucket rule, with or without cross-attention) is an argument,
    because the shared architecture reads one stack's weights in two ways.
    """

    def __init__(self, config: StackConfig, model: ModelConfig, *, key: PRNGKeyArray):
        layers_key, positions_key = jax.random.split(key)
        initializer = Initializer(model.init, config.num_residual)
        self.depth, self.embed_dim = config.depth, model.embed_dim
        relative, embed_dim = config.relative_bias, model.embed_dim
        self._make_input(config, model, initializer, key, positions_key)
        if relative is not None and not relative.per_layer:
            self.relpos_bias = RelativePositionBias(
                config.block.attention.num_heads, relative.num_buckets, key=positions_key
            )
        shared = SHARED[config.layer_sharing]
        own = tuple(part for part in Part if part not in shared)
        make = functools.partial(Block, config, embed_dim, init=initializer)
        keys = jax.random.split(layers_key, config.depth)
        # A loop, not vmap: the values are the same and the program compiles in half the time.
        self.layers = jax.lax.map(lambda key: make(key=key, parts=own), keys)
        if shared:
            self.shared_layer = make(key=keys[0], parts=shared)
        if config.has_final_norm:
            self.final_norm = make_norm(config.block.norm, embed_dim)

    def _make_input(
        self,
        config: StackConfig,
        model: ModelConfig,
        init: Initializer,
        key: PRNGKeyArray,
        positions_key: PRNGKeyArray,
    ) -> None:
        """What is added to the vectors of tokens, and makes the stack's input of the sum."""
        # Folded beyond what the split gave: all else begins as it would without them.
        types_key, kernel_key, query_key = (jax.random.fold_in(key, n) for n in (2, 3, 4))
        width, axis = model.token_width, model.token_axis
        if isinstance(config.positions, LearnedPositionsConfig):
            self.position_embedder = LearnedPositions(
                config.positions, width, axis, init=init, key=positions_key
            )
        if config.token_types:
            self.type_embedder = TokenTypes(
                config.token_types, width, axis, init=init, key=types_key
            )
        if config.two_streams:
            self.query_embedding = init.vectors(query_key, (width,), axes=(axis,))
        if config.input_norm:
            self.input_norm = make_norm(config.block.norm, width, axis)
        if model.token_dim is not None:
            kernel = init.kernel(
                kernel_key,
                (width, model.embed_dim),
                axes=(axis, "embed"),
                t5_stddev=width**-0.5,
            )
            self.input_projection = Linear(kernel, bias=True)

    def __call__(
        self,
        x: Float[Array, "batch length token_embed"],
        config: StackConfig,
        mask: AttentionMask,
        *,
        compute: ComputeConfig,
        dropout: Dropout,
        token_types: Int[Array, "batch length"] | None = None,
        order: Order | None = None,
        encoded: Float[Array, "batch enc_len embed"] | None = None,
        cross_mask: AttentionMask | None = None,
        cache: LayerCache | list[LayerCache] | None = None,
        keep_cache: bool = False,
        memory: Memory | None = None,
    ) -> tuple[Float[Array, "batch length embed"], Any]:
        """The stack's output and, if asked for, the keys and values that its layers saw. Without
        `token_types` all tokens are of the first type; with an `order` the output is that of the
        second stream. One of its layers sees a `memory`.
        """
        is_looked_into = taps.are_asked(SCORES, MEAN_SCORES)
        has_more = config.relative_keys is not None or memory is not None
        if cache is not None or has_more or is_looked_into:
            compute = choice.always_dense(compute)
        shared_bias = self._positions(x, config, mask, token_types, compute, dropout)
        is_memory = None
        if order is not None:
            x, mask, is_memory = streams.begin(x, mask, order, self.query_embedding)
            token_types = None if token_types is None else streams.twice(token_types)
        x = self._input(x, config, mask, token_types, dropout)
        context = StackContext(
            mask=mask,
            relative_bias=config.relative_bias,
            position_bias=shared_bias,
            encoded=None if encoded is None else copies(encoded, config.block),
            cross_mask=cross_mask,
            compute=compute,
            memory=None if memory is None else memory.seen,
        )

        def run_layer(
            x: Array, inputs: tuple[Block, Array, LayerCache | None]
        ) -> tuple[Array, tuple[Seen | LayerCache | None, Noted]]:
            layer, index, layer_cache = inputs
            x = x if is_memory is None else streams.without_gradient(x, is_memory)
            x = named(constrain(x, ("batch", "length", "embed")), LAYER_INPUT)
            own = dataclasses.replace(context, mask=_mask_of_layer(config, mask, memory, index))
            if config.layer_sharing is not LayerSharing.NONE and not is_apart:
                layer.take(self.shared_layer)
            with maxima.apart() as found, taps.apart() as told, rounding.apart() as ranges:
                x, seen = layer(x, own, cache=layer_cache, dropout=dropout.fold(index))
            return x, (seen if keep_cache else None, Noted(found, told, ranges))

        first, is_apart = x, isinstance(self.layers, nnx.List)
        if isinstance(self.layers, nnx.List):
            caches = [None] * config.depth if cache is None else cache
            assert isinstance(caches, list), "layers are apart where their caches are"
            x, (seen, noted) = _one_by_one(run_layer, x, list(self.layers), caches)
        else:
            unroll = min(execution.unroll(compute, self._layer_size), config.depth)
            x, (seen, noted) = jax.lax.scan(
                rematerialized(run_layer, compute, unroll=unroll),
                x,
                (self.layers, jnp.arange(config.depth), cache),
                unroll=unroll,
            )
        maxima.add(noted.maxima, "layers")
        taps.add(_whole(noted.told, first, has_order=order is not None))
        rounding.add(noted.ranges)
        x = x if order is None else streams.queries_of(x)
        if config.has_final_norm:
            x = self.final_norm(x)
        maxima.observe("output", x)
        return (dropout(x, "stack_output") if config.drops_output else x), seen

    def _positions(
        self,
        x: Float[Array, "batch length token_embed"],
        config: StackConfig,
        mask: AttentionMask,
        token_types: Int[Array, "batch length"] | None,
        compute: ComputeConfig,
        dropout: Dropout,
    ) -> PositionBias | DenseBias | Distances | None:
        """What all layers read of where tokens stand."""
        if config.relative_keys is not None:
            return relative_keys.distances(
                config.relative_keys,
                mask.kv_positions.shape[1],
                self.embed_dim,
                token_types,
                dtype=x.dtype,
                dropout=dropout,
            )
        relative = config.relative_bias
        if relative is None or relative.per_layer:
            return None
        return choice.prepared(self.relpos_bias(relative), mask, compute)

    def _input(
        self,
        x: Float[Array, "batch length token_embed"],
        config: StackConfig,
        mask: AttentionMask,
        token_types: Int[Array, "batch length"] | None,
        dropout: Dropout,
    ) -> Float[Array, "batch length embed"]:
        """What the first layer reads."""
        if isinstance(config.positions, LearnedPositionsConfig):
            x = x + self.position_embedder(mask.token_positions).astype(x.dtype)
        if config.token_types:
            types = jnp.zeros_like(mask.q_positions) if token_types is None else token_types
            x = x + self.type_embedder(types).astype(x.dtype)
        if config.input_norm:
            x = self.input_norm(x)
        maxima.observe("input", x)
        x = dropout(x, "stack_input")
        return self.input_projection(x) if hasattr(self, "input_projection") else x

    @property
    def _layer_size(self) -> int:
        """Parameters of a layer."""
        own = sum(leaf.size // leaf.shape[0] for leaf in jax.tree.leaves(self.layers))
        shared = jax.tree.leaves(self.shared_layer) if hasattr(self, "shared_layer") else []
        return own + sum(leaf.size for leaf in shared)

    def quantize(self) -> None:
        """The kernels of its layers as int8."""
        self.layers.quantize()
        if hasattr(self, "shared_layer"):
            self.shared_layer.quantize()

    def apart(self) -> list[Block]:
        """Its layers as decoding reads them, each with weights of its own."""
        found = []
        for number in range(self.depth):
            layer = jax.tree.map(operator.itemgetter(number), self.layers)
            if hasattr(self, "shared_layer"):
                layer.take(jax.tree.map(lambda leaf: leaf, self.shared_layer))
            layer.put_in_rows()
            found.append(layer)
        return found


def _mask_of_layer(
    config: StackConfig, mask: AttentionMask, memory: Memory | None, index: Int[Array, ""]
) -> AttentionMask:
    """A layer's own: where layers differ, the loop over them tells which it is, and all of them
    stay one program.
    """
    if memory is not None:
        mask = dataclasses.replace(mask, sees_memory=memory.visible_in(index))
    if config.window is None or config.window_every == 1:
        return mask
    every = config.window_every
    return dataclasses.replace(mask, is_local=index % every == every - 1)


def _one_by_one(
    run_layer: Callable, x: Array, layers: Sequence[Block], caches: Sequence[LayerCache | None]
) -> tuple[Array, tuple[list[Any], Noted]]:
    """What a loop over the stack gives, of layers and caches that stand apart."""
    seen, noted = [], []
    for index, (layer, cache) in enumerate(zip(layers, caches, strict=True)):
        x, (own, found) = run_layer(x, (layer, jnp.int32(index), cache))
        seen.append(own)
        noted.append(found)
    return x, (seen, jax.tree.map(lambda *each: jnp.stack(each), *noted))


def _whole(told: taps.Told, first: Array, *, has_order: bool) -> taps.Told:
    """What all layers told, with the stack's input before their states; of two streams the second,
    which heads read.
    """
    if STATES in told:
        told = told | {STATES: jnp.concatenate([first[None], told[STATES]])}
    if not has_order:
        return told
    return {name: each[..., each.shape[-2] // 2 :, :] for name, each in told.items()}
