"""Byte-level BPE as SeqIO sees it: the same ids within tf.data, by TensorFlow's own operations."""

from collections.abc import Iterable, Sequence

import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text.byte_pair import BytePairTokenizer
from t5x_lite.text.byte_pair_merges import Tables, merge, tables
from t5x_lite.text.byte_pair_words import words
from t5x_lite.text.tokenizer import named_tokenizer


class BytePairVocabulary(seqio.Vocabulary):
    """A byte-level BPE vocabulary, GPT-2's for instance, read when it is first used.

    SeqIO pads with 0, which may be a piece of text here: segment ids tell padding from it.

    Args:
        path: a folder as `t5x_lite vocab --kind=bpe` writes it, or Hugging Face's; or a
            `tokenizer.json` or `vocab.json` in one.
    """

    def __init__(self, path: epath.PathLike):
        super().__init__()
        self.path = str(path)
        self._tokenizer: BytePairTokenizer | None = None
        self._tables: Tables | None = None

    @property
    def tokenizer(self) -> BytePairTokenizer:
        """The same ids outside of TensorFlow.

        Raises:
            OSError, UserError: there is none at the path.
        """
        if self._tokenizer is None:
            found = named_tokenizer(self.path)
            if not isinstance(found, BytePairTokenizer):
                raise UserError(f"{self.path} is no byte-level BPE but a {type(found).__name__}.")
            self._tokenizer = found
        return self._tokenizer

    @property
    def bos_id(self) -> int:
        """What a model starts from."""
        return self.tokenizer.special.start

    @property
    def eos_id(self) -> int:
        """The end of a text."""
        return self.tokenizer.special.end

    @property
    def unk_id(self) -> None:
        """Every text has ids."""
        return None

    @property
    def extra_ids(self) -> int:
        """Sentinels behind the pieces."""
        return self.tokenizer.extra_ids

    @property
    def _base_vocab_size(self) -> int:
        return self.tokenizer.first_sentinel

    def _encode(self, s: str) -> Sequence[int]:
        return self.tokenizer.encode(s)

    def _decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode(ids)

    @tf.autograph.experimental.do_not_convert
    def _encode_tf(self, s: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        """[...] texts to [..., (ids)]."""
        if isinstance(s, tf.RaggedTensor):
            return s.with_flat_values(self._encode_tf(s.flat_values))
        if s.shape.rank == 0:
            return self._encode_tf(s[None]).values
        if s.shape.rank > 1:
            return self._encode_tf(tf.RaggedTensor.from_tensor(s, ragged_rank=s.shape.rank - 1))
        if self._tables is None:
            self._tables = tables(self.tokenizer)
        each = words(s)
        distinct, index = tf.unique(each.values)
        ids = tf.gather(merge(distinct, self._tables), index)
        return each.with_values(ids).merge_dims(1, 2)

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """The bytes of ids up to the first end token; SeqIO's own would pad with text behind it."""
        is_end = tf.cast(ids == self.eos_id, tf.int32)
        return self._decode_tf(tf.where(tf.cumsum(is_end, axis=-1) > 0, self.eos_id, ids))

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        text = tf.constant([*self.tokenizer.bytes_of, b""])
        is_text = (ids >= 0) & (ids < self.tokenizer.num_ids)
        known = tf.where(is_text, ids, self.tokenizer.num_ids)
        return tf.strings.reduce_join(tf.gather(text, known), axis=-1)

    def __getstate__(self) -> dict[str, str]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytePairVocabulary) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"BytePairVocabulary({self.path!r})"
