"""An encoder's SentencePiece as SeqIO sees it: the same ids within tf.data, without Python."""

import functools

import tensorflow as tf
import tensorflow_text as tf_text
import tokenizers
from etils import epath

from t5x_lite.text import characters
from t5x_lite.text.characters import Rewriting, rewriting
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.sentencepiece_vocabulary import encode_alike
from t5x_lite.text.unigram import BLANK, QUOTES, UnigramRules, UnigramTokenizer

# Words may begin with them without a blank: ALBERT's list.
_MARKS = frozenset('!"#$%&()*+,-./:;?@[\\]^_`{|}~<')


class UnigramVocabulary(FolderVocabulary[UnigramTokenizer]):
    """ALBERT's or XLNet's SentencePiece."""

    kind, kind_name = UnigramTokenizer, "SentencePiece of an encoder"
    has_state = True

    def __init__(self, path: epath.PathLike):
        super().__init__(path)
        self._made: tf_text.SentencepieceTokenizer | None = None

    def begins_word(self, i: int) -> bool:
        """What has a blank in front, or is a mark."""
        name = self.tokenizer.name_of(i)
        return name.startswith(BLANK) or name[:1] in _MARKS

    def _encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        for quote in QUOTES:
            texts = tf.strings.regex_replace(texts, quote, '"')
        codes = characters.decode_utf8(texts)
        rules = self.tokenizer.rules
        if rules.normalizers():
            codes = characters.rewrite(codes, _table(rules))
        written = tf.strings.unicode_encode(codes, "UTF-8")
        model, slow = self.tokenizer.scored_model, self._tf_tokenizer
        return encode_alike(model, written, slow.tokenize)

    @property
    def _tf_tokenizer(self) -> tf_text.SentencepieceTokenizer:
        if self._made is None:
            with tf.init_scope():  # one copy, whichever functions use it
                self._made = tf_text.SentencepieceTokenizer(
                    self.tokenizer.scored_model, out_type=tf.int32
                )
        return self._made

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        special = self.tokenizer.special
        unknown = special.unknown or 0
        known = tf.where((ids >= 0) & (ids < self.tokenizer.num_ids), ids, unknown)
        no_text = {special.padding, special.start, special.end, special.mask} - {None}
        is_text = tf.reduce_all([known != i for i in no_text], axis=0)
        kept = tf.ragged.boolean_mask(known, is_text)
        return self._tf_tokenizer.detokenize(tf.cast(kept, tf.int32))


@functools.cache
def _table(rules: UnigramRules) -> Rewriting:
    return rewriting(tokenizers.normalizers.Sequence(rules.normalizers()).normalize_str)
