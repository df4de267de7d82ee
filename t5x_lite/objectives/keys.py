"""Random numbers that are a function of a key alone: of a seed, or of what a text says.

A stateless generator of TensorFlow has one seed for a whole tensor. Here each row has its own, so
that it draws the same wherever it stands: what is drawn of the text itself is the same in every
epoch. Keys are uint64, stirred as SplitMix64 does (Steele et al. 2014, figure 14).
"""

import tensorflow as tf

from t5x_lite.objectives.segments import places

_FACTORS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_SHIFTS = (30, 27)
_LAST_SHIFT = 31
_STEP = 0x9E3779B97F4A7C15
_BITS = 53  # of a float64's fraction


def stir(keys: tf.Tensor | int) -> tf.Tensor:
    """Keys of which each bit depends on all of what was given: any integers."""
    if isinstance(keys, int):  # fewer operations for TensorFlow to trace
        return tf.constant(_stirred(keys), tf.uint64)
    keys = tf.cast(keys, tf.uint64) + tf.constant(_STEP, tf.uint64)
    for shift, factor in zip(_SHIFTS, _FACTORS, strict=True):
        keys = _folded(keys, shift) * tf.constant(factor, tf.uint64)
    return _folded(keys, _LAST_SHIFT)


def _folded(keys: tf.Tensor, shift: int) -> tf.Tensor:
    shifted = tf.bitwise.right_shift(keys, tf.constant(shift, tf.uint64))
    return tf.bitwise.bitwise_xor(keys, shifted)


def _stirred(number: int) -> int:
    """The same of a number that is known."""
    key = (number + _STEP) % 2**64
    for shift, factor in zip(_SHIFTS, _FACTORS, strict=True):
        key = (key ^ key >> shift) * factor % 2**64
    return key ^ key >> _LAST_SHIFT


def derived(keys: tf.Tensor, numbers: tf.Tensor | int) -> tf.Tensor:
    """Other keys: of each one that of its number."""
    return stir(tf.bitwise.bitwise_xor(keys, stir(numbers)))


def uniform(keys: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """float64 from 0 to below 1: of each key its draw of that number."""
    drawn = tf.bitwise.right_shift(derived(keys, number), tf.constant(64 - _BITS, tf.uint64))
    return tf.cast(drawn, tf.float64) * 2.0**-_BITS


def below(counts: tf.Tensor | int, keys: tf.Tensor, number: tf.Tensor | int) -> tf.Tensor:
    """int64 from 0 to below the count of each, which is at least 1."""
    return tf.cast(uniform(keys, number) * tf.cast(counts, tf.float64), tf.int64)


def of_seed(seed: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """So many keys of a seed of two numbers."""
    first, second = tf.unstack(tf.cast(seed, tf.int64))
    return derived(derived(stir(first), second), tf.range(count, dtype=tf.int64))


def of_tokens(rows: tf.RaggedTensor) -> tf.Tensor:
    """A key of each row, a function of its tokens and their order."""
    each = derived(stir(rows.flat_values), places(rows))
    sums = tf.math.segment_sum(tf.bitcast(each, tf.int64), rows.value_rowids())
    # Empty rows at the end have no sum.
    missing = rows.nrows() - tf.size(sums, tf.int64)
    return stir(tf.bitcast(tf.pad(sums, [[0, missing]]), tf.uint64))


def of_places(rows: tf.RaggedTensor, keys: tf.Tensor) -> tf.Tensor:
    """Of each token a key, from its row's and its place there."""
    return derived(tf.repeat(keys, rows.row_lengths()), places(rows))
