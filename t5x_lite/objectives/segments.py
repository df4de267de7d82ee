"""Documents to segments of a fixed number of tokens, which an objective then rewrites.

A document longer than the chunk gives one random chunk; documents are joined 128 at a time so that
short ones leave no padding; what is joined is cut into segments. The order of the three is T5's.
All rows of a ragged tensor are treated at once.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

CHUNK_TOKENS = 65_536
DOCUMENTS_AT_ONCE = 128


def ragged(values: tf.Tensor, row_lengths: tf.Tensor) -> tf.RaggedTensor:
    """Rows of those lengths; nothing is checked, since everything here counts exactly."""
    return tf.RaggedTensor.from_row_lengths(values, row_lengths, validate=False)


def batches(dataset: tf.data.Dataset, count: int) -> tf.data.Dataset:
    """Examples of {name: tokens} as ragged rows, `count` at a time."""
    groups = dataset.ragged_batch(count)
    if all(isinstance(spec, tf.RaggedTensorSpec) for spec in groups.element_spec.values()):
        return groups

    # Where the length of a feature is the same in all examples and known, tf.data makes it dense.
    @tf.autograph.experimental.do_not_convert
    def as_ragged(group: Mapping[str, tf.Tensor | tf.RaggedTensor]) -> dict[str, tf.RaggedTensor]:
        return {
            name: rows
            if isinstance(rows, tf.RaggedTensor)
            else tf.RaggedTensor.from_tensor(rows, row_splits_dtype=tf.int64)
            for name, rows in group.items()
        }

    return groups.map(as_ragged, num_parallel_calls=tf.data.AUTOTUNE)


def select(rows: tf.RaggedTensor, keep: tf.Tensor) -> tf.RaggedTensor:
    """Of each row the tokens whose place in `flat_values` is kept."""
    # Faster than counting per row: how many are kept before the end of each row.
    kept_before = tf.pad(tf.cumsum(tf.cast(keep, tf.int64)), [[1, 0]])
    return tf.RaggedTensor.from_row_splits(
        tf.boolean_mask(rows.flat_values, keep),
        tf.gather(kept_before, rows.row_splits),
        validate=False,
    )


def places(rows: tf.RaggedTensor) -> tf.Tensor:
    """0, 1, 2, ... within each row, for all of `flat_values`."""
    return tf.ragged.range(rows.row_lengths(), row_splits_dtype=tf.int64).flat_values


def random_chunks(
    documents: tf.RaggedTensor, seed: tf.Tensor, *, max_tokens: int = CHUNK_TOKENS
) -> tf.RaggedTensor:
    """One chunk of each document, on a grid of `max_tokens`."""
    lengths = documents.row_lengths()
    num_chunks = -(-lengths // max_tokens)
    uniform = tf.random.stateless_uniform(tf.shape(lengths), seed, dtype=tf.float64)
    chunk = tf.cast(uniform * tf.cast(num_chunks, tf.float64), tf.int64)
    return select(documents, places(documents) // max_tokens == tf.repeat(chunk, lengths))


def join(documents: tf.RaggedTensor) -> tf.RaggedTensor:
    """All documents as one row, without anything between them."""
    return ragged(documents.flat_values, tf.size(documents.flat_values, tf.int64)[None])


def append(documents: tf.RaggedTensor, token: int) -> tf.RaggedTensor:
    """The token at the end of each document that is not empty."""
    column = tf.fill([documents.nrows(), 1], tf.cast(token, documents.dtype))
    ends = tf.RaggedTensor.from_tensor(column)
    return tf.concat([documents, ends], axis=1)


def prepend(rows: tf.RaggedTensor, tokens: Sequence[int]) -> tf.RaggedTensor:
    """The same tokens in front of each row."""
    front = tf.tile(tf.constant([list(tokens)], rows.dtype), [rows.nrows(), 1])
    return tf.concat([tf.RaggedTensor.from_tensor(front), rows], axis=1)


def split(documents: tf.RaggedTensor, *, max_tokens: int, min_tokens: int = 1) -> tf.RaggedTensor:
    """Segments of `max_tokens`; a document's last is shorter, or dropped below `min_tokens`."""
    lengths = documents.row_lengths()
    counts = -(-tf.maximum(lengths - (min_tokens - 1), 0) // max_tokens)
    kept = tf.minimum(lengths, counts * max_tokens)
    tokens = tf.boolean_mask(documents.flat_values, places(documents) < tf.repeat(kept, lengths))
    segments = ragged(tf.repeat(kept, counts), counts)  # of each segment: its document's tokens
    return ragged(
        tokens, tf.minimum(segments.flat_values - places(segments) * max_tokens, max_tokens)
    )
