"""Masks against oracles written from SPEC B.2.2 and B.2.3."""

import collections
import math

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

from t5x_lite.objectives import lengths, noise

LENGTHS = st.lists(st.integers(2, 700), min_size=1, max_size=6)


def rows_of(mask, sizes):
    return np.split(np.asarray(mask), np.cumsum(sizes)[:-1])


def mask_of(kind, sizes, number=0):
    seeds = tuple(tf.constant([number, i], tf.int64) for i in (1, 2))
    return rows_of(kind(tf.constant(sizes, tf.int32), seeds), sizes)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    sizes=LENGTHS,
    density=st.sampled_from([0.1, 0.15, 0.25, 0.5]),
    mean=st.sampled_from([2.0, 3.0, 5.0, 10.0, 64.0]),
    number=st.integers(0, 2**20),
)
def test_spans_have_exactly_the_counted_noise(sizes, density, mean, number):
    """Counts are a function of the length, which is what makes batches of full rows possible."""
    for size, row in zip(
        sizes, mask_of(noise.random_spans(density=density, mean=mean), sizes, number)
    ):
        expected = lengths.noise_counts(size, noise_density=density, mean_span_length=mean)
        starts = np.flatnonzero(np.diff(row.astype(int)) == 1)
        assert (row.sum(), len(starts)) == expected
        assert len(row) == size and not row[0] and row[-1]


def test_every_composition_is_equally_likely():
    """7 as a sum of 3 positive numbers has C(6, 2) = 15 forms; chi-squared at p = 0.001.

    Beside rows of other totals and numbers of parts, which must not matter.
    """
    draws = 3000
    totals = tf.constant([7, 9, 2] * draws)
    parts = noise.random_compositions(
        totals, tf.constant([3, 5, 1] * draws), tf.constant([0, 1], tf.int64)
    ).numpy()
    assert (parts[1::3] > 0).all() and (parts[1::3].sum(1) == 9).all()
    assert (parts[2::3] == [2, 0, 0, 0, 0]).all()
    assert (parts[::3, :3] > 0).all() and (parts[::3, 3:] == 0).all()
    counts = collections.Counter(map(tuple, parts[::3, :3].tolist()))
    assert len(counts) == math.comb(6, 2) and all(sum(form) == 7 for form in counts)
    expected = draws / 15
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 36.1


def test_no_segment_is_no_noise():
    """Documents of a single token each leave no segment at all."""
    for kind in (
        noise.random_spans(density=0.15, mean=3.0),
        noise.iid_tokens(density=0.15),
        noise.random_prefix,
        noise.every_token,
    ):
        seeds = (tf.constant([0, 1], tf.int64),) * 2
        assert kind(tf.zeros([0], tf.int32), seeds).shape == (0,)


def test_the_prefix_is_uniform():
    """INV-11: k from 1 to N - 1 equally often; chi-squared with 8 degrees at p = 0.001."""
    rows = mask_of(noise.random_prefix, [10] * 9000)
    prefixes = [int(row.sum()) for row in rows]
    assert all(row.tolist() == [True] * k + [False] * (10 - k) for row, k in zip(rows, prefixes))
    counts = collections.Counter(prefixes)
    assert sorted(counts) == list(range(1, 10))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 26.1


def test_iid_noise_has_its_density():
    """Within three standard errors, and independent of the neighbour."""
    mask = np.concatenate(mask_of(noise.iid_tokens(density=0.15), [511] * 100))
    error = np.sqrt(0.15 * 0.85 / mask.size)
    assert abs(mask.mean() - 0.15) < 3 * error
    both = (mask[1:] & mask[:-1]).mean()
    assert abs(both - 0.15**2) < 3 * np.sqrt(0.15**2 / mask.size)
