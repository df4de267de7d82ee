"""Ragged examples to rows of one length, packed as SeqIO packs or one in a row, without a loop.

Inputs [8 7 1] and [2 3 1], targets [4 1] and [5 6 1], lengths 7 and 6, packed:
inputs       8 7 1 2 3 1 0     targets      4 1 5 6 1 0
segment_ids  1 1 1 2 2 2 0     segment_ids  1 1 2 2 2 0
positions    0 1 2 0 1 2 0     positions    0 1 0 1 2 0

An example joins the row before it if every feature still fits. Rows are made of groups of as many
examples as the longest feature has places, and no row crosses the border of two groups.
"""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf


class Rows(NamedTuple):
    """[rows, length] each: values, the number of the example in its row from 1 on (0 is behind
    all), and the place in the example.
    """

    values: tf.Tensor
    segment_ids: tf.Tensor
    positions: tf.Tensor


def pad(group: Mapping[str, tf.RaggedTensor], lengths: Mapping[str, int]) -> dict[str, Rows]:
    """A row for each example; its positions count on behind its end."""
    return {name: _pad(examples, lengths[name]) for name, examples in group.items()}


def _pad(examples: tf.RaggedTensor, length: int) -> Rows:
    values = tf.cast(examples.to_tensor(shape=[None, length]), tf.int32)
    real = tf.sequence_mask(examples.row_lengths(), length, tf.int32)
    return Rows(values, real, tf.zeros_like(real) + tf.range(length))


def pack(group: Mapping[str, tf.RaggedTensor], lengths: Mapping[str, int]) -> dict[str, Rows]:
    """Rows of as many examples as fit, in order; no example may be longer than its length."""
    starts = _row_starts(group, lengths)
    row = tf.cumsum(tf.cast(starts, tf.int64)) - 1
    first = tf.gather(tf.where(starts)[:, 0], row)  # of each example: the first one in its row
    segment = tf.range(tf.size(row, tf.int64)) - first + 1
    packed = {}
    for name, examples in group.items():
        length = lengths[name]
        example = examples.value_rowids()
        position = tf.range(tf.size(example, tf.int64)) - tf.gather(examples.row_starts(), example)
        offset = examples.row_starts() - tf.gather(examples.row_starts(), first)
        place = tf.gather(row * length + offset, example) + position
        columns = (examples.flat_values, tf.gather(segment, example), position)
        values = tf.stack([tf.cast(column, tf.int32) for column in columns], axis=1)
        shape = tf.stack([(row[-1] + 1) * length, 3])
        rows = tf.reshape(tf.scatter_nd(place[:, None], values, shape), [-1, length, 3])
        packed[name] = Rows(*tf.unstack(rows, axis=2))
    return packed


def _row_starts(group: Mapping[str, tf.RaggedTensor], lengths: Mapping[str, int]) -> tf.Tensor:
    """Which examples are the first of their row."""
    # If a row started with example i, the next would start with the first that does not fit.
    fitting = [
        tf.searchsorted(examples.row_splits, examples.row_starts() + lengths[name], side="right")
        for name, examples in group.items()
    ]
    following = tf.reduce_min(tf.stack(fitting), axis=0) - 1
    num_examples = tf.size(following)
    # The end follows itself. From the first example on, jumps of 1, 2, 4, ... rows reach all.
    jump = tf.concat([following, [num_examples]], axis=0)
    reached = tf.range(num_examples + 1) == 0
    for _ in range(max(lengths.values()).bit_length()):
        landed = tf.boolean_mask(jump, reached)[:, None]
        hits = tf.scatter_nd(landed, tf.ones_like(landed[:, 0]), [num_examples + 1])
        reached = reached | (hits > 0)
        jump = tf.gather(jump, jump)
    return reached[:-1]
