"""What the `tokenizers` library makes of single characters, in TensorFlow's own operations.

Python within tf.data has no position that could be saved, and TensorFlow's Unicode is another
version than that library's, which knows fewer accents and punctuation marks. So the library is
asked once about every character, and texts are rewritten by table.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

# Between characters: no normalizer that is asked here changes it, or makes it of another one.
_BORDER = "\u2581"
_SURROGATES = range(0xD800, 0xE000)
# All that has a character yet, and of each range without any the first: planes 15 and 16 are for
# private use, but for their ends.
CODES = [
    *(code for code in range(0x40000) if code not in _SURROGATES),
    *range(0xE0000, 0xE1001),
    *(0xF0000, 0xFFFFE, 0x100000, 0x10FFFE),
]
_SAME, _GONE = 0, 1


@dataclasses.dataclass(frozen=True)
class Rewriting:
    """The code points from which on characters have another row, that row, and of each row what its
    characters become; those of row 0 stay as they are.
    """

    starts: tf.Tensor
    rows: tf.Tensor
    row_starts: tf.Tensor
    row_lengths: tf.Tensor
    codes: tf.Tensor


def rewriting(normalize: Callable[[str], str]) -> Rewriting:
    """The table of a normalizer of which each character is changed by itself."""
    texts = normalize(_BORDER.join(map(chr, CODES))).split(_BORDER)
    border = CODES.index(ord(_BORDER))
    texts = [*texts[:border], _BORDER, *texts[border + 2 :]]
    assert len(texts) == len(CODES), "a character became the border, or the border another one"
    known: dict[str, int] = {}
    rows = []
    for code, text in zip(CODES, texts, strict=True):
        if text == chr(code):
            rows.append(_SAME)
        else:
            rows.append(_GONE if not text else known.setdefault(text, _GONE + 1 + len(known)))
    lengths = [1, 0, *map(len, known)]
    with tf.init_scope():  # one copy, whichever functions use it
        starts, first_rows = intervals(CODES, rows)
        return Rewriting(
            starts=tf.constant(starts, tf.int32),
            rows=tf.constant(first_rows, tf.int32),
            row_starts=tf.constant(np.cumsum([0, 0, *lengths[1:-1]]), tf.int32),
            row_lengths=tf.constant(lengths, tf.int32),
            codes=tf.constant([ord(c) for text in known for c in text] + [0], tf.int32),
        )


def intervals(codes: Iterable[int], values: Iterable[int]) -> tuple[Sequence[int], Sequence[int]]:
    """The codes from which on the value is another one, and that value."""
    starts: list[int] = []
    found: list[int] = []
    for code, value in zip(codes, values, strict=True):
        if not found or found[-1] != value:
            starts.append(code)
            found.append(value)
    return starts, found


def look_up(codes: tf.Tensor, starts: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Of each code the value of its interval."""
    return tf.gather(values, tf.searchsorted(starts, codes, side="right") - 1)


def rewrite(texts: tf.RaggedTensor, table: Rewriting) -> tf.RaggedTensor:
    """[texts, (codes)] -> the same, each code as the table says."""
    code = texts.values
    row = look_up(code, table.starts, table.rows)
    lengths = tf.gather(table.row_lengths, row)
    ends = tf.cumsum(lengths)
    character = tf.repeat(tf.range(tf.size(code)), lengths)
    offset = tf.range(tf.size(character)) - tf.gather(ends - lengths, character)
    changed = tf.gather(
        table.codes, tf.gather(tf.gather(table.row_starts, row), character) + offset
    )
    values = tf.where(tf.gather(row, character) == _SAME, tf.gather(code, character), changed)
    splits = tf.gather(tf.concat([[0], ends], 0), texts.row_splits)
    return tf.RaggedTensor.from_row_splits(
        values, tf.cast(splits, texts.row_splits.dtype), validate=False
    )


def decode_utf8(texts: tf.Tensor) -> tf.RaggedTensor:
    """[texts] -> [texts, (codes)]; what is no UTF-8 is U+FFFD."""
    return tf.strings.unicode_decode(texts, "UTF-8", errors="replace")
