"""Keys of how far a token is away, beside those of what it is (Dai et al. 2019, section 3.3; Yang
et al. 2019, section 2.5). Of query i and key j, with u, v, w and t learned in each layer,

    (q_i + u) . k_j  +  (q_i + v) . r_(i-j)  +  (q_i + w) . t_(whether both are of one type)

where r is a product of sinusoids of the distance. The first is attention's own product.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model.config import AttentionConfig, RelativeKeysConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear
from t5x_lite.model.precision import precision_of

_LONGEST_WAVE = 10_000.0


class Distances(NamedTuple):
    """What all layers read: sinusoids [1, 2 * length, embed] of the distances length, length - 1,
    ..., 1 - length (query minus key), and the types of keys [batch, length], None if all are alike.

    Queries may be several rows of the keys' positions one behind another.
    """

    sinusoids: Array
    types: Array | None


def distances(
    config: RelativeKeysConfig,
    length: int,
    embed_dim: int,
    types: Int[Array, "batch length"] | None,
    *,
    dtype: jnp.dtype,
    dropout: Dropout,
) -> Distances:
    """Of rows of so many positions; sines in the first half of the channels, cosines behind."""
    distance = length - jnp.arange(2 * length, dtype=jnp.float32)
    if config.max_distance is not None:
        distance = jnp.clip(distance, -config.max_distance, config.max_distance)
    channel = jnp.arange(0, embed_dim, 2, dtype=jnp.float32)
    angle = distance[:, None] * (_LONGEST_WAVE ** (-channel / embed_dim))[None, :]
    waves = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)[None, :, :embed_dim]
    return Distances(dropout(waves.astype(dtype), "distances"), types if config.types else None)


class RelativeKeys(nnx.Module):
    """What a layer has for that."""

    def __init__(
        self,
        config: RelativeKeysConfig,
        attention: AttentionConfig,
        embed_dim: int,
        *,
        init: Initializer,
        key: PRNGKeyArray,
    ):
        self.heads = attention.num_heads
        keys = jax.random.split(key, 5)
        shape, axes = (attention.num_heads, attention.head_dim), ("heads", "head_dim")
        kernel = init.kernel(
            keys[0],
            (embed_dim, attention.num_heads * attention.head_dim),
            axes=("embed", "joined_kv"),
            t5_stddev=embed_dim**-0.5,
        )
        self.distance = Linear(kernel)
        self.content_bias = init.vectors(keys[1], shape, axes=axes)
        self.distance_bias = init.vectors(keys[2], shape, axes=axes)
        if config.types:
            self.type_bias = init.vectors(keys[3], shape, axes=axes)
            self.types = init.vectors(keys[4], (2, *shape), axes=("token_types", *axes))

    def for_contents(
        self, queries: Float[Array, "batch q_len heads head_dim"]
    ) -> Float[Array, "batch q_len heads head_dim"]:
        """Queries as they meet keys of contents."""
        return queries + self.content_bias[...].astype(queries.dtype)[None, None]

    def __call__(
        self, queries: Float[Array, "batch q_len heads head_dim"], given: Distances
    ) -> Float[Array, "batch heads q_len kv_len"]:
        """The other two summands, in float32 and not scaled."""
        batch, q_len, heads, head_dim = queries.shape
        length = given.sinusoids.shape[1] // 2
        dtype, precision = queries.dtype, precision_of(queries.dtype)
        rows = queries.reshape(batch, q_len // length, length, heads, head_dim)
        keys = self.distance(given.sinusoids).reshape(-1, heads, head_dim)

        def product(axes: str, bias: nnx.Param, others: Array) -> Array:
            biased = rows + bias[...].astype(dtype)[None, None, None]
            return jnp.einsum(
                axes, biased, others, precision=precision, preferred_element_type=jnp.float32
            )

        scores = by_distance(product("bsqhd,mhd->bhsqm", self.distance_bias, keys))
        if given.types is not None:
            by_type = product("bsqhd,thd->bhsqt", self.type_bias, self.types[...].astype(dtype))
            differs = given.types[:, :, None] != given.types[:, None, :]
            same, other = by_type[..., :1], by_type[..., 1:]
            scores = scores + jnp.where(differs[:, None, None], other, same)
        return scores.reshape(batch, heads, q_len, length)


def by_distance(
    scores: Float[Array, "*rows length distances"],
) -> Float[Array, "*rows length length"]:
    """From a score of every query for each of the distances length ... 1 - length to one for each
    key. Cut to rows that are one shorter, each begins one earlier than that before it.

    >>> import jax.numpy as jnp
    >>> distance = jnp.array([[3, 2, 1, 0, -1, -2]] * 3)
    >>> by_distance(distance.astype(jnp.float32)).astype(int).tolist()
    [[0, -1, -2], [1, 0, -1], [2, 1, 0]]
    """
    *rows, length, count = scores.shape
    flat = scores.reshape(*rows, length * count)[..., length:]
    return flat.reshape(*rows, length, count - 1)[..., :length]
