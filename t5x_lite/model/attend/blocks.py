"""Which blocks of queries and keys there are, and who sees whom within one."""

import dataclasses
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from t5x_lite.model import masks
from t5x_lite.model.choices import Visibility
from t5x_lite.model.masks import AttentionMask

# The number of a block, or of many.
Number = TypeVar("Number", np.ndarray, Array)


class Rows(NamedTuple):
    """What of a mask is different from row to row."""

    q_segments: Int[Array, "batch q_len"] | None
    kv_segments: Int[Array, "batch kv_len"] | None
    kv_in_prefix: Bool[Array, "batch kv_len"] | None


@dataclasses.dataclass(frozen=True)
class Blocks:
    """Queries and keys 0, 1, 2, ... of a row, cut to blocks; the last ones are filled up. A block
    is as long as its row where that is shorter, up to a multiple of `multiple`. Only a sequence
    that attends to itself has a `window`.
    """

    q_len: int
    kv_len: int
    block: int
    visibility: Visibility
    multiple: int = 1
    window: int | None = None

    def __post_init__(self) -> None:
        assert self.window is None or self.q_len == self.kv_len, "blocks are alike in a window"

    @property
    def q_block(self) -> int:
        """Queries of a block."""
        return min(self.block, _up(self.q_len, self.multiple))

    @property
    def kv_block(self) -> int:
        """Keys of a block."""
        return min(self.block, _up(self.kv_len, self.multiple))

    @property
    def q_blocks(self) -> int:
        """Number of blocks of queries."""
        return -(-self.q_len // self.q_block)

    @property
    def kv_blocks(self) -> int:
        """Number of blocks of keys."""
        return -(-self.kv_len // self.kv_block)

    @property
    def all_pairs(self) -> np.ndarray:
        """(block of queries, block of keys), row after row."""
        return np.indices((self.q_blocks, self.kv_blocks)).reshape(2, -1).T

    @property
    def pairs(self) -> np.ndarray:
        """Those of `all_pairs` in which a query may see a key."""
        pairs = self.all_pairs
        return pairs[self.reaches(*pairs.T)]

    def reaches(self, i: Number, j: Number) -> Number:
        """Whether a query of block i may see a key of block j, as far as its row alone tells. In a
        window, blocks behind the last one may be asked for: nothing reaches those.
        """
        causal = self.visibility is Visibility.CAUSAL
        seen = j * self.kv_block < (i + 1) * self.q_block if causal else j >= 0
        if self.window is None:
            return seen
        return seen & (abs(j - i) <= self._reach) & (i < self.q_blocks) & (j < self.kv_blocks)

    @property
    def _reach(self) -> int:
        """How many blocks a window goes beyond a query's own, on either side."""
        assert self.window is not None, "asked only of a window"
        return -(-(self.window - 1) // self.q_block)

    @property
    def _span(self) -> int:
        """Blocks of keys that a block of queries reaches at most, and the other way round."""
        sides = 1 if self.visibility is Visibility.CAUSAL else 2
        return min(self.q_blocks, 1 + sides * self._reach)

    @property
    def keys_in_reach(self) -> int:
        """At how many blocks of keys a block of queries has to look; in a window from `first_keys`
        on.
        """
        return self.kv_blocks if self.window is None else self._span

    @property
    def queries_in_reach(self) -> int:
        """By how many blocks of queries a block of keys may be seen; in a window from
        `first_queries` on.
        """
        return self.q_blocks if self.window is None else self._span

    def first_keys(self, i: Int[Array, ""]) -> Int[Array, ""]:
        """The first block of keys that block i of the queries reaches, in a window."""
        return jnp.maximum(i - self._reach, 0)

    def first_queries(self, j: Int[Array, ""]) -> Int[Array, ""]:
        """The first block of queries that reaches block j of the keys, in a window."""
        return j if self.visibility is Visibility.CAUSAL else jnp.maximum(j - self._reach, 0)

    def fill_queries(self, x: Array) -> Array:
        """[batch, q_len, ...] with zeros up to whole blocks."""
        return _filled(x, self.q_blocks * self.q_block)

    def fill_keys(self, x: Array) -> Array:
        """[batch, kv_len, ...] with zeros up to whole blocks."""
        return _filled(x, self.kv_blocks * self.kv_block)

    def fill(self, rows: Rows) -> Rows:
        """The conditions of whole blocks."""
        return Rows(
            None if rows.q_segments is None else self.fill_queries(rows.q_segments),
            None if rows.kv_segments is None else self.fill_keys(rows.kv_segments),
            None if rows.kv_in_prefix is None else self.fill_keys(rows.kv_in_prefix),
        )

    def mask(self, rows: Rows, i: Int[Array, ""], j: Int[Array, ""]) -> AttentionMask:
        """The mask of block i of the queries and block j of the keys; `rows` are filled up."""
        return AttentionMask(
            visibility=self.visibility,
            window=self.window,
            q_positions=i * self.q_block + masks.row_positions(self.q_block),
            kv_positions=j * self.kv_block + masks.row_positions(self.kv_block),
            kv_in_prefix=_cut(rows.kv_in_prefix, j, self.kv_block),
            q_segments=_cut(rows.q_segments, i, self.q_block),
            kv_segments=_cut(rows.kv_segments, j, self.kv_block),
        )

    def is_query(self, i: Int[Array, ""]) -> Bool[Array, "q_block"]:
        """False for what fills up block i of the queries."""
        return i * self.q_block + jnp.arange(self.q_block) < self.q_len

    def is_key(self, j: Int[Array, ""]) -> Bool[Array, "kv_block"]:
        """False for what fills up block j of the keys."""
        return j * self.kv_block + jnp.arange(self.kv_block) < self.kv_len

    def diagonal(self, i: Int[Array, ""], j: Int[Array, ""]) -> Int[Array, ""]:
        """Number of the diagonal of blocks on which block (i, j) lies."""
        return j - i + self.q_blocks - 1


def cut(x: Array, index: Int[Array, ""], block: int, axis: int = 1) -> Array:
    """Block number `index` of an axis."""
    return jax.lax.dynamic_slice_in_dim(x, index * block, block, axis)


def put(x: Array, part: Array, index: Int[Array, ""], axis: int = 1) -> Array:
    """`x` with another block number `index` of an axis."""
    return jax.lax.dynamic_update_slice_in_dim(x, part, index * part.shape[axis], axis)


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _cut(x: Array | None, index: Int[Array, ""], block: int) -> Array | None:
    return None if x is None else cut(x, index, block)


def _filled(x: Array, length: int) -> Array:
    return jnp.pad(x, ((0, 0), (0, length - x.shape[1]), *[(0, 0)] * (x.ndim - 2)))
