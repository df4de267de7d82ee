"""What a window of a text leaves for the next one (Yoshida et al. 2020): keys and values, made of
the mean of a layer's states by a small feed-forward network.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from t5x_lite.model import parameters
from t5x_lite.model.attention import KeysValues
from t5x_lite.model.choices import FirstMemory
from t5x_lite.model.config import ModelConfig, RecurrenceConfig
from t5x_lite.model.linear import Linear
from t5x_lite.model.norms import make_norm
from t5x_lite.partitioning.constrain import constrain


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["seen", "is_there"], meta_fields=["layer"]
)
@dataclasses.dataclass(frozen=True)
class Memory:
    """Keys and values [batch, memories, heads, head_dim] that one layer sees, of the rows [batch]
    that have some.
    """

    seen: Any
    is_there: Any
    layer: int

    def visible_in(self, index: Int[Array, ""]) -> Bool[Array, "batch memories"]:
        """What of it each row sees in the layer of this index."""
        batch, memories = self.seen.keys.shape[:2]
        is_seen = self.is_there & (index == self.layer)
        return jnp.broadcast_to(is_seen[:, None], (batch, memories))


def where(condition: Bool[Array, "batch"], one: Memory, other: Memory) -> Memory:
    """Of each row the one or the other."""

    def chosen(a: Array, b: Array) -> Array:
        return jnp.where(condition.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(chosen, one, other)


class Recurrence(nnx.Module):
    """The network, and what the first window sees."""

    def __init__(self, config: RecurrenceConfig, model: ModelConfig, *, key: PRNGKeyArray):
        assert model.decoder is not None, "recurrence is a decoder's"
        self.config = config
        attention = model.decoder.block.attention
        self.shape = (config.num_memories, attention.num_heads, attention.head_dim)
        keys = jax.random.split(key, 5)
        self.layer_norm = make_norm(model.decoder.block.norm, model.embed_dim)

        def linear(number: int, widths: tuple[int, int], axes: tuple[str, str]) -> Linear:
            # By its fan-in, whatever the model's rule: three small kernels in a row begin so slowly
            # that a memory is given up before it tells anything.
            stddev = widths[0] ** -0.5
            kernel = parameters.truncated_normal(keys[number], widths, axes=axes, stddev=stddev)
            return Linear(kernel, bias=True)

        outputs = config.num_memories * attention.num_heads * attention.head_dim
        self.wi = linear(0, (model.embed_dim, config.mlp_dim), ("embed", "mlp"))
        self.key = linear(1, (config.mlp_dim, outputs), ("mlp", "joined_kv"))
        self.value = linear(2, (config.mlp_dim, outputs), ("mlp", "joined_kv"))
        if config.first is FirstMemory.LEARNED:
            axes = ("memories", "heads", "head_dim")
            self.first_key = parameters.normal(keys[3], self.shape, axes=axes, stddev=0.5)
            self.first_value = parameters.normal(keys[4], self.shape, axes=axes, stddev=0.5)

    def first(self, rows: int, dtype: jnp.dtype) -> Memory:
        """What there is before a text."""

        def repeated(part: Array) -> Array:
            return jnp.broadcast_to(part.astype(dtype), (rows, *self.shape))

        is_learned = self.config.first is FirstMemory.LEARNED
        parts = [jnp.zeros(self.shape)] * 2
        if is_learned:
            parts = [self.first_key[...], self.first_value[...]]
        return self._memory(KeysValues(*map(repeated, parts)), jnp.full((rows,), is_learned))

    def __call__(self, mean: Float[Array, "batch embed"], dtype: jnp.dtype) -> Memory:
        """What a window leaves, by the mean of its states."""
        hidden = self.wi(self.layer_norm(mean.astype(dtype)[:, None]))
        hidden = constrain(jax.nn.gelu(hidden), ("batch", None, "mlp"))

        def heads(part: Array) -> Array:
            return constrain(part.reshape(-1, *self.shape), ("batch", None, "heads", "head_dim"))

        seen = KeysValues(heads(self.key(hidden)), heads(self.value(hidden)))
        return self._memory(seen, jnp.ones(len(mean), bool))

    def _memory(self, seen: KeysValues, is_there: Bool[Array, "batch"]) -> Memory:
        return Memory(seen, is_there, self.config.insert_layer)
