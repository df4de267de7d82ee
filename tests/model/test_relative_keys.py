"""Keys of distances and types are their formula, and distances know no side of a row."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import relative_keys
from t5x_lite.model.config import AttentionConfig, InitConfig, InitScheme, RelativeKeysConfig
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.initializer import Initializer

BATCH, LENGTH, EMBED, HEADS, HEAD_DIM = 2, 5, 6, 3, 4
ATTENTION = AttentionConfig(num_heads=HEADS, head_dim=HEAD_DIM)
INIT = Initializer(InitConfig(scheme=InitScheme.NORMAL, stddev=1.0))


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("config", [RelativeKeysConfig(), RelativeKeysConfig(max_distance=2)])
def test_scores_are_their_formula(config, streams):
    """In NumPy, pair by pair: sinusoids, the shift, both biases and the types, for queries of a
    second stream as well.
    """
    keys = relative_keys.RelativeKeys(config, ATTENTION, EMBED, init=INIT, key=jax.random.key(0))
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((BATCH, streams * LENGTH, HEADS, HEAD_DIM), np.float32)
    types = rng.integers(0, 3, (BATCH, LENGTH)).astype(np.int32)
    given = relative_keys.distances(
        config, LENGTH, EMBED, jnp.asarray(types), dtype=np.dtype("float32"), dropout=NO_DROPOUT
    )
    got = keys(jnp.asarray(queries), given)
    kernel = np.asarray(keys.distance.kernel[...]).reshape(EMBED, HEADS, HEAD_DIM)
    expected = np.zeros(got.shape)
    for row, head, query, key in np.ndindex(got.shape):
        place = query % LENGTH
        distance = np.clip(place - key, *np.array([-1, 1]) * (config.max_distance or LENGTH))
        angle = distance / 10_000 ** (np.arange(0, EMBED, 2) / EMBED)
        far = np.concatenate([np.sin(angle), np.cos(angle)]) @ kernel[:, head]
        alike = keys.types[...][int(types[row, place] != types[row, key]), head]
        q = queries[row, query, head]
        expected[row, head, query, key] = (q + keys.distance_bias[...][head]) @ far
        expected[row, head, query, key] += (q + keys.type_bias[...][head]) @ np.asarray(alike)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    contents = keys.for_contents(jnp.asarray(queries)) - queries
    np.testing.assert_allclose(contents[1, 2], keys.content_bias[...], rtol=0, atol=1e-6)


def test_distances_are_dropped_once_for_all_layers():
    """As vectors of tokens are; without a key nothing is."""
    make = functools.partial(
        relative_keys.distances, RelativeKeysConfig(), 4, EMBED, None, dtype=np.dtype("float32")
    )
    whole = np.asarray(make(dropout=NO_DROPOUT).sinusoids)
    dropped = make(dropout=Dropout(0.5, shared_along_length=False, key=jax.random.key(0)))
    found = np.asarray(dropped.sinusoids)
    assert whole.shape == (1, 8, EMBED) and 0 < (found == 0).sum() < found.size
    np.testing.assert_allclose(found[found != 0], 2 * whole[found != 0], rtol=1e-6)


def test_a_longest_distance_is_one():
    """0 would be none at all, which None says."""
    with pytest.raises(ValueError, match="max_distance=0: needed is at least 1"):
        RelativeKeysConfig(max_distance=0)
