"""The forms of attention beside each other, forward and backward, in bfloat16."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from benchmarks.accelerator import timing
from benchmarks.accelerator.parts.jax_device import card
from t5x_lite.errors import UserError
from t5x_lite.model import masks
from t5x_lite.model.attend import choice
from t5x_lite.model.choices import AttentionForm, Visibility
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import RelativeBiasConfig
from t5x_lite.model.dropout import NO_DROPOUT
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import PositionBias

__all__ = ["card", "measure"]

FORMS = (AttentionForm.DENSE, AttentionForm.BLOCKWISE, AttentionForm.CUDNN)
_CALLS, _REPEATS = 10, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """An attention of a model, with all that decides which forms it can have.

    Attributes:
        biased: with T5's learned bias of positions.
    """

    name: str
    batch: int
    q_len: int
    kv_len: int
    heads: int
    head_dim: int
    visibility: str
    biased: bool = False
    scale: float | None = None


def measure(shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each shape and form milliseconds of outputs with all gradients, and their largest
    difference from those of dense attention, as a share of the largest number of each; or why there
    is nothing.
    """
    return {"shapes": [_shape(Shape(**shape)) for shape in shapes]}


def _shape(shape: Shape) -> dict[str, Any]:
    arrays, expected = _arrays(shape), None
    forms: dict[str, dict[str, Any]] = {}
    for form in FORMS:
        try:
            found, told = _form(shape, form, arrays)
        except UserError as error:
            forms[form.value] = {"refused": str(error)}
            continue
        except Exception as error:  # a kernel that fails must not hide what the others do
            forms[form.value] = {"failed": str(error).strip().splitlines()[0][:200]}
            continue
        expected = found if expected is None else expected
        forms[form.value] = {**told, "difference": difference(found, expected)}
    return {**dataclasses.asdict(shape), "forms": forms}


def _form(shape: Shape, form: AttentionForm, arrays: tuple[Array, ...]) -> tuple[Any, dict]:
    compute = ComputeConfig(attention=form)

    def output(queries: Array, keys: Array, values: Array, table: Array) -> Array:
        mask = _mask(shape)
        bias = None
        if shape.biased:
            config = RelativeBiasConfig(bidirectional=shape.visibility == "full")
            bias = choice.prepared(PositionBias(table, config), mask, compute)
        return choice.attend(
            queries,
            keys,
            values,
            mask,
            position_bias=bias,
            scale=shape.scale,
            dropout=NO_DROPOUT,
            compute=compute,
        )

    @jax.jit
    def both(arrays: tuple[Array, ...], cotangent: Array) -> Any:
        found, backward = jax.vjp(output, *arrays)
        return found, backward(cotangent)

    found = jax.block_until_ready(both(arrays[:-1], arrays[-1]))
    last = found

    def work() -> None:
        nonlocal last
        last = both(arrays[:-1], arrays[-1])

    windows = timing.windows(
        work, lambda: jax.block_until_ready(last), count=_CALLS, repeats=_REPEATS
    )
    return found, {"milliseconds": 1e3 * min(windows)}


def _arrays(shape: Shape) -> tuple[Array, ...]:
    """Queries, keys, values, a table of the bias, and the cotangent of the outputs."""
    lengths = (shape.q_len, shape.kv_len, shape.kv_len, shape.q_len)
    keys = jax.random.split(jax.random.key(0), 5)
    of_heads = [
        jax.random.normal(key, (shape.batch, length, shape.heads, shape.head_dim), jnp.bfloat16)
        for key, length in zip(keys, lengths)
    ]
    queries, *others, cotangent = of_heads
    if shape.scale is None:  # T5's queries are as small as if they had been scaled
        queries = queries * jnp.bfloat16(shape.head_dim**-0.5)
    table = jax.random.normal(keys[-1], (shape.heads, RelativeBiasConfig().num_buckets))
    return queries, *others, table, cotangent


def _mask(shape: Shape) -> AttentionMask:
    """Of rows that are full of one example, with segment ids as in packed rows."""
    queries, keys = (
        jnp.ones((shape.batch, length), jnp.int32) for length in (shape.q_len, shape.kv_len)
    )
    return AttentionMask(
        visibility=Visibility(shape.visibility),
        q_positions=masks.row_positions(shape.q_len),
        kv_positions=masks.row_positions(shape.kv_len),
        q_segments=queries,
        kv_segments=keys,
    )


def difference(found: Any, expected: Any) -> float:
    """The largest one of all arrays, each as a share of its own largest number."""

    def of(one: Array, other: Array) -> Array:
        one, other = one.astype(jnp.float32), other.astype(jnp.float32)
        return jnp.max(jnp.abs(one - other)) / jnp.maximum(jnp.max(jnp.abs(other)), 1e-30)

    every = jax.tree.leaves(jax.tree.map(of, found, expected))
    return float(jnp.max(jnp.stack(every)))
