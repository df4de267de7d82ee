"""What attention reads, and the logits of one block of it, as dense attention has them."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from t5x_lite.model import masks, maxima
from t5x_lite.model.attend import diagonals
from t5x_lite.model.attend.blocks import Blocks, Rows, cut
from t5x_lite.model.attend.diagonals import Strips
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.precision import precision_of

Heads = Float[Array, "batch length heads head_dim"]
BlockLogits = Float[Array, "batch heads q_block kv_block"]


class Inputs(NamedTuple):
    """What attention reads; `noise` is the key of dropout that differs from query to query,
    `is_local` as in a mask.
    """

    queries: Heads
    keys: Heads
    values: Heads
    strips: Strips | None
    rows: Rows
    noise: PRNGKeyArray | None
    is_local: Bool[Array, ""] | None


@dataclasses.dataclass(frozen=True)
class Form:
    """What of attention is no array."""

    blocks: Blocks
    scale: float | None
    dropout_rate: float

    @property
    def dense(self) -> "Form":
        """The same without a window."""
        return dataclasses.replace(self, blocks=dataclasses.replace(self.blocks, window=None))


def of_layer(
    form: Form, is_local: Bool[Array, ""] | None, function: Callable[..., Any], *inputs: Any
) -> Any:
    """`function(form, *inputs)` where the window holds in this layer, else that of the dense form:
    which blocks there are is no array, so there is a program for each, of which one runs.
    """
    if is_local is None:
        return function(form, *inputs)
    banded, dense = (functools.partial(function, each) for each in (form, form.dense))
    return jax.lax.cond(is_local, banded, dense, *inputs)


def largest_logit(form: Form, inputs: Inputs) -> Float[Array, ""]:
    """The largest absolute value of all logits, NaN if one is: what an autopsy asks for."""
    blocks = form.blocks
    given, pairs = whole(blocks, inputs, blocks.all_pairs)

    def step(largest: Array, pair: Int[Array, "2"]) -> tuple[Array, None]:
        i, j = pair
        found = _unmasked(form, given, i, j)
        real = blocks.is_query(i)[:, None] & blocks.is_key(j)[None, :]
        return jnp.maximum(largest, maxima.largest(jnp.where(real, found, 0.0))), None

    return jax.lax.scan(step, jnp.float32(0), pairs)[0]


def _unmasked(form: Form, given: Inputs, i: Array, j: Array) -> BlockLogits:
    queries = cut(given.queries, i, form.blocks.q_block)
    logits = product("bqhd,bkhd->bhqk", queries, cut(given.keys, j, form.blocks.kv_block))
    if form.scale is not None:
        logits = logits * form.scale
    if given.strips is not None:
        strip = given.strips[:, form.blocks.diagonal(i, j)]
        logits = logits + diagonals.spread(strip)[None]
    return logits


def logits(form: Form, given: Inputs, i: Array, j: Array) -> BlockLogits:
    """As dense attention has them; -inf where there is no key."""
    mask = form.blocks.mask(given.rows, i, j)
    logits = _unmasked(form, given, i, j) + masks.bias_of(mask)
    return jnp.where(form.blocks.is_key(j), logits, -jnp.inf)


def dropped(form: Form, given: Inputs, weights: BlockLogits, i: Array, j: Array) -> BlockLogits:
    """Dropout by noise of the block's own, the same forward and backward."""
    if given.noise is None:
        return weights
    key = jax.random.fold_in(given.noise, i * form.blocks.kv_blocks + j)
    dropout = Dropout(form.dropout_rate, shared_along_length=False, key=key)
    return dropout(weights, "block")


def whole(
    blocks: Blocks, inputs: Inputs, pairs: np.ndarray
) -> tuple[Inputs, Int[Array, "pairs 2"]]:
    """Inputs of whole blocks, which the functions above are given, and the pairs to go through."""
    filled = inputs._replace(
        queries=blocks.fill_queries(inputs.queries),
        keys=blocks.fill_keys(inputs.keys),
        values=blocks.fill_keys(inputs.values),
        rows=blocks.fill(inputs.rows),
    )
    # Masks and bias are the same in all layers, and JAX takes what is out of a loop over layers:
    # it would make them there for all pairs. The barrier lets nothing be known before queries are.
    return jax.lax.optimization_barrier((filled, jnp.asarray(pairs)))


def product(
    equation: str, left: Float[Array, "..."], right: Float[Array, "..."]
) -> Float[Array, "..."]:
    """A product of activations (weights are made some), summed in float32."""
    return jnp.einsum(
        equation,
        left.astype(right.dtype),
        right,
        precision=precision_of(right.dtype),
        preferred_element_type=jnp.float32,
    )
