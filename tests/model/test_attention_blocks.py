"""Which blocks of queries and keys attention goes through."""

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import masks
from t5x_lite.model.attend import tpu_kernels
from t5x_lite.model.attend.blocks import Blocks
from t5x_lite.model.choices import Visibility
from t5x_lite.model.masks import AttentionMask


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("window", [None, 1, 2, 4, 5, 6, 30])
def test_blocks_are_those_in_which_something_is_seen(visibility, window):
    """No more, so that the work in a window grows with the length; and the grid of the kernels
    comes by each of them once.
    """
    # Whatever the prefix of a row is.
    seen_of_rows = Visibility.CAUSAL if visibility is Visibility.CAUSAL else Visibility.FULL
    for length, block in ((12, 4), (13, 4), (13, 5), (7, 16), (24, 1)):
        blocks = Blocks(length, length, block, visibility, window=window)
        mask = AttentionMask(
            visibility=seen_of_rows,
            q_positions=masks.row_positions(length),
            kv_positions=masks.row_positions(length),
            window=window,
        )
        seen = np.argwhere(np.asarray(masks.allowed(mask))[0, 0]) // blocks.q_block
        expected = {tuple(pair) for pair in seen}
        assert [*map(tuple, blocks.pairs)] == sorted(expected)
        for keys_first in (False, True):
            count = blocks.queries_in_reach if keys_first else blocks.keys_in_reach
            steps = (
                tpu_kernels.step_of(blocks, m, n, keys_first=keys_first)
                for m in jnp.arange(blocks.q_blocks)
                for n in jnp.arange(count)
            )
            reached = [(int(at.i), int(at.j)) for at in steps if blocks.reaches(at.i, at.j)]
            assert sorted(reached) == sorted(expected)
            if window is not None:
                assert count <= 3 + 2 * (window - 1) // blocks.q_block
