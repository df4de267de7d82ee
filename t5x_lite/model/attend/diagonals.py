"""The position bias of blocks: a block of logits holds an offset along each of its diagonals, so
that 2 * block numbers tell the bias of block * block logits.

A strip of block d has the offset 0, 1, ... in its columns and, behind those, -block, ..., -1: row r
of a block is the strip moved to the right by r, its end coming in from the left.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.model.position_bias import PositionBias

# The strips of all blocks: block (i, j) of queries and keys has the number j - i + blocks - 1.
Strips = Float[Array, "heads diagonals strip"]


def strips(bias: PositionBias, blocks: int, block: int) -> Strips:
    """What to add along the diagonals of every block, of `blocks` rows and columns of blocks."""
    column = jnp.arange(2 * block)
    within = jnp.where(column < block, column, column - 2 * block)
    between = (jnp.arange(2 * blocks - 1) - (blocks - 1)) * block
    return bias.by_offset(between[:, None] + within[None, :])


def spread(strip: Float[Array, "heads strip"]) -> Float[Array, "heads block block"]:
    """The bias of each logit of a block. Numbers are moved, not multiplied, so none is rounded;
    twice as many rows each time, since compilers take long over a reshape that does it at once.
    """
    block = strip.shape[1] // 2
    rows = strip[:, None, :]
    while (there := rows.shape[1]) < block:
        rows = jnp.concatenate([rows, jnp.roll(rows, there, axis=-1)], axis=1)
    return rows[:, :block, :block]


def gathered(blocks: Float[Array, "batch heads block block"]) -> Float[Array, "batch heads strip"]:
    """The sums along the diagonals of a block: the transpose of `spread`."""
    block = blocks.shape[-1]
    rows = 1 << (block - 1).bit_length()
    found = jnp.pad(blocks, ((0, 0), (0, 0), (0, rows - block), (0, block)))
    while rows > 1:
        rows //= 2
        found = found[:, :, :rows] + jnp.roll(found[:, :, rows:], -rows, axis=-1)
    return found[:, :, 0]
