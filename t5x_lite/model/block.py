"""One layer, whichever stack it is in: self-attention, cross-attention if it has one, feed-forward,
an adapter if it has one.

Every sub-layer is `x + dropout(f(norm(x)))` (Raffel et al. 2020, section 2.1; Radford et al. 2019,
section 2.3), or `norm(x + dropout(f(x)))` (Vaswani et al. 2017, Devlin et al. 2019).
"""

import dataclasses
import enum
from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.features.outputs import STATES
from t5x_lite.model import attention, maxima, taps
from t5x_lite.model.adapter import Adapter
from t5x_lite.model.attention import Attention, KeysValues, Remembered
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    BlockConfig,
    LayerSharing,
    NormPlace,
    RelativeBiasConfig,
    RelativeKeysConfig,
    StackConfig,
)
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.mlp import MLP
from t5x_lite.model.norms import LayerNorm, RMSNorm, make_norm
from t5x_lite.model.position_bias import DenseBias, PositionBias, RelativePositionBias
from t5x_lite.model.relative_keys import Distances
from t5x_lite.partitioning.constrain import constrain, num_pieces


class Seen(NamedTuple):
    """Keys and values that a layer saw (all layers, where `layers` is the leading axis)."""

    self_attention: KeysValues
    cross_attention: KeysValues | None


class LayerCache(NamedTuple):
    """What decoding remembers of a layer, or of all with `layers` in front."""

    self_attention: Remembered
    cross_attention: Remembered | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackContext:
    """What a stack gives to each of its layers alike.

    `position_bias` is an array where self-attention is dense, made once for all layers, or what
    each of them makes keys of;
    `relative_bias` is None where positions are not relative, `position_bias` also where every layer
    has a table of its own; `encoded` (see `copies`) and `cross_mask` are None in an encoder and in
    a decoder-only model. `memory` is what was before the text, which the mask of one layer shows.
    """

    mask: AttentionMask
    relative_bias: RelativeBiasConfig | None
    position_bias: PositionBias | DenseBias | Distances | None
    encoded: Array | None
    cross_mask: AttentionMask | None
    compute: ComputeConfig
    memory: KeysValues | None = None


class Part(enum.Enum):
    """What layers may have in common: attention with its norms and a table of positions, and the
    feed-forward sub-layer with its norm and its adapter.
    """

    ATTENTION = enum.auto()
    MLP = enum.auto()


# What a layer tells of its output to who asks (`taps`): the sum over its tokens, [batch, embed].
TOTAL = "total"

# What all layers of a stack share.
SHARED: dict[LayerSharing, tuple[Part, ...]] = {
    LayerSharing.NONE: (),
    LayerSharing.ALL: (Part.ATTENTION, Part.MLP),
    LayerSharing.ATTENTION: (Part.ATTENTION,),
    LayerSharing.MLP: (Part.MLP,),
}


class Block(nnx.Module):
    """A layer's weights and what it does; with a cache it sees what earlier steps left there. It
    may have some of its parts only, and is a layer once it has `taken` the others.
    """

    self_attention: Attention
    encoder_decoder_attention: Attention

    def __init__(
        self,
        stack: StackConfig,
        embed_dim: int,
        *,
        init: Initializer,
        key: PRNGKeyArray,
        parts: Collection[Part] = tuple(Part),
    ):
        config, relative_bias = stack.block, stack.relative_bias
        own, cross, feed_forward, bias = jax.random.split(key, 4)
        self.place = config.norm.place

        def attend(name: str, key: PRNGKeyArray, relative: RelativeKeysConfig | None) -> None:
            own = Attention(
                config.attention,
                embed_dim,
                init=init,
                key=key,
                lora=config.lora,
                relative=relative,
            )
            setattr(self, name, own)

        if Part.ATTENTION in parts:
            self._set_norm("self_attention", config, embed_dim)
            attend("self_attention", own, stack.relative_keys)
            if config.cross_attention:
                self._set_norm("cross_attention", config, embed_dim)
                attend("encoder_decoder_attention", cross, None)
            if relative_bias is not None and relative_bias.per_layer:
                self.relpos_bias = RelativePositionBias(
                    config.attention.num_heads, relative_bias.num_buckets, key=bias
                )
        if Part.MLP in parts:
            self._set_norm("mlp", config, embed_dim)
            self.mlp = MLP(config.mlp, embed_dim, init=init, key=feed_forward, lora=config.lora)
            if config.adapter_dim:
                # Folded, not split off: all else begins as it would without an adapter.
                added = jax.random.fold_in(key, 4)
                self.adapter = Adapter(config.adapter_dim, embed_dim, norm=config.norm, key=added)

    def _set_norm(self, sublayer: str, config: BlockConfig, embed_dim: int) -> None:
        norm = make_norm(config.norm, embed_dim)
        setattr(self, f"{self.place.value}_{sublayer}_layer_norm", norm)

    def _norm(self, sublayer: str) -> LayerNorm | RMSNorm:
        return getattr(self, f"{self.place.value}_{sublayer}_layer_norm")

    def take(self, shared: "Block") -> None:
        """All that `shared` has becomes this layer's as well."""
        for name, module in vars(shared).items():
            if isinstance(module, nnx.Module):
                setattr(self, name, module)

    def quantize(self) -> None:
        """Kernels as int8, but for `wo`; of one layer or of a stack."""
        for name in ("self_attention", "encoder_decoder_attention", "mlp"):
            if hasattr(self, name):
                getattr(self, name).quantize()

    def put_in_rows(self) -> None:
        """Arranges kernels that read the same as decoding reads them fastest."""
        self.self_attention.put_in_a_row()
        self.mlp.put_in_a_row()

    def __call__(
        self,
        x: Float[Array, "batch length embed"],
        context: StackContext,
        *,
        cache: LayerCache | None,
        dropout: Dropout,
    ) -> tuple[Float[Array, "batch length embed"], Seen | LayerCache]:
        """The layer's output, and the keys and values that it saw."""
        h = self._read("self_attention", x)
        # Of two streams the first is what both look at.
        offered = h if cache is not None else h[:, : context.mask.kv_positions.shape[1]]
        new = self.self_attention.keys_values(offered, dropout.fold("self_attention"))
        seen: KeysValues | Remembered = new
        if cache is not None:
            seen = attention.insert(cache.self_attention, new, context.mask.q_positions)
        with maxima.within("self_attention"), taps.within("self_attention"):
            h = self.self_attention(
                h,
                seen,
                context.mask,
                position_bias=self._position_bias(context),
                dropout=dropout.fold("self_attention"),
                compute=context.compute,
                memory=context.memory,
            )
        x = self._added("self_attention", x, dropout(h, "self_attention_output"))
        crossed = None
        if context.cross_mask is not None:
            h = self._read("cross_attention", x)
            crossed = self._crossed(context, cache, dropout.fold("cross_attention"))
            # Rows that decode one example read its keys and values as several queries of one row.
            examples = crossed.keys.shape[0]
            with maxima.within("cross_attention"), taps.within("cross_attention"):
                h = self.encoder_decoder_attention(
                    h.reshape(examples, -1, h.shape[-1]),
                    crossed,
                    context.cross_mask,
                    position_bias=None,
                    dropout=dropout.fold("cross_attention"),
                    compute=context.compute,
                ).reshape(h.shape)
            x = self._added("cross_attention", x, dropout(h, "cross_attention_output"))
        with maxima.within("mlp"):
            h = self.mlp(self._read("mlp", x), dropout.fold("mlp"))
        x = self._added("mlp", x, dropout(h, "mlp_output"))
        if hasattr(self, "adapter"):
            x = x + dropout(self.adapter(x), "adapter_output")
        maxima.observe("residual", x)
        taps.tell(STATES, lambda: x)
        taps.tell(TOTAL, lambda: _total(x, context.mask))
        return x, _kept(seen, crossed)

    def _read(
        self, sublayer: str, x: Float[Array, "batch length embed"]
    ) -> Float[Array, "batch length embed"]:
        """What a sub-layer reads."""
        return _whole(self._norm(sublayer)(x) if self.place is NormPlace.PRE else x)

    def _added(
        self,
        sublayer: str,
        x: Float[Array, "batch length embed"],
        h: Float[Array, "batch length embed"],
    ) -> Float[Array, "batch length embed"]:
        """With what a sub-layer made of it."""
        return x + h if self.place is NormPlace.PRE else self._norm(sublayer)(x + h)

    def _position_bias(self, context: StackContext) -> PositionBias | DenseBias | Distances | None:
        if context.position_bias is not None or context.relative_bias is None:
            return context.position_bias
        return self.relpos_bias(context.relative_bias)

    def _crossed(
        self, context: StackContext, cache: LayerCache | None, dropout: Dropout
    ) -> KeysValues | Remembered:
        """Keys and values of the encoder's output, made anew or remembered."""
        if cache is not None and cache.cross_attention is not None:
            return cache.cross_attention
        assert context.encoded is not None, "without a cache cross-attention reads the encoder"
        if context.encoded.ndim == 4:
            return self.encoder_decoder_attention.keys_values_of_copies(context.encoded)
        return self.encoder_decoder_attention.keys_values(context.encoded, dropout)


def _kept(
    seen: KeysValues | Remembered, crossed: KeysValues | Remembered | None
) -> Seen | LayerCache:
    """Both are of one kind."""
    if isinstance(seen, Remembered):
        assert not isinstance(crossed, KeysValues), "what is cached is cached of both"
        return LayerCache(seen, crossed)
    assert not isinstance(crossed, Remembered), "what is cached is cached of both"
    return Seen(seen, crossed)


def _total(
    x: Float[Array, "batch length embed"], mask: AttentionMask
) -> Float[Array, "batch embed"]:
    """The sum over tokens, in float32."""
    wide = x.astype(jnp.float32)
    if mask.q_segments is not None:
        wide = jnp.where(mask.q_segments[..., None] > 0, wide, 0.0)
    return jnp.sum(wide, axis=1)


def _whole(x: Float[Array, "batch length embed"]) -> Float[Array, "batch length embed"]:
    """Gathered where a mesh splits what stands between sub-layers: products read all of it."""
    return constrain(x, ("batch", None, None))


def copies(
    encoded: Float[Array, "batch enc_len embed"], config: BlockConfig
) -> Float[Array, "batch enc_len embed"] | Float[Array, "pieces batch enc_len embed"]:
    """The encoder's output for cross-attention: a copy for each piece of the heads, whose gradients
    add up over all layers before they cross devices. With one for all, each layer would end in an
    all-reduce. LoRA reads it as it is.
    """
    (pieces,) = num_pieces(("joined_kv",))
    if pieces == 1 or config.lora is not None:
        return _whole(encoded)
    each = jnp.broadcast_to(encoded, (pieces, *encoded.shape))
    return constrain(each, ("joined_kv", "batch", None, None))
