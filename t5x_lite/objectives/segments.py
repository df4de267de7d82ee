"""Documents to segments of a fixed number of tokens, which an objective then rewrites.

A document longer than the chunk gives one random chunk; documents are joined 128 at a time so that
short ones leave no padding; what is joined is cut into segments. The order of the three is T5's.
"""

from collections.abc import Mapping

import seqio
import tensorflow as tf

from t5x_lite.objectives.objective import Seed

CHUNK_TOKENS = 65_536
DOCUMENTS_TO_JOIN = 128


def select_random_chunk(
    dataset: tf.data.Dataset, *, max_tokens: int = CHUNK_TOKENS
) -> tf.data.Dataset:
    """One chunk of each document, on a grid of `max_tokens`; empty documents are dropped."""

    @seqio.map_over_dataset(num_seeds=1)
    def select(example: Mapping[str, tf.Tensor], seed: Seed) -> dict[str, tf.Tensor]:
        tokens = example["targets"]
        num_chunks = (tf.size(tokens) + max_tokens - 1) // max_tokens
        chunk = tf.random.stateless_uniform((), seed, maxval=num_chunks, dtype=tf.int32)
        return {"targets": tokens[chunk * max_tokens : (chunk + 1) * max_tokens]}

    return select(dataset.filter(lambda example: tf.size(example["targets"]) > 0))


def join_documents(dataset: tf.data.Dataset, *, count: int = DOCUMENTS_TO_JOIN) -> tf.data.Dataset:
    """Each `count` documents become one, without anything between them."""
    joined = dataset.ragged_batch(count)
    return joined.map(
        lambda example: {"targets": example["targets"].values}, num_parallel_calls=tf.data.AUTOTUNE
    )


def split_tokens(
    dataset: tf.data.Dataset, *, max_tokens: int, min_tokens: int = 1
) -> tf.data.Dataset:
    """Segments of `max_tokens`; a document's last is shorter, or dropped below `min_tokens`."""

    def split(example: Mapping[str, tf.Tensor]) -> tf.data.Dataset:
        tokens = example["targets"]
        stop = tf.maximum(tf.size(tokens, tf.int64) - (min_tokens - 1), 0)
        starts = tf.data.Dataset.range(0, stop, max_tokens)
        return starts.map(lambda start: {"targets": tokens[start : start + max_tokens]})

    return dataset.flat_map(split)
