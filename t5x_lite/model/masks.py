"""Who may attend to whom, kept symbolic until `bias_of` makes the one array that attention adds.

All conditions must hold at once: the visibility lets query i see key j, both belong to one segment
(Raffel et al. 2020, section 3.2.1), they are less than a window apart, if there is one in this
layer, and the key's rank is within the query's reach, if tokens have an order of their own.
Segments are packed examples 1, 2, ...; 0 is padding. Keys of a memory, which stand before those of
tokens, have no position and no segment: a row sees them or not.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.errors import UserError
from t5x_lite.model.config import Visibility

MASKED = -1e10


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionMask:
    """visibility x segments x window x ranks; `None` stands for "no such condition".

    Rows are 1 where all rows of the batch are alike. Positions count along the row, also in packed
    rows, where `token_positions` count in each example; a segment is all in one piece, so that a
    distance in the row is one in the example. Where layers differ, one mask serves them all and
    `is_local` tells of each whether the window holds; None is for a window in every layer.
    """

    visibility: Visibility
    q_positions: Int[Array, "q_rows q_len"]
    kv_positions: Int[Array, "kv_rows kv_len"]
    kv_in_prefix: Bool[Array, "batch kv_len"] | None = None
    q_segments: Int[Array, "batch q_len"] | None = None
    kv_segments: Int[Array, "batch kv_len"] | None = None
    window: int | None = None
    is_local: Bool[Array, ""] | None = None
    q_reach: Int[Array, "batch q_len"] | None = None
    kv_ranks: Int[Array, "batch kv_len"] | None = None
    sees_memory: Bool[Array, "batch memories"] | None = None

    def __post_init__(self) -> None:
        if self.visibility is Visibility.PREFIX and self.kv_in_prefix is None:
            raise UserError(
                "visibility='prefix' needs to know the prefix: give the feature "
                "decoder_causal_attention, 1 on the inputs and the position after them."
            )
        if (self.q_segments is None) != (self.kv_segments is None):
            raise UserError(
                "segment ids are given for one side of an attention only; batches carry "
                "encoder_segment_ids and decoder_segment_ids together."
            )

    @property
    def is_of_whole_rows(self) -> bool:
        """Whether queries and keys are all positions of one sequence, alike in every row; what a
        cache is asked for is one position.
        """
        return self.q_positions.shape == self.kv_positions.shape == (1, self.q_positions.shape[1])

    @property
    def token_positions(self) -> Int[Array, "rows q_len"]:
        """Where each query stands in its own example."""
        if self.q_segments is None:
            return self.q_positions
        return positions_in(self.q_segments)


def last_in(segments: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """Of each position the last one of its segment.

    >>> import jax.numpy as jnp
    >>> [int(p) for p in last_in(jnp.array([[1, 1, 1, 2, 2, 0, 0]]))[0]]
    [2, 2, 2, 4, 4, 6, 6]
    """
    length = segments.shape[1]
    behind = jnp.pad(segments, ((0, 0), (0, 1)), constant_values=-1)[:, 1:]
    ends = jnp.where(segments != behind, row_positions(length), length - 1)
    return jax.lax.cummin(ends, axis=1, reverse=True)


def row_positions(length: int) -> Int[Array, "1 length"]:
    """0, 1, 2, ...: the positions of every row."""
    return jnp.arange(length, dtype=jnp.int32)[None, :]


def positions_in(segments: Int[Array, "batch length"]) -> Int[Array, "batch length"]:
    """0, 1, 2, ... from the beginning of each segment.

    >>> import jax.numpy as jnp
    >>> [int(p) for p in positions_in(jnp.array([[1, 1, 1, 2, 2, 0, 0]]))[0]]
    [0, 1, 2, 0, 1, 0, 1]
    """
    index = row_positions(segments.shape[1])
    before = jnp.pad(segments, ((0, 0), (1, 0)), constant_values=-1)[:, :-1]
    starts = jnp.where(segments != before, index, 0)
    return index - jax.lax.cummax(starts, axis=1)


def allowed(mask: AttentionMask) -> Bool[Array, "rows 1 q_len kv_len"]:
    """True where a query sees a key."""
    query = mask.q_positions[:, None, :, None]
    key = mask.kv_positions[:, None, None, :]
    see = key <= query
    if mask.visibility is Visibility.FULL:
        see = jnp.ones_like(see)
    elif mask.kv_in_prefix is not None and mask.visibility is Visibility.PREFIX:
        see = see | mask.kv_in_prefix[:, None, None, :]
    if mask.q_segments is not None and mask.kv_segments is not None:
        same = mask.q_segments[:, None, :, None] == mask.kv_segments[:, None, None, :]
        see = see & same
    if mask.window is not None:
        near = jnp.abs(key - query) < mask.window
        see = see & (near if mask.is_local is None else near | ~mask.is_local)
    if mask.q_reach is not None and mask.kv_ranks is not None:
        see = see & (mask.kv_ranks[:, None, None, :] <= mask.q_reach[:, None, :, None])
    if mask.sees_memory is None:
        return see
    rows, memories = mask.sees_memory.shape
    remembered = jnp.broadcast_to(
        mask.sees_memory[:, None, None, :], (rows, 1, see.shape[2], memories)
    )
    return jnp.concatenate([remembered, jnp.broadcast_to(see, (rows, *see.shape[1:]))], axis=-1)


def beside_memory(
    bias: Float[Array, "rows heads q_len kv_len"], mask: AttentionMask
) -> Float[Array, "rows heads q_len all_len"]:
    """What is added to logits of tokens, and nothing to those of a memory before them."""
    memories = 0 if mask.sees_memory is None else mask.sees_memory.shape[1]
    return jnp.pad(bias, ((0, 0), (0, 0), (0, 0), (memories, 0))) if memories else bias


def bias_of(mask: AttentionMask) -> Float[Array, "rows 1 q_len kv_len"]:
    """0 where a query sees a key and -1e10 elsewhere, to be added to float32 logits."""
    return jnp.where(allowed(mask), 0.0, MASKED).astype(jnp.float32)
