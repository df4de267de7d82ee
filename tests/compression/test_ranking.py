"""The smallest weights of a layer, by sorting them in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.compression import ranking
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

SHAPE = (24, 10)


def weights_with(kind):
    """A kernel with what is hard to rank."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal(SHAPE).astype(np.float32)
    if kind == "ties":
        weights = np.round(weights).astype(np.float32)
    if kind == "zeros":
        weights[rng.random(SHAPE) < 0.4] = 0
        weights[0, 0] = -0.0
    if kind == "extremes":
        weights[3] *= np.float32(1e-40)  # smaller than any normal number
        weights[5] *= np.float32(1e38)
    return weights


@pytest.mark.parametrize("kind", ["normal", "ties", "zeros", "extremes"])
@pytest.mark.parametrize("count", [0, 1, 37, 120, 239, 240])
def test_exactly_so_many_are_the_lowest(kind, count):
    """Of equal ones the first, row by row, as a stable sort has them."""
    weights = weights_with(kind)
    found = jax.jit(lambda w, n: ranking.lowest(ranking.magnitudes(w), n))(weights, count)
    expected = np.zeros(weights.size, bool)
    expected[np.argsort(np.abs(weights), axis=None, kind="stable")[:count]] = True
    np.testing.assert_array_equal(found, expected.reshape(SHAPE))


@pytest.mark.parametrize(("kept", "size"), [(2, 4), (1, 3), (7, 8)])
def test_the_largest_of_each_group_are_spared(kept, size):
    """A group are weights of one output that follow each other along the inputs."""
    keys = ranking.magnitudes(jnp.asarray(weights_with("ties")))
    found = np.asarray(ranking.spared(keys, (kept, size)))
    for group, before in zip(
        found.T.reshape(-1, size), np.asarray(keys).T.reshape(-1, size), strict=True
    ):
        goes = np.sort(np.argsort(before, kind="stable")[: size - kept])
        np.testing.assert_array_equal(np.flatnonzero(group < 2**31 - 1), goes)
        np.testing.assert_array_equal(group[goes], before[goes])


@pytest.mark.parametrize("axes", [("embed", "mlp"), ("mlp", "embed")])
def test_a_layer_that_is_divided_needs_no_more_than_its_parts(axes):
    """Numbers travel between devices, and no weights."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=8))
    weights = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    placed = jax.device_put(weights, partitioner.sharding(axes))
    lowest = jax.jit(
        lambda w: jnp.where(ranking.lowest(ranking.magnitudes(w), jnp.int32(999)), 0, w)
    )
    assert len(placed.sharding.device_set) == 8 and not placed.is_fully_replicated
    np.testing.assert_array_equal(lowest(placed), lowest(weights))
    assert "all-gather" not in lowest.lower(placed).compile().as_text()
