"""The bucket rule: SPEC'd by its borders, by a float64 formula and by what T5X computed."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import position_bias
from t5x_lite.model.config import RelativeBiasConfig

OFFSETS = range(-300, 301)
CAUSAL = RelativeBiasConfig(bidirectional=False)
TWO_SIDED = RelativeBiasConfig(bidirectional=True)


def expected_bucket(offset, *, buckets, bidirectional):
    """Raffel et al. (2020), section 2.1, in float64; 1e-9 keeps exact powers from rounding down."""
    first = 0
    if bidirectional:
        buckets //= 2
        first, distance = (buckets if offset > 0 else 0), abs(offset)
    else:
        distance = max(-offset, 0)
    exact = buckets // 2
    if distance < exact:
        return first + distance
    steps = math.log(distance / exact) / math.log(128 / exact) * (buckets - exact)
    return first + min(exact + math.floor(steps + 1e-9), buckets - 1)


@pytest.mark.parametrize("config", [CAUSAL, TWO_SIDED], ids=["causal", "two_sided"])
def test_buckets_follow_the_formula(config):
    """INV-4: one bucket off at a border is invisible in training and breaks checkpoints."""
    got = np.asarray(position_bias.buckets_of(jnp.array(OFFSETS), config))
    expected = [
        expected_bucket(offset, buckets=32, bidirectional=config.bidirectional)
        for offset in OFFSETS
    ]
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("config", "starts"),
    [
        (
            CAUSAL,
            {16: 16, 19: 17, 21: 18, 24: 19, 27: 20, 31: 21, 35: 22, 40: 23, 46: 24, 52: 25}
            | {59: 26, 67: 27, 77: 28, 87: 29, 99: 30, 113: 31},
        ),
        (TWO_SIDED, {8: 8, 12: 9, 16: 10, 23: 11, 32: 12, 46: 13, 64: 14, 91: 15}),
    ],
    ids=["causal", "two_sided"],
)
def test_each_log_bucket_starts_where_the_released_models_have_it(config, starts):
    """The published borders: each distance opens its bucket and the one before does not."""
    distances = np.array(list(starts))
    at = np.asarray(position_bias.buckets_of(jnp.asarray(-distances), config))
    before = np.asarray(position_bias.buckets_of(jnp.asarray(1 - distances), config))
    np.testing.assert_array_equal(at, list(starts.values()))
    np.testing.assert_array_equal(before, at - 1)


@pytest.mark.test_data
@pytest.mark.parametrize("length", [20, 100, 256])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_equal_those_of_t5x(test_data_dir, bidirectional, length):
    """Stored inputs and outputs of T5X itself."""
    name = f"test_buckets_against_t5x_{bidirectional}_{length}.npy"
    # The file holds a dict, which NumPy stores as a pickle.
    case = np.load(test_data_dir / "references" / name, allow_pickle=True).item()
    config = RelativeBiasConfig(bidirectional=bidirectional)
    got = position_bias.buckets_of(jnp.asarray(case["inputs"]), config)
    np.testing.assert_array_equal(got, case["outputs"])


def test_the_bias_is_the_table_entry_of_the_bucket():
    """Row q, column k reads the bucket of k - q: a flipped sign would swap the two directions."""
    bias = position_bias.RelativePositionBias(3, 32, key=jax.random.key(0))
    queries, keys = jnp.array([[2, 7]]), jnp.array([[0, 1, 2, 3, 50]])
    got = np.asarray(bias(TWO_SIDED).array(queries, keys))
    table = np.asarray(bias.rel_embedding[...])
    for i, query in enumerate([2, 7]):
        for j, key in enumerate([0, 1, 2, 3, 50]):
            bucket = expected_bucket(key - query, buckets=32, bidirectional=True)
            np.testing.assert_array_equal(got[0, :, i, j], table[:, bucket])


@pytest.mark.parametrize("config", [CAUSAL, TWO_SIDED], ids=["causal", "two_sided"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_the_bias_of_whole_rows_is_the_bias_of_their_positions(config, length):
    """To the last bit; its gradient adds up the same numbers in another order."""
    table = jax.random.normal(jax.random.key(0), (3, 32))
    positions = jnp.arange(length)[None, :]

    def rows(table):
        return position_bias.PositionBias(table, config).of_whole_rows(length)

    def each(table):
        return position_bias.PositionBias(table, config).array(positions, positions)

    (got, backward), (expected, expected_backward) = jax.vjp(rows, table), jax.vjp(each, table)
    np.testing.assert_array_equal(got, expected)
    gradient = jax.random.normal(jax.random.key(1), expected.shape)
    np.testing.assert_allclose(
        backward(gradient)[0], expected_backward(gradient)[0], rtol=1e-5, atol=1e-6
    )
