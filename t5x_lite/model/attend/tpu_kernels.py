"""The Pallas kernels of attention on TPUs: one forward, two backward (Dao et al. 2022).

Logits of a block never leave the chip's vector memory. Everything lies transposed, [head_dim,
length] and [keys, queries], so that what a query has once is a row along the lanes, and a head of
64 numbers fills no more memory than 64.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Array, Float

from t5x_lite.model.attend.block_logits import Form, Heads, Inputs
from t5x_lite.model.attend.blocks import Blocks, Rows
from t5x_lite.model.attend.blockwise import Kept, Softmax
from t5x_lite.model.choices import Visibility
from t5x_lite.model.masks import MASKED
from t5x_lite.model.precision import precision_of

LANES = 128
# Of 128 MB; a block of 512 needs about 10 for its logits and their like.
_VMEM_BYTES = 64 * 2**20
# Which dimensions of the factors are summed: of columns with columns, and so on.
_COLUMNS, _PLAIN, _ROWS = ((0,), (0,)), ((1,), (0,)), ((1,), (1,))


class Step(NamedTuple):
    """Where the grid stands: blocks i of queries and j of keys, the inner one at step n."""

    i: Any
    j: Any
    n: Any


@dataclasses.dataclass(frozen=True)
class Part:
    """An array of the kernel and the part of it that a step of the grid sees, by (b, h, i, j)."""

    array: Any
    shape: tuple[int, ...]
    index: Callable[..., tuple[Any, ...]]


def forward(form: Form, inputs: Inputs) -> tuple[Heads, Softmax]:
    """The mixtures and what softmax has of each query."""
    blocks, given = form.blocks, _parts(form, inputs)
    batch, heads, head_dim, length = given["queries"].array.shape
    row = _per_query(blocks, jax.ShapeDtypeStruct((batch, heads, 1, length), jnp.float32))
    mixed, largest, total = _call(
        functools.partial(_forward_kernel, form),
        given,
        {"mixed": _like(given["queries"]), "largest": row, "total": row},
        (batch, heads),
        blocks,
        scratch=[(1, blocks.q_block), (1, blocks.q_block), (head_dim, blocks.q_block)],
    )
    return _lengthwise(mixed, blocks.q_len), Softmax(largest[:, :, 0], total[:, :, 0])


def backward(form: Form, kept: Kept, d_mixed: Heads) -> tuple[Inputs]:
    """The gradient of what `forward` was given."""
    inputs, mixed, softmax = kept
    blocks, given = form.blocks, _parts(form, inputs)
    batch, heads, head_dim, _ = given["queries"].array.shape
    common = jnp.sum(d_mixed.astype(jnp.float32) * mixed.astype(jnp.float32), axis=-1)
    common = blocks.fill_queries(common).swapaxes(1, 2)
    for name, x in (("largest", softmax.largest), ("total", softmax.total), ("common", common)):
        given[name] = _per_query(blocks, x[:, :, None])
    given["d_mixed"] = dataclasses.replace(
        given["queries"], array=_transposed(blocks.fill_queries(d_mixed))
    )
    (d_queries,) = _call(
        functools.partial(_queries_kernel, form),
        given,
        {"d_queries": _like(given["queries"])},
        (batch, heads),
        blocks,
        scratch=[(head_dim, blocks.q_block)],
    )
    found = {"d_keys": _like(given["keys"]), "d_values": _like(given["values"])}
    if inputs.strips is not None:
        diagonals, strip = inputs.strips.shape[1:]
        shape = jax.ShapeDtypeStruct((batch, heads, diagonals, strip), jnp.float32)
        found["d_strips"] = Part(shape, (1, 1, diagonals, strip), lambda b, h, i, j: (b, h, 0, 0))
    d_keys, d_values, *d_strips = _call(
        functools.partial(_keys_kernel, form),
        given,
        found,
        (batch, heads),
        blocks,
        scratch=[(head_dim, blocks.kv_block)] * 2,
        keys_first=True,
    )
    return (
        Inputs(
            queries=_lengthwise(d_queries, blocks.q_len),
            keys=_lengthwise(d_keys, blocks.kv_len),
            values=_lengthwise(d_values, blocks.kv_len),
            strips=_mirrored(jnp.sum(d_strips[0], axis=0)) if d_strips else None,
            rows=Rows(None, None, None),
            noise=None,
            is_local=None,
        ),
    )


def _forward_kernel(form: Form, refs: Mapping[str, Any], at: Step) -> None:
    largest, total, mixed = refs["scratch"]

    @pl.when(at.n == 0)
    def _begin() -> None:
        largest[...] = jnp.full_like(largest, -jnp.inf)
        total[...] = jnp.zeros_like(total)
        mixed[...] = jnp.zeros_like(mixed)

    @pl.when(form.blocks.reaches(at.i, at.j))
    def _go_on() -> None:
        logits, before = _logits(form, refs, at), largest[...]
        now = jnp.maximum(before, jnp.max(logits, axis=0, keepdims=True))
        weights, shrink = jnp.exp(logits - now), jnp.exp(before - now)
        largest[...] = now
        total[...] = total[...] * shrink + jnp.sum(weights, axis=0, keepdims=True)
        mixed[...] = mixed[...] * shrink + _product(refs["values"][0, 0], weights, _PLAIN)

    @pl.when(at.n == form.blocks.keys_in_reach - 1)
    def _end() -> None:
        refs["mixed"][0, 0] = (mixed[...] / total[...]).astype(refs["mixed"].dtype)
        refs["largest"][0, 0], refs["total"][0, 0] = largest[...], total[...]


def _queries_kernel(form: Form, refs: Mapping[str, Any], at: Step) -> None:
    (found,) = refs["scratch"]

    @pl.when(at.n == 0)
    def _begin() -> None:
        found[...] = jnp.zeros_like(found)

    @pl.when(form.blocks.reaches(at.i, at.j))
    def _go_on() -> None:
        d_products = _scaled(form, _d_logits(form, refs, at)[1])
        found[...] += _product(refs["keys"][0, 0], d_products, _PLAIN)

    @pl.when(at.n == form.blocks.keys_in_reach - 1)
    def _end() -> None:
        refs["d_queries"][0, 0] = found[...].astype(refs["d_queries"].dtype)


def _keys_kernel(form: Form, refs: Mapping[str, Any], at: Step) -> None:
    of_keys, of_values = refs["scratch"]

    @pl.when(at.n == 0)
    def _begin() -> None:
        of_keys[...] = jnp.zeros_like(of_keys)
        of_values[...] = jnp.zeros_like(of_values)

    if "d_strips" in refs:

        @pl.when((at.n == 0) & (at.j == 0))
        def _begin_strips() -> None:
            refs["d_strips"][...] = jnp.zeros_like(refs["d_strips"])

    @pl.when(form.blocks.reaches(at.i, at.j))
    def _go_on() -> None:
        weights, d_logits = _d_logits(form, refs, at)
        of_values[...] += _product(refs["d_mixed"][0, 0], weights, _ROWS)
        of_keys[...] += _product(refs["queries"][0, 0], _scaled(form, d_logits), _ROWS)
        if "d_strips" in refs:
            diagonal = pl.ds(form.blocks.diagonal(at.i, at.j), 1)
            refs["d_strips"][0, 0, diagonal, :] += _gathered(d_logits)

    @pl.when(at.n == form.blocks.queries_in_reach - 1)
    def _end() -> None:
        refs["d_keys"][0, 0] = of_keys[...].astype(refs["d_keys"].dtype)
        refs["d_values"][0, 0] = of_values[...].astype(refs["d_values"].dtype)


def _d_logits(form: Form, refs: Mapping[str, Any], at: Step) -> tuple[Array, Array]:
    """The weights of a block and the gradient of its logits."""
    weights = jnp.exp(_logits(form, refs, at) - refs["largest"][0, 0]) / refs["total"][0, 0]
    d_weights = _product(refs["values"][0, 0], refs["d_mixed"][0, 0], _COLUMNS)
    return weights, weights * (d_weights - refs["common"][0, 0])


def _logits(form: Form, refs: Mapping[str, Any], at: Step) -> Array:
    """As dense attention has them, [keys, queries]; -inf where there is no key."""
    blocks = form.blocks
    logits = _scaled(form, _product(refs["keys"][0, 0], refs["queries"][0, 0], _COLUMNS))
    if "strips" in refs:
        logits = logits + _spread(refs["strips"][0, 0], blocks.kv_block)
    key = at.j * blocks.kv_block + jax.lax.broadcasted_iota(jnp.int32, logits.shape, 0)
    query = at.i * blocks.q_block + jax.lax.broadcasted_iota(jnp.int32, logits.shape, 1)
    see = key < blocks.kv_len
    if blocks.visibility is not Visibility.FULL:
        see = key <= query
    if "kv_in_prefix" in refs:
        see = see | (refs["kv_in_prefix"][0] != 0)
    if "q_segments" in refs:
        see = see & (refs["q_segments"][0] == refs["kv_segments"][0])
    if blocks.window is not None:
        see = see & (jnp.abs(key - query) < blocks.window)
    return jnp.where(key < blocks.kv_len, logits + jnp.where(see, 0.0, MASKED), -jnp.inf)


def _spread(strip: Float[Array, "1 strip"], block: int) -> Float[Array, "block block"]:
    """The bias of a block: each row begins one to the right of that before it."""
    rows = jnp.broadcast_to(strip, (block, strip.shape[1]))
    return pltpu.roll(rows, 0, 1, stride=1, stride_axis=0)[:, :block]


def _gathered(block: Float[Array, "block block"]) -> Float[Array, "1 strip"]:
    """The sums along the diagonals: the transpose of `_spread`. Rows far apart are added first, so
    that each halving has half of the work left.
    """
    found = jnp.concatenate([block, jnp.zeros_like(block)], axis=1)
    while (rows := found.shape[0]) > 1:
        half = rows // 2 if rows % 16 == 0 or rows <= 8 else 8
        added = found[:half]
        for first in range(half, rows, half):
            added = added + pltpu.roll(found[first : first + half], found.shape[1] - first, 1)
        found = added
    return found


def _scaled(form: Form, x: Array) -> Array:
    return x if form.scale is None else x * form.scale


def _product(left: Array, right: Array, dimensions: tuple) -> Array:
    """A product of activations (the right one is made some), summed in float32."""
    return jax.lax.dot_general(
        left,
        right.astype(left.dtype),
        (dimensions, ((), ())),
        precision=precision_of(left.dtype),
        preferred_element_type=jnp.float32,
    )


def _parts(form: Form, inputs: Inputs) -> dict[str, Part]:
    """What every kernel reads."""
    blocks, rows = form.blocks, form.blocks.fill(inputs.rows)
    head_dim = inputs.queries.shape[-1]
    of_queries = (1, 1, head_dim, blocks.q_block), lambda b, h, i, j: (b, h, 0, i)
    of_keys = (1, 1, head_dim, blocks.kv_block), lambda b, h, i, j: (b, h, 0, j)
    of_kv_rows = (1, blocks.kv_block, 1), lambda b, h, i, j: (b, j, 0)
    parts = {
        "queries": Part(_transposed(blocks.fill_queries(inputs.queries)), *of_queries),
        "keys": Part(_transposed(blocks.fill_keys(inputs.keys)), *of_keys),
        "values": Part(_transposed(blocks.fill_keys(inputs.values)), *of_keys),
    }
    if inputs.strips is not None:
        parts["strips"] = Part(
            _mirrored(inputs.strips)[:, :, None],
            (1, 1, 1, inputs.strips.shape[-1]),
            lambda b, h, i, j: (h, blocks.diagonal(i, j), 0, 0),
        )
    if rows.q_segments is not None and rows.kv_segments is not None:
        parts["q_segments"] = Part(
            rows.q_segments[:, None], (1, 1, blocks.q_block), lambda b, h, i, j: (b, 0, i)
        )
        parts["kv_segments"] = Part(rows.kv_segments[:, :, None], *of_kv_rows)
    if rows.kv_in_prefix is not None and blocks.visibility is Visibility.PREFIX:
        in_prefix = rows.kv_in_prefix.astype(jnp.int32)
        parts["kv_in_prefix"] = Part(in_prefix[:, :, None], *of_kv_rows)
    return parts


def _per_query(blocks: Blocks, array: Any) -> Part:
    return Part(array, (1, 1, 1, blocks.q_block), lambda b, h, i, j: (b, h, 0, i))


def _like(part: Part) -> Part:
    shape = jax.ShapeDtypeStruct(part.array.shape, part.array.dtype)
    return dataclasses.replace(part, array=shape)


def _call(
    kernel: Callable[..., None],
    given: Mapping[str, Part],
    found: Mapping[str, Part],
    each: tuple[int, int],
    blocks: Blocks,
    *,
    scratch: Sequence[tuple[int, ...]],
    keys_first: bool = False,
) -> Sequence[Array]:
    """Runs `kernel(refs, step)` over a grid of `each` row and head, block of queries and block of
    keys in its reach; with `keys_first` block of keys and block of queries that reach it.
    """
    names = [*given, *found]
    if keys_first:
        grid = (*each, blocks.kv_blocks, blocks.queries_in_reach)
    else:
        grid = (*each, blocks.q_blocks, blocks.keys_in_reach)

    def spec(part: Part) -> pl.BlockSpec:
        def index(b: Any, h: Any, m: Any, n: Any) -> tuple:
            i, j, _ = step_of(blocks, m, n, keys_first=keys_first)
            if blocks.window is not None:  # a step behind the last block reads that, for nothing
                i, j = jnp.minimum(i, blocks.q_blocks - 1), jnp.minimum(j, blocks.kv_blocks - 1)
            return part.index(b, h, i, j)

        return pl.BlockSpec(part.shape, index)

    def run(*refs: Any) -> None:
        named = dict(zip(names, refs, strict=False)) | {"scratch": refs[len(names) :]}
        kernel(named, step_of(blocks, pl.program_id(2), pl.program_id(3), keys_first=keys_first))

    return pl.pallas_call(
        run,
        grid=grid,
        in_specs=[spec(part) for part in given.values()],
        out_specs=[spec(part) for part in found.values()],
        out_shape=[part.array for part in found.values()],
        scratch_shapes=[pltpu.VMEM(shape, jnp.float32) for shape in scratch],
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "parallel", "arbitrary", "arbitrary"),
            vmem_limit_bytes=_VMEM_BYTES,
        ),
    )(*(part.array for part in given.values()))


def step_of(blocks: Blocks, m: Array, n: Array, *, keys_first: bool) -> Step:
    """What the inner dimensions of the grid stand for."""
    if blocks.window is None:
        return Step(n, m, n) if keys_first else Step(m, n, n)
    if keys_first:
        return Step(blocks.first_queries(m) + n, m, n)
    return Step(m, blocks.first_keys(m) + n, n)


def _mirrored(strips: Float[Array, "heads diagonals strip"]) -> Float[Array, "..."]:
    """Strips as blocks [keys, queries] read them, and back: offset u where -u was."""
    return jnp.roll(jnp.flip(strips, axis=-1), 1, axis=-1)


def _transposed(x: Heads) -> Float[Array, "batch heads head_dim length"]:
    return jnp.transpose(x, (0, 2, 3, 1))


def _lengthwise(x: Float[Array, "batch heads head_dim padded"], length: int) -> Heads:
    return jnp.transpose(x, (0, 3, 1, 2))[:, :length]
