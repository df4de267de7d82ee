"""SentencePiece as SeqIO sees it, in half the time within tf.data.

TensorFlow Text has two implementations. The faster one has the ids of SentencePiece itself also
where two ways to cut a word are as likely as each other, "---" and "-" or "-" and "---"; SeqIO's
takes the other way there.
"""

import functools
from collections.abc import Callable

import seqio
import tensorflow as tf
import tensorflow_text as tf_text
from sentencepiece import sentencepiece_model_pb2

_UNIGRAM = 1  # of ModelProto's trainer_spec.model_type
# Where the blank's own sign stands before a sentinel, and in bytes that are no UTF-8, which match
# nothing, the faster implementation was seen to give other ids.
_PLAIN = "[^\u2581]*"


class SentencePieceVocabulary(seqio.SentencePieceVocabulary):
    """SeqIO's; ids of models for which the faster implementation gives SentencePiece's (`is_fast`)
    come from that.
    """

    def _encode_tf(self, s: str | tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        model = self.sp_model
        assert model is not None, "a vocabulary is a file that was read"
        encode = super()._encode_tf
        if isinstance(s, tf.RaggedTensor):
            return encode(s)
        return encode_alike(model, s, encode)


def encode_alike(
    model: bytes, texts: str | tf.Tensor, encode: Callable[[str | tf.Tensor], tf.Tensor]
) -> tf.Tensor | tf.RaggedTensor:
    """Ids of texts by the faster implementation where it gives SentencePiece's, else by `encode`,
    the slower one's.
    """
    if not is_fast(model):
        return encode(texts)
    is_plain = tf.reduce_all(tf.strings.regex_full_match(texts, _PLAIN))

    def encode_fast() -> tf.Tensor | tf.RaggedTensor:
        ids = _fast_tokenizer(model).tokenize(texts)
        is_ragged = isinstance(ids, tf.RaggedTensor)
        return ids.with_row_splits_dtype(tf.int64) if is_ragged else ids

    return tf.cond(is_plain, encode_fast, lambda: encode(texts))


def is_fast(model: bytes) -> bool:
    """Whether the faster implementation gives this model's ids. Of models with any of these traits
    it was seen to give others: no unigrams, bytes for what is unknown, blanks that stay with the
    word before or are no borders, a text that begins without one, no normalization.
    """
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]
    trained, normalized = proto.trainer_spec, proto.normalizer_spec
    return (
        trained.model_type == _UNIGRAM
        and trained.split_by_whitespace
        and not trained.byte_fallback
        and not trained.treat_whitespace_as_suffix
        and normalized.add_dummy_prefix
        and normalized.escape_whitespaces
        and bool(normalized.precompiled_charsmap)
    )


@functools.lru_cache(maxsize=4)
def _fast_tokenizer(model: bytes) -> tf_text.FastSentencepieceTokenizer:
    """It takes a second to make, and each function of a pipeline asks for it: what it holds must
    not belong to the first of them.
    """
    with tf.init_scope():
        return tf_text.FastSentencepieceTokenizer(model)
