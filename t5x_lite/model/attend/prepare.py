"""What all forms that go block by block have in common before they begin."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.model import maxima
from t5x_lite.model.attend import diagonals
from t5x_lite.model.attend.block_logits import Form, Heads, Inputs, largest_logit
from t5x_lite.model.attend.blocks import Blocks, Rows
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import PositionBias


def prepare(
    queries: Heads,
    keys: Float[Array, "batch kv_len heads head_dim"],
    values: Float[Array, "batch kv_len heads head_dim"],
    mask: AttentionMask,
    *,
    position_bias: PositionBias | None,
    scale: float | None,
    dropout: Dropout,
    block: int,
    multiple: int = 1,
) -> tuple[Form, Inputs]:
    """What goes block by block. Positions of the mask have to be 0, 1, 2, ... of the rows. Dropout
    that is shared along the queries drops what dense attention drops, other dropout something else.

    Args:
        multiple: of how many queries and keys a block has to be.
    """
    assert mask.q_positions.shape == (1, queries.shape[1]), "no row has positions of its own"
    blocks = Blocks(queries.shape[1], keys.shape[1], block, mask.visibility, multiple, mask.window)
    form = Form(blocks, scale, dropout.rate)
    strips, noise = None, None
    if position_bias is not None:
        assert blocks.q_len == blocks.kv_len, "a relative bias is one of self-attention"
        strips = diagonals.strips(position_bias, blocks.q_blocks, blocks.q_block)
    if dropout.drops and dropout.shared_along_length:
        values = without_dropped(values, dropout)
    elif dropout.drops:
        noise = dropout.fold("weights").key
    rows = Rows(mask.q_segments, mask.kv_segments, mask.kv_in_prefix)
    inputs = Inputs(queries, keys, values, strips, rows, noise, mask.is_local)
    if maxima.are_collected():
        maxima.observe("logits", largest_logit(form, jax.lax.stop_gradient(inputs)))
    return form, inputs


def without_dropped(
    values: Float[Array, "batch kv_len heads head_dim"], dropout: Dropout
) -> Float[Array, "batch kv_len heads head_dim"]:
    """Values of which a mixture has dropped weights: a weight that is dropped for all queries alike
    is a value that is.
    """
    batch, kv_len, heads, _ = values.shape
    kept = dropout.kept("weights", (batch, heads, 1, kv_len))
    return dropout.scaled(values, jnp.transpose(kept, (0, 3, 1, 2)))
