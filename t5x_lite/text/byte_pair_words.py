"""Texts to words, as byte-level BPE cuts them, in TensorFlow's own operations.

Python within tf.data has no position that could be saved, and RE2 knows no lookahead and another
Unicode than the `tokenizers` library. So that library tells the class of every character, and where
words begin follows from a character's class and those beside it.
"""

import functools

import numpy as np
import tensorflow as tf

from t5x_lite.text.byte_pair import word_splitter

_SPACE, _LETTER, _NUMBER, _OTHER, _NOTHING = range(5)
# Beyond them no version of Unicode has letters, numbers or blanks yet.
_NUM_CODES = 0x40000
_SURROGATES = range(0xD800, 0xE000)
_BLANK, _APOSTROPHE = ord(" "), ord("'")
_SHORT, _LONG = "stmd", ("re", "ve", "ll")


def words(texts: tf.Tensor) -> tf.RaggedTensor:
    """The words of [batch] texts: [batch, (words)].

    Bytes that are no UTF-8 are of the class of other symbols, as their escapes in Python are.
    """
    codes, offsets = tf.strings.unicode_decode_with_offsets(texts, "UTF-8")
    begins = _begins(codes)
    lengths = tf.strings.length(texts)
    first_bytes = tf.gather(tf.cumsum(lengths, exclusive=True), offsets.value_rowids())
    places = tf.boolean_mask(tf.cast(offsets.values, tf.int32) + first_bytes, begins)
    marks = tf.scatter_nd(places[:, None], tf.ones_like(places), [tf.reduce_sum(lengths)])
    every = tf.strings.unsorted_segment_join(
        tf.strings.bytes_split(texts).values, tf.cumsum(marks) - 1, tf.size(places)
    )
    per_text = tf.reduce_sum(codes.with_values(tf.cast(begins, tf.int64)), axis=1)
    return tf.RaggedTensor.from_row_lengths(every, per_text, validate=False)


def _begins(codes: tf.RaggedTensor) -> tf.Tensor:
    """Whether a word begins at a character, for those of all texts."""
    code = codes.values
    starts, classes = _classes()
    kind = tf.gather(classes, tf.searchsorted(starts, code, side="right") - 1)
    place = tf.range(tf.size(code)) - tf.gather(
        tf.cast(codes.row_starts(), tf.int32), tf.cast(codes.value_rowids(), tf.int32)
    )
    length = tf.gather(tf.cast(codes.row_lengths(), tf.int32), codes.value_rowids())

    def before(values: tf.Tensor, count: int, none: int | bool) -> tf.Tensor:
        return tf.where(place >= count, tf.roll(values, count, axis=0), none)

    def behind(values: tf.Tensor, count: int, none: int | bool) -> tf.Tensor:
        return tf.where(place + count < length, tf.roll(values, -count, axis=0), none)

    # White space is one word, but for its last character, if there is a word behind it ...
    last, next_kind = before(kind, 1, _NOTHING), behind(kind, 1, _NOTHING)
    is_left_over = (next_kind != _SPACE) & (next_kind != _NOTHING)
    # ... which begins with that character if it is a blank.
    has_blank = before(code, 1, _NOTHING) == _BLANK
    begins = tf.where(kind == _SPACE, (last != _SPACE) | is_left_over, (last != kind) & ~has_blank)
    # A contraction is a word where nothing before it takes its apostrophe.
    short, long = (
        begins & (code == _APOSTROPHE) & found
        for found in _contractions(behind(code, 1, 0), behind(code, 2, 0))
    )
    goes_on = before(short | long, 1, False) | before(long, 2, False)
    return (begins & ~goes_on) | before(short, 2, False) | before(long, 3, False)


def _contractions(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where one and where two characters are what is left of a word that was contracted."""
    short = functools.reduce(tf.logical_or, (first == ord(one) for one in _SHORT))
    long = functools.reduce(
        tf.logical_or, ((first == ord(end[0])) & (second == ord(end[1])) for end in _LONG)
    )
    return short, long


@functools.cache
def _classes() -> tuple[np.ndarray, np.ndarray]:
    """The code points from which on characters are of another class, and that class."""
    split = word_splitter()
    examples = {"a": _LETTER, "1": _NUMBER, "\t": _SPACE, "!": _OTHER}

    def class_of(character: str) -> int:
        together = (one for one in examples if len(split.pre_tokenize_str(one + character)) == 1)
        return examples[next(together)]

    characters = "".join(chr(i) for i in range(_NUM_CODES) if i not in _SURROGATES)
    starts, classes = [_NUM_CODES], [_OTHER]
    for _, (first, _) in split.pre_tokenize_str(characters):
        code = ord(characters[first])
        if code == _BLANK:  # which is in one word with what follows
            starts.append(code)
            classes.append(_SPACE)
            code += 1
        starts.append(code)
        classes.append(class_of(chr(code)))
    order = np.argsort(starts)
    return np.array(starts, np.int32)[order], np.array(classes, np.int32)[order]
