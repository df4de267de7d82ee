"""Multi-head attention: the projections around what `attend/` computes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model import execution, masks, maxima
from t5x_lite.model.attend import cached, choice
from t5x_lite.model.choices import ATTENDED
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import AttentionConfig, LoraConfig, RelativeKeysConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear, joined, part_of
from t5x_lite.model.lora import make_lora
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import DenseBias, PositionBias
from t5x_lite.model.relative_keys import Distances, RelativeKeys
from t5x_lite.model.rematerialization import named
from t5x_lite.partitioning.constrain import constrain

# What reads the sequence that attends.
_INWARD = ("query", "key", "value")


class KeysValues(NamedTuple):
    """What queries look at: [batch, kv_len, heads, head_dim]."""

    keys: Array
    values: Array


class Remembered(NamedTuple):
    """The same in a cache, [batch, heads, kv_len, head_dim]: the one query of a row finds what a
    head looks at in one piece.
    """

    keys: Array
    values: Array


def remember(seen: KeysValues) -> Remembered:
    """As a cache holds it."""
    return Remembered(*(part.swapaxes(-3, -2) for part in seen))


def beside(memory: KeysValues, seen: KeysValues) -> KeysValues:
    """What is seen with a memory in front."""
    pairs = zip(memory, seen, strict=True)
    return KeysValues(*(jnp.concatenate([old, new], axis=1) for old, new in pairs))


def insert(
    cached: Remembered, new: KeysValues, positions: Int[Array, "rows new_len"]
) -> Remembered:
    """The cache with new keys and values at their positions: of one row of these, which stands for
    all rows of the batch, any number one after the other; else one for each row, at its own.
    """
    parts = zip(cached, remember(new), strict=True)
    write = _write_in_place if execution.writes_in_place() else _write_anew
    if positions.shape[0] == 1:
        write = _write_together
    return Remembered(*(write(old, each.astype(old.dtype), positions) for old, each in parts))


def _write_together(
    old: Float[Array, "batch heads kv_len head_dim"],
    new: Float[Array, "batch heads new_len head_dim"],
    positions: Int[Array, "1 new_len"],
) -> Float[Array, "batch heads kv_len head_dim"]:
    return jax.lax.dynamic_update_slice_in_dim(old, new, positions[0, 0], axis=2)


def _write_in_place(
    old: Float[Array, "batch heads kv_len head_dim"],
    new: Float[Array, "batch heads 1 head_dim"],
    positions: Int[Array, "batch 1"],
) -> Float[Array, "batch heads kv_len head_dim"]:
    return jax.vmap(lambda row, one, at: jax.lax.dynamic_update_slice(row, one, (0, at[0], 0)))(
        old, new, positions
    )


def _write_anew(
    old: Float[Array, "batch heads kv_len head_dim"],
    new: Float[Array, "batch heads 1 head_dim"],
    positions: Int[Array, "batch 1"],
) -> Float[Array, "batch heads kv_len head_dim"]:
    slots = jnp.arange(old.shape[2], dtype=positions.dtype)[None, :]
    return jnp.where((slots == positions)[:, None, :, None], new, old)


class Attention(nnx.Module):
    """Queries of one sequence over the keys and values of another or the same."""

    def __init__(
        self,
        config: AttentionConfig,
        embed_dim: int,
        *,
        init: Initializer,
        key: PRNGKeyArray,
        lora: LoraConfig | None = None,
        relative: RelativeKeysConfig | None = None,
    ):
        self.config = config
        joined_kv = config.num_heads * config.head_dim
        query_key, key_key, value_key, out_key = jax.random.split(key, 4)

        def linear(name: str, kernel: nnx.Param) -> Linear:
            return Linear(kernel, bias=config.bias, lora=make_lora(lora, name, kernel, key=key))

        def inward(name: str, kernel_key: PRNGKeyArray, t5_stddev: float) -> Linear:
            shape, axes = (embed_dim, joined_kv), ("embed", "joined_kv")
            return linear(name, init.kernel(kernel_key, shape, axes=axes, t5_stddev=t5_stddev))

        self.query = inward("query", query_key, (embed_dim * config.head_dim) ** -0.5)
        self.key = inward("key", key_key, embed_dim**-0.5)
        self.value = inward("value", value_key, embed_dim**-0.5)
        kernel = init.kernel(
            out_key,
            (joined_kv, embed_dim),
            axes=("joined_kv", "embed"),
            t5_stddev=joined_kv**-0.5,
            ends_residual=True,
        )
        self.out = linear("out", kernel)
        if relative is not None:
            # Folded, not split off: all else begins as it would without.
            own = jax.random.fold_in(key, 5)
            self.relative = RelativeKeys(relative, config, embed_dim, init=init, key=own)
        # Of decoding, see `put_in_a_row`.
        self.row: Linear | None = None

    def quantize(self) -> None:
        """All kernels as int8."""
        for name in (*_INWARD, "out"):
            getattr(self, name).quantize()

    def put_in_a_row(self) -> None:
        """As decoding reads the kernels of attention to oneself."""
        self.row = nnx.data(joined([getattr(self, name) for name in _INWARD]))
        for name in _INWARD if self.row is not None else ():
            delattr(self, name)

    def keys_values(self, x: Float[Array, "batch kv_len embed"], dropout: Dropout) -> KeysValues:
        """What `x` offers to queries."""
        return KeysValues(
            self._heads(self._inward("key", x, dropout)),
            self._heads(self._inward("value", x, dropout)),
        )

    def keys_values_of_copies(self, x: Float[Array, "pieces batch kv_len embed"]) -> KeysValues:
        """The same, where each piece of the heads reads a copy of its own."""
        return KeysValues(
            self._heads(named(self.key.of_copies(x), "key")),
            self._heads(named(self.value.of_copies(x), "value")),
        )

    def __call__(
        self,
        x: Float[Array, "batch q_len embed"],
        seen: KeysValues | Remembered,
        mask: AttentionMask,
        *,
        position_bias: PositionBias | DenseBias | Distances | None,
        dropout: Dropout,
        compute: ComputeConfig,
        memory: KeysValues | None = None,
    ) -> Float[Array, "batch q_len embed"]:
        """A mixture of the values for each position of `x`, as wide as `x`; a memory is seen beside
        them, as the mask says.
        """
        queries = self._heads(self._inward("query", x, dropout))
        scale = self.config.head_dim**-0.5 if self.config.scale else None
        if isinstance(position_bias, Distances):
            scores = self.relative(queries, position_bias)
            position_bias = scores if scale is None else scores * scale
            queries = self.relative.for_contents(queries)
        if isinstance(seen, Remembered):
            mixed = cached.attend(
                queries, *seen, mask, position_bias=position_bias, scale=scale, memory=memory
            )
        else:
            if memory is not None:
                seen = beside(memory, seen)
                position_bias = _beside_memory(position_bias, mask, compute)
            mixed = choice.attend(
                queries,
                *seen,
                mask,
                position_bias=position_bias,
                scale=scale,
                dropout=dropout,
                compute=compute,
            )
        mixed = constrain(mixed.reshape(*x.shape[:2], -1), ("batch", "length", "joined_kv"))
        mixed = named(mixed, ATTENDED)
        out = named(self.out(mixed, dropout.fold("out")), "out")
        maxima.observe("output", out)
        return constrain(out, ("batch", "length", "embed"))

    def _inward(
        self, name: str, x: Float[Array, "batch length embed"], dropout: Dropout
    ) -> Float[Array, "batch length joined_kv"]:
        if self.row is not None:
            return part_of(self.row, x, _INWARD.index(name), len(_INWARD))
        return named(getattr(self, name)(x, dropout.fold(name)), name)

    def _heads(
        self, x: Float[Array, "batch length joined_kv"]
    ) -> Float[Array, "batch length heads head_dim"]:
        split = x.reshape(*x.shape[:2], self.config.num_heads, self.config.head_dim)
        return constrain(split, ("batch", "length", "heads", "head_dim"))


def _beside_memory(
    bias: PositionBias | DenseBias | None, mask: AttentionMask, compute: ComputeConfig
) -> Float[Array, "rows heads q_len all_len"] | None:
    """What keys of tokens add to logits, and nothing of those of a memory in front."""
    if isinstance(bias, PositionBias):
        bias = choice.prepared(bias, mask, compute)
    assert not isinstance(bias, PositionBias), "beside a memory attention is dense"
    return None if bias is None else masks.beside_memory(bias, mask)
