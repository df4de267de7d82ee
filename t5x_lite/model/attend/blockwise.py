"""Attention block by block (Dao et al. 2022, FlashAttention, algorithms 1 and 4), for any device.

Softmax goes on from block to block: it remembers the largest logit of each query and the sum of
exponentials, and shrinks what was mixed so far when a larger logit comes. The backward pass makes
the logits of each block anew from these two numbers. They are kept apart, where others keep the
logarithm of their product: -1e10, which a query has that sees nothing, would swallow the sum.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.model.attend import diagonals
from t5x_lite.model.attend.block_logits import (
    BlockLogits,
    Form,
    Heads,
    Inputs,
    dropped,
    logits,
    of_layer,
    product,
    whole,
)
from t5x_lite.model.attend.blocks import Rows, cut, put


class Softmax(NamedTuple):
    """Of each query [batch, heads, q_len] the largest logit and the sum of exp(logit - largest)."""

    largest: Array
    total: Array


class Gradients(NamedTuple):
    """Of `Inputs`, in float32; of strips in each row."""

    queries: Heads
    keys: Heads
    values: Heads
    strips: Float[Array, "batch heads diagonals strip"] | None


Kept = tuple[Inputs, Heads, Softmax]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def attend(form: Form, inputs: Inputs) -> Float[Array, "batch q_len heads head_dim"]:
    """What `dense.attend` gives, up to rounding, and its gradients."""
    return _forward(form, inputs)[0]


def forward(form: Form, inputs: Inputs) -> tuple[Heads, Softmax]:
    """The mixtures and what softmax has of each query, in a layer of this form."""
    blocks = form.blocks
    given, pairs = whole(blocks, inputs, blocks.pairs)

    def step(carry: tuple[Softmax, Array], pair: Int[Array, "2"]) -> tuple:
        (largest, total), mixed = carry
        i, j = pair
        block = logits(form, given, i, j)
        before = cut(largest, i, blocks.q_block, axis=2)
        now = jnp.maximum(before, jnp.max(block, axis=-1))
        weights, shrink = jnp.exp(block - now[..., None]), jnp.exp(before - now)
        summed = cut(total, i, blocks.q_block, axis=2) * shrink + jnp.sum(weights, axis=-1)
        weights = dropped(form, given, weights, i, j)
        added = product("bhqk,bkhd->bqhd", weights, cut(given.values, j, blocks.kv_block))
        added = cut(mixed, i, blocks.q_block) * _beside(shrink) + added
        softmax = Softmax(put(largest, now, i, axis=2), put(total, summed, i, axis=2))
        return (softmax, put(mixed, added, i)), None

    batch, length, heads, _ = given.queries.shape
    nothing = jnp.zeros((batch, heads, length), jnp.float32)
    start = Softmax(jnp.full_like(nothing, -jnp.inf), nothing), _zeros(given.queries)
    (softmax, mixed), _ = jax.lax.scan(step, start, pairs)
    mixed = (mixed / _beside(softmax.total)).astype(inputs.queries.dtype)[:, : blocks.q_len]
    return mixed, softmax


def backward(form: Form, kept: Kept, d_mixed: Heads) -> tuple[Inputs]:
    """The gradient of what `forward` was given."""
    inputs, mixed, softmax = kept
    blocks = form.blocks
    given, pairs = whole(blocks, inputs, blocks.pairs)
    # What all weights of a query have in common in their gradient: sum of weight * d_weight.
    common = jnp.sum(_wide(d_mixed) * _wide(mixed), axis=-1)
    common = blocks.fill_queries(common).swapaxes(1, 2)
    d_mixed = blocks.fill_queries(d_mixed)

    def step(found: Gradients, pair: Int[Array, "2"]) -> tuple[Gradients, None]:
        i, j = pair
        queries, d_out = cut(given.queries, i, blocks.q_block), cut(d_mixed, i, blocks.q_block)
        keys, values = (cut(x, j, blocks.kv_block) for x in (given.keys, given.values))
        largest, total, shared = (cut(x, i, blocks.q_block, axis=2) for x in (*softmax, common))
        weights = jnp.exp(logits(form, given, i, j) - largest[..., None]) / total[..., None]
        mixing = dropped(form, given, weights, i, j)
        d_mixing = product("bqhd,bkhd->bhqk", d_out, values)
        d_logits = dropped(form, given, d_mixing, i, j) - shared[..., None]
        d_logits = weights * d_logits
        d_products = d_logits if form.scale is None else d_logits * form.scale
        return Gradients(
            _added(found.queries, product("bhqk,bkhd->bqhd", d_products, keys), i),
            _added(found.keys, product("bhqk,bqhd->bkhd", d_products, queries), j),
            _added(found.values, product("bhqk,bqhd->bkhd", mixing, d_out), j),
            _gathered(found.strips, d_logits, blocks.diagonal(i, j)),
        ), None

    start = _nothing(given)
    found, _ = jax.lax.scan(step, start, pairs)
    dtype = inputs.queries.dtype
    return (
        Inputs(
            queries=found.queries.astype(dtype)[:, : blocks.q_len],
            keys=found.keys.astype(dtype)[:, : blocks.kv_len],
            values=found.values.astype(dtype)[:, : blocks.kv_len],
            strips=None if found.strips is None else jnp.sum(found.strips, axis=0),
            rows=Rows(None, None, None),
            noise=None,
            is_local=None,
        ),
    )


def _forward(form: Form, inputs: Inputs) -> tuple[Heads, Kept]:
    mixed, softmax = of_layer(form, inputs.is_local, forward, inputs)
    return mixed, (inputs, mixed, softmax)


def _backward(form: Form, kept: Kept, d_mixed: Heads) -> tuple[Inputs]:
    return of_layer(form, kept[0].is_local, backward, kept, d_mixed)


attend.defvjp(_forward, _backward)


def _nothing(given: Inputs) -> Gradients:
    strips = None
    if given.strips is not None:
        # Of each row: a sum over rows in each step would be one over devices.
        strips = jnp.zeros((given.queries.shape[0], *given.strips.shape), jnp.float32)
    return Gradients(_zeros(given.queries), _zeros(given.keys), _zeros(given.values), strips)


def _gathered(
    found: Float[Array, "batch heads diagonals strip"] | None,
    d_logits: BlockLogits,
    diagonal: Array,
) -> Float[Array, "batch heads diagonals strip"] | None:
    if found is None:
        return None
    return found.at[:, :, diagonal].add(diagonals.gathered(d_logits))


def _added(x: Array, part: Array, index: Array) -> Array:
    """`x` with more in block number `index`."""
    return put(x, cut(x, index, part.shape[1]) + part, index)


def _beside(x: Float[Array, "batch heads length"]) -> Float[Array, "batch length heads 1"]:
    """One number a query, as a factor of what is mixed for it."""
    return x.swapaxes(1, 2)[..., None]


def _wide(x: Array) -> Array:
    return x.astype(jnp.float32)


def _zeros(x: Array) -> Array:
    return jnp.zeros_like(x, jnp.float32)
