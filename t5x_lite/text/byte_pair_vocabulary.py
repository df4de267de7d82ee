"""Byte-level BPE as SeqIO sees it: the same ids within tf.data, by TensorFlow's own operations."""

import tensorflow as tf
from etils import epath

from t5x_lite.text.byte_pair import BYTE_CHARACTERS, BytePairTokenizer
from t5x_lite.text.byte_pair_merges import Tables, merge, tables
from t5x_lite.text.byte_pair_words import words
from t5x_lite.text.folder_vocabulary import FolderVocabulary, of_texts

_BLANKS = tuple(BYTE_CHARACTERS[ord(blank)] for blank in " \n\t\r")


class BytePairVocabulary(FolderVocabulary[BytePairTokenizer]):
    """A byte-level BPE vocabulary, GPT-2's or RoBERTa's for instance."""

    kind, kind_name = BytePairTokenizer, "byte-level BPE"

    def __init__(self, path: epath.PathLike):
        super().__init__(path)
        self._tables: Tables | None = None

    @property
    def padding(self) -> int | None:
        """None where it is a piece of text, or the end of one."""
        special = self.tokenizer.special
        is_text = special.padding == special.end or self.tokenizer.bytes_of[special.padding]
        return None if is_text else special.padding

    def begins_word(self, i: int) -> bool:
        """Behind a blank or a new line."""
        return self.tokenizer.name_of(i).startswith(_BLANKS)

    def _encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        if self._tables is None:
            self._tables = tables(self.tokenizer)
        each = words(texts)
        distinct, index = tf.unique(each.values)
        ids = tf.gather(merge(distinct, self._tables), index)
        return of_texts(ids, each.row_splits)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        text = tf.constant([*self.tokenizer.bytes_of, b""])
        is_text = (ids >= 0) & (ids < self.tokenizer.num_ids)
        known = tf.where(is_text, ids, self.tokenizer.num_ids)
        return tf.strings.reduce_join(tf.gather(text, known), axis=-1)
