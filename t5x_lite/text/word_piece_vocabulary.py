"""WordPiece as SeqIO sees it: the same ids within tf.data, by operations of TensorFlow and of
tensorflow-text, which finds the longest pieces of a word.

What a word is, and how it is written, is the `tokenizers` library's by table (`characters`):
tensorflow-text's own normalization knows another Unicode and counts a word's bytes.
"""

import functools

import tensorflow as tf
import tensorflow_text
from etils import epath

from t5x_lite.text import characters
from t5x_lite.text.characters import Rewriting, rewriting
from t5x_lite.text.folder_vocabulary import FolderVocabulary, of_texts
from t5x_lite.text.word_piece import (
    CONTINUES,
    MAX_CHARACTERS,
    WordPieceTokenizer,
    WordRules,
    word_splitter,
)

_LETTER, _MARK, _SPACE = range(3)
# No word has it, since the rules leave it out; tensorflow-text takes no empty piece.
_NO_PIECE = "\ufffd"


class WordPieceVocabulary(FolderVocabulary[WordPieceTokenizer]):
    """A WordPiece vocabulary, BERT's for instance."""

    kind, kind_name = WordPieceTokenizer, "WordPiece"

    def __init__(self, path: epath.PathLike):
        super().__init__(path)
        self._pieces: tensorflow_text.FastWordpieceTokenizer | None = None

    def begins_word(self, i: int) -> bool:
        """What has no ## does."""
        return not self.tokenizer.name_of(i).startswith(CONTINUES)

    def _encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        table = _table(self.tokenizer.rules)
        each = words(characters.rewrite(characters.decode_utf8(texts), table))
        distinct, index = tf.unique(tf.strings.unicode_encode(each.values, "UTF-8"))
        is_long = tf.strings.length(distinct, unit="UTF8_CHAR") > MAX_CHARACTERS
        # A blank is in no piece either.
        ids = self._longest_pieces(tf.where(is_long, " ", distinct))
        return of_texts(tf.gather(ids, index), each.row_splits)

    def _longest_pieces(self, distinct: tf.Tensor) -> tf.RaggedTensor:
        if self._pieces is None:
            names = self.tokenizer.names
            with tf.init_scope():  # one copy, whichever functions use it
                self._pieces = tensorflow_text.FastWordpieceTokenizer(
                    [name or f"{_NO_PIECE}{i}" for i, name in enumerate(names)],
                    suffix_indicator=CONTINUES,
                    max_bytes_per_word=4 * MAX_CHARACTERS,
                    token_out_type=tf.int32,
                    unknown_token=names[self.tokenizer.special.unknown or 0],
                    no_pretokenization=True,
                )
        return self._pieces.tokenize(distinct)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        first, behind = map(tf.constant, self._texts())
        is_text = (ids >= 0) & (ids < self.tokenizer.num_ids)
        known = tf.where(is_text, ids, self.tokenizer.num_ids)
        has_text = tf.gather(behind, known) != ""
        is_first = has_text & (tf.cumsum(tf.cast(has_text, tf.int32), axis=-1) == 1)
        texts = tf.where(is_first, tf.gather(first, known), tf.gather(behind, known))
        return tf.strings.reduce_join(texts, axis=-1)

    def _texts(self) -> tuple[list[str], list[str]]:
        """Of each id, and of none, what it is in front of a text and what it is behind "a"."""
        tokenizer, special = self.tokenizer, self.tokenizer.special
        join = tokenizer.join
        no_text = {special.padding, special.start, special.end, special.mask}
        names = ["" if i in no_text else name for i, name in enumerate(tokenizer.names)]
        return (
            [*(join([name]) if name else "" for name in names), ""],
            [*(join(["a", name])[1:] if name else "" for name in names), ""],
        )


def words(texts: tf.RaggedTensor) -> tf.RaggedTensor:
    """The words of [texts, (codes)] that the rules have rewritten: [texts, (words), (codes)]."""
    code = texts.values
    kind = characters.look_up(code, *_classes())
    is_first = tf.scatter_nd(
        texts.row_starts()[:, None],
        tf.ones_like(texts.row_starts(), tf.int32),
        tf.shape(code, tf.int64) + 1,  # the texts at the end may be empty
    )[:-1]
    last = tf.where(is_first > 0, _SPACE, tf.roll(kind, 1, axis=0))
    is_word = kind != _SPACE
    begins = is_word & ((kind == _MARK) | (last != _LETTER))
    # In front of each code: how many words begin, and how many codes are of words.
    begun = tf.concat([[0], tf.cumsum(tf.cast(begins, tf.int64))], 0)
    kept = tf.concat([[0], tf.cumsum(tf.cast(is_word, tf.int64))], 0)
    ends = tf.concat([tf.boolean_mask(kept[:-1], begins), kept[-1:]], 0)
    each = tf.RaggedTensor.from_row_splits(tf.boolean_mask(code, is_word), ends, validate=False)
    return tf.RaggedTensor.from_row_splits(each, tf.gather(begun, texts.row_splits), validate=False)


@functools.cache
def _table(rules: WordRules) -> Rewriting:
    return rewriting(rules.normalizer().normalize_str)


@functools.cache
def _classes() -> tuple[tf.Tensor, tf.Tensor]:
    """The code points from which on characters are of another class, and that class."""
    split = word_splitter()
    text = "".join(map(chr, characters.CODES))
    classes = [_SPACE] * len(text)
    for word, (begin, end) in split.pre_tokenize_str(text):
        is_mark = end == begin + 1 and len(split.pre_tokenize_str(f"a{word}")) == 2
        classes[begin:end] = [_MARK if is_mark else _LETTER] * (end - begin)
    with tf.init_scope():
        starts, found = characters.intervals(characters.CODES, classes)
        return tf.constant(starts, tf.int32), tf.constant(found, tf.int32)
