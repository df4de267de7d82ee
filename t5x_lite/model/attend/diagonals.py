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
    """The bias of each logit of a block. Numbers are moved, not multiplied, so none is rounded."""
    heads, width = strip.shape
    block = width // 2
    # Rows one narrower than what is repeated begin one later each time.
    repeated = jnp.broadcast_to(strip[:, None, :], (heads, block, width)).reshape(heads, -1)
    moved = repeated[:, : block * (width - 1)].reshape(heads, block, width - 1)
    return moved[:, :, :block]


def gathered(blocks: Float[Array, "batch heads block block"]) -> Float[Array, "batch heads strip"]:
    """The sums along the diagonals of a block: the transpose of `spread`."""
    *rows, block, _ = blocks.shape
    width = 2 * block
    moved = jnp.pad(blocks, ((0, 0), (0, 0), (0, 0), (0, width - 1 - block)))
    moved = jnp.pad(moved.reshape(*rows, -1), ((0, 0), (0, 0), (0, block)))
    return moved.reshape(*rows, block, width).sum(axis=-2)
