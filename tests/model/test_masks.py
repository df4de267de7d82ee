"""Who sees whom: Raffel et al. (2020), section 3.2.1 and figure 3."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import masks
from t5x_lite.model.config import Visibility
from t5x_lite.model.masks import AttentionMask

LENGTH = 5


def self_mask(visibility, **conditions):
    positions = masks.row_positions(LENGTH)
    return AttentionMask(
        visibility=visibility,
        q_positions=positions,
        kv_positions=positions,
        **{name: jnp.asarray(value)[None] for name, value in conditions.items()},
    )


def matrix(mask):
    return np.asarray(masks.allowed(mask))[0, 0]


@pytest.mark.parametrize("prefix", range(LENGTH + 1))
def test_mask_matrices(prefix):
    """INV-5: full sees all, causal what is not later, prefix also what is in the prefix."""
    query, key = np.indices((LENGTH, LENGTH))
    in_prefix = np.arange(LENGTH) < prefix
    assert matrix(self_mask(Visibility.FULL)).all()
    np.testing.assert_array_equal(matrix(self_mask(Visibility.CAUSAL)), key <= query)
    np.testing.assert_array_equal(
        matrix(self_mask(Visibility.PREFIX, kv_in_prefix=in_prefix)),
        (key <= query) | (key < prefix),
    )


@pytest.mark.parametrize("window", range(1, LENGTH + 2))
@pytest.mark.parametrize("visibility", Visibility)
def test_a_window_takes_away_what_is_far(visibility, window):
    """On either side, in a prefix too; one as long as the row takes nothing."""
    query, key = np.indices((LENGTH, LENGTH))
    mask = self_mask(visibility, kv_in_prefix=np.arange(LENGTH) < LENGTH - 1)
    narrowed = dataclasses.replace(mask, window=window)
    near = (key > query - window) & (key < query + window)
    np.testing.assert_array_equal(matrix(narrowed), matrix(mask) & near)
    for is_local in (True, False):
        of_layer = dataclasses.replace(narrowed, is_local=jnp.asarray(is_local))
        np.testing.assert_array_equal(matrix(of_layer), matrix(narrowed if is_local else mask))


@pytest.mark.parametrize("segments", [[1, 1, 1, 2, 2], [1, 1, 2, 0, 0], [1, 0, 1, 1, 0]], ids=str)
@pytest.mark.parametrize("visibility", Visibility)
def test_segments_only_take_away(visibility, segments):
    """Whatever the visibility: no query sees another example, and none of an example padding."""
    in_prefix, segments = np.array([1, 1, 0, 1, 1], bool), np.array(segments)
    alone = matrix(self_mask(visibility, kv_in_prefix=in_prefix))
    limited = matrix(
        self_mask(visibility, kv_in_prefix=in_prefix, q_segments=segments, kv_segments=segments)
    )
    same = segments[:, None] == segments[None, :]
    np.testing.assert_array_equal(limited, alone & same)
    assert not limited[np.ix_(segments > 0, segments == 0)].any()


def test_positions_begin_anew_in_each_segment():
    """Each example of a packed row, and the padding behind, is counted from 0."""
    counts = [[3, 1, 4, 2], [10, 0, 0, 0], [1, 5, 0, 4]]
    segments = np.stack([np.repeat([1, 2, 3, 0], row) for row in counts])
    expected = np.stack([np.concatenate([np.arange(n) for n in row]) for row in counts])
    np.testing.assert_array_equal(masks.positions_in(jnp.asarray(segments)), expected)
    positions = masks.row_positions(10)
    given = {"visibility": Visibility.CAUSAL, "q_positions": positions, "kv_positions": positions}
    segments = jnp.asarray(segments)
    mask = AttentionMask(**given, q_segments=segments, kv_segments=segments)
    np.testing.assert_array_equal(mask.token_positions, expected)
    np.testing.assert_array_equal(AttentionMask(**given).token_positions, positions)


def test_the_bias_is_zero_or_minus_1e10_in_float32():
    """float32, because -1e10 must vanish under a softmax whatever the activations are."""
    mask = self_mask(Visibility.CAUSAL)
    bias = masks.bias_of(mask)
    assert bias.dtype == jnp.float32
    np.testing.assert_array_equal(np.asarray(bias)[0, 0], np.where(matrix(mask), 0.0, -1e10))


def test_a_prefix_mask_without_a_prefix_is_refused():
    """Otherwise a prefix LM would silently train as a language model."""
    with pytest.raises(ValueError, match="decoder_causal_attention"):
        self_mask(Visibility.PREFIX)


def test_segments_of_one_side_are_refused():
    """Otherwise a packed decoder would attend to all examples of an encoder row."""
    with pytest.raises(ValueError, match="encoder_segment_ids and decoder_segment_ids"):
        self_mask(Visibility.FULL, q_segments=np.ones(LENGTH, int))
