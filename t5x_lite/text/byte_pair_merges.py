"""Words to ids by byte-level BPE, in TensorFlow's own operations on tables.

All words of a batch are merged at once: of each word the pair that was learned first, wherever it
stands in it, until no word has a pair that was learned. Most words are one piece, which a table of
those tells without merging anything.
"""

import dataclasses
import sys

import numpy as np
import tensorflow as tf

from t5x_lite.text.byte_pair import BYTE_CHARACTERS, BytePairTokenizer

_NO_RANK = np.iinfo(np.int32).max
_NUM_HASHES = sys.maxsize


@dataclasses.dataclass(frozen=True)
class Tables:
    """What TensorFlow looks up; keys are sorted, and the last one is never asked for."""

    num_pieces: int
    byte_ids: tf.Tensor
    pairs: tf.Tensor  # left * num_pieces + right
    ranks: tf.Tensor
    merged: tf.Tensor
    hashes: tf.Tensor
    words: tf.Tensor
    word_ids: tf.Tensor


def tables(tokenizer: BytePairTokenizer) -> Tables:
    """The pairs of a vocabulary, and the words that become one piece."""
    pieces = tokenizer.pieces
    ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    pairs = sorted(
        (pieces[left] * len(pieces) + pieces[right], rank, pieces[left + right])
        for (left, right), rank in ranks.items()
    )
    keys, pair_ranks, merged = zip(*pairs, (sys.maxsize, _NO_RANK, 0))
    known = [i for i, word in enumerate(tokenizer.bytes_of[: len(pieces)]) if word]
    known = [i for i in known if tokenizer.encode_word(tokenizer.bytes_of[i]) == [i]]
    with tf.init_scope():  # one copy, whichever functions use it
        words = tf.constant([tokenizer.bytes_of[i] for i in known])
        hashes = tf.strings.to_hash_bucket_fast(words, _NUM_HASHES)
        order = tf.argsort(hashes)
        return Tables(
            num_pieces=len(pieces),
            byte_ids=tf.constant([pieces[c] for c in BYTE_CHARACTERS], tf.int32),
            pairs=tf.constant(keys, tf.int64),
            ranks=tf.constant(pair_ranks, tf.int32),
            merged=tf.constant(merged, tf.int32),
            hashes=tf.concat([tf.gather(hashes, order), [sys.maxsize]], 0),
            words=tf.concat([tf.gather(words, order), [b""]], 0),
            word_ids=tf.concat([tf.gather(tf.constant(known, tf.int32), order), [0]], 0),
        )


def merge(words: tf.Tensor, tables: Tables) -> tf.RaggedTensor:
    """The ids of words, none of them empty: [words] -> [words, (pieces)]."""
    found = tf.searchsorted(tables.hashes, tf.strings.to_hash_bucket_fast(words, _NUM_HASHES))
    is_known = tf.gather(tables.words, found) == words
    known = tf.where(is_known)[:, 0]
    others = tf.where(~is_known)[:, 0]
    other_ids = _merge_bytes(tf.gather(words, others), tables)
    ids = tf.concat([tf.gather(tables.word_ids, tf.gather(found, known))[:, None], other_ids], 0)
    ids = tf.gather(ids, tf.argsort(tf.concat([known, others], 0)))
    return ids.with_row_splits_dtype(tf.int64)  # the dtype of others' rows of texts


def _merge_bytes(words: tf.Tensor, tables: Tables) -> tf.RaggedTensor:
    characters = tf.strings.bytes_split(words)
    values = tf.reshape(tf.io.decode_raw(characters.values, tf.uint8), [-1])
    ids = tf.gather(tables.byte_ids, tf.cast(values, tf.int32))
    word = tf.cast(characters.value_rowids(), tf.int32)
    nothing = tf.zeros([0], tf.int32)
    state = (ids, word, tf.range(tf.size(ids)), nothing, nothing, nothing)
    *_, ids, word, place = tf.while_loop(
        lambda ids, *_: tf.size(ids) > 0,
        lambda *state: _merge_once(*state, num_words=tf.size(words), tables=tables),
        state,
        shape_invariants=(tf.TensorShape([None]),) * len(state),
    )
    order = tf.argsort(place)
    return tf.RaggedTensor.from_value_rowids(
        tf.gather(ids, order), tf.gather(word, order), nrows=tf.size(words), validate=False
    )


def _merge_once(
    ids: tf.Tensor,
    word: tf.Tensor,
    place: tf.Tensor,
    done_ids: tf.Tensor,
    done_word: tf.Tensor,
    done_place: tf.Tensor,
    *,
    num_words: tf.Tensor,
    tables: Tables,
) -> tuple[tf.Tensor, ...]:
    """Merges in each word the pair that comes first; words without one are done.

    Args:
        ids: of all words that may have pairs, side by side.
        word: which word an id belongs to.
        place: where it began among the bytes of all words.
    """
    rank, merged = _look_up(ids, word, tables)
    first = tf.gather(tf.math.unsorted_segment_min(rank, word, num_words), word)
    is_done = first == _NO_RANK
    left = _every_other((rank == first) & ~is_done)
    right = tf.concat([[False], left[:-1]], 0)
    ids = tf.where(left, merged, ids)
    goes_on = ~right & ~is_done
    return (
        *(tf.boolean_mask(each, goes_on) for each in (ids, word, place)),
        tf.concat([done_ids, tf.boolean_mask(ids, is_done)], 0),
        tf.concat([done_word, tf.boolean_mask(word, is_done)], 0),
        tf.concat([done_place, tf.boolean_mask(place, is_done)], 0),
    )


def _look_up(ids: tf.Tensor, word: tf.Tensor, tables: Tables) -> tuple[tf.Tensor, tf.Tensor]:
    """Of each id with the one to its right: how early the pair was learned, and what it becomes."""
    wide = tf.cast(ids, tf.int64)
    key = wide * tables.num_pieces + tf.roll(wide, -1, axis=0)
    index = tf.searchsorted(tables.pairs, key)
    is_last = tf.concat([word[:-1] != word[1:], [True]], 0)
    found = (tf.gather(tables.pairs, index) == key) & ~is_last
    return tf.where(found, tf.gather(tables.ranks, index), _NO_RANK), tf.gather(
        tables.merged, index
    )


def _every_other(chosen: tf.Tensor) -> tf.Tensor:
    """Without the second, fourth ... of a run: "aaa" has two pairs, and one of them is merged."""
    index = tf.range(tf.size(chosen))
    begins = chosen & ~tf.concat([[False], chosen[:-1]], 0)
    run = tf.cumsum(tf.cast(begins, tf.int32))
    begin = tf.gather(tf.concat([[0], tf.where(begins)[:, 0]], 0), run)
    return chosen & ((index - tf.cast(begin, tf.int32)) % 2 == 0)
