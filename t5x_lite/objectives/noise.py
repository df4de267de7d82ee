"""Which tokens are noise: masks over the tokens of many segments, row after row in one vector."""

from collections.abc import Callable

import tensorflow as tf

Seeds = tuple[tf.Tensor, tf.Tensor]
Mask = Callable[[tf.Tensor, Seeds], tf.Tensor]


def iid_tokens(*, density: float) -> Mask:
    """Each token by itself, so how many it are is random."""

    def mask(lengths: tf.Tensor, seeds: Seeds) -> tf.Tensor:
        return tf.random.stateless_uniform([tf.reduce_sum(lengths)], seeds[0]) < density

    return mask


def every_token(lengths: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """All tokens."""
    del seeds
    return tf.fill([tf.reduce_sum(lengths)], True)


def random_prefix(lengths: tf.Tensor, seeds: Seeds) -> tf.Tensor:
    """The first k tokens, k uniform from 1 to length - 1."""
    uniform = tf.random.stateless_uniform(tf.shape(lengths), seeds[0], dtype=tf.float64)
    prefixes = 1 + tf.cast(uniform * tf.cast(lengths - 1, tf.float64), tf.int32)
    return _alternate(tf.stack([tf.zeros_like(lengths), prefixes, lengths - prefixes], axis=1))


def random_spans(*, density: float, mean: float) -> Mask:
    """Noise in spans: how much is a function of the length, only the places are random.

    A segment starts with kept tokens and ends with noise. With a mean of infinity there is one
    span, the end of the segment.
    """

    def mask(lengths: tf.Tensor, seeds: Seeds) -> tf.Tensor:
        # In float64, as Python counts in `lengths.noise_counts`.
        wanted = tf.round(tf.cast(lengths, tf.float64) * density)
        num_noise = tf.clip_by_value(tf.cast(wanted, tf.int32), 1, lengths - 1)
        spans = tf.round(tf.cast(num_noise, tf.float64) / mean)
        num_spans = tf.clip_by_value(tf.cast(spans, tf.int32), 1, lengths - num_noise)
        noise = random_compositions(num_noise, num_spans, seeds[0])
        kept = random_compositions(lengths - num_noise, num_spans, seeds[1])
        # Compositions of fewer parts end with zeros, and so do these runs.
        rows = tf.shape(lengths)[0]
        return _alternate(tf.reshape(tf.stack([kept, noise], axis=2), [rows, -1]))

    return mask


def _alternate(runs: tf.Tensor) -> tf.Tensor:
    """Runs [rows, n] of kept, noise, kept, noise, ... tokens as one mask."""
    return tf.repeat(
        tf.tile(tf.range(tf.shape(runs)[1]) % 2 == 1, tf.shape(runs)[:1]), tf.reshape(runs, [-1])
    )


def random_compositions(totals: tf.Tensor, parts: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Each total as a sum of its number of positive parts, every such sum equally likely.

    Row i of the result has parts[i] numbers that sum to totals[i], and zeros behind them.
    """
    # A composition chooses parts - 1 of the total - 1 places between units: those of the largest of
    # so many random numbers.
    num_cuts = tf.maximum(tf.reduce_max(parts), 1) - 1
    num_places = tf.maximum(tf.reduce_max(totals), 1) - 1
    numbers = tf.random.stateless_uniform([tf.size(totals), num_places], seed)
    numbers = tf.where(tf.range(num_places) < totals[:, None] - 1, numbers, -1.0)
    cuts = 1 + tf.math.top_k(numbers, num_cuts, sorted=True).indices
    cuts = tf.where(tf.range(num_cuts) < parts[:, None] - 1, cuts, totals[:, None])
    ends = tf.concat([tf.sort(cuts, axis=1), totals[:, None]], axis=1)
    return ends - tf.pad(ends[:, :-1], [[0, 0], [1, 0]])
