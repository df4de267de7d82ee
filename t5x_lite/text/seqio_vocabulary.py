"""The default vocabulary as SeqIO sees it; the only file of this room that knows TensorFlow."""

from collections.abc import Iterable, Sequence

import seqio
import tensorflow as tf

from t5x_lite.text import default_vocabulary
from t5x_lite.text.sentencepiece_files import read_sentencepiece


class DefaultVocabulary(seqio.Vocabulary):
    """The process's vocabulary plus 100 sentinels, resolved when first used.

    All instances are equal, so tasks registered in different modules can share a mixture:

        seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)
    """

    def __init__(self) -> None:
        super().__init__(extra_ids=default_vocabulary.NUM_SENTINELS)
        self._resolved: seqio.SentencePieceVocabulary | None = None

    def resolved(self) -> seqio.SentencePieceVocabulary:
        """The SentencePiece vocabulary behind the default path.

        Raises:
            UserError: no path was given, or it is no model of SentencePiece with T5's special ids.
        """
        path = str(default_vocabulary.default_vocabulary_path())
        if self._resolved is None or self._resolved.sentencepiece_model_file != path:
            read_sentencepiece(path)
            vocabulary = seqio.SentencePieceVocabulary(path, extra_ids=self.extra_ids)
            default_vocabulary.check_special_ids(
                pad_id=vocabulary.tokenizer.pad_id(),
                eos_id=vocabulary.tokenizer.eos_id(),
                unk_id=vocabulary.tokenizer.unk_id(),
                source=path,
            )
            self._resolved = vocabulary
        return self._resolved

    @property
    def sentencepiece_model_file(self) -> str:
        """Its path."""
        return self.resolved().sentencepiece_model_file

    @property
    def bos_id(self) -> int | None:
        """T5 has no start piece: decoders start from the padding id."""
        return None

    @property
    def eos_id(self) -> int:
        """Checked when the model is loaded."""
        return 1

    @property
    def unk_id(self) -> int:
        """Checked when the model is loaded."""
        return 2

    @property
    def vocab_size(self) -> int:
        """Ids in use, sentinels included: `<extra_id_0>` is the last of them."""
        return self.resolved().vocab_size

    @property
    def _base_vocab_size(self) -> int:
        # SeqIO decodes ids from here on as unknown; its own SentencePieceVocabulary counts the
        # sentinels in, so that they stay visible in decoded text.
        return self.resolved().vocab_size

    def _encode(self, s: str) -> Sequence[int]:
        return self.resolved().encode(s)

    def _decode(self, ids: Iterable[int]) -> str:
        return self.resolved().decode(ids)

    def _encode_tf(self, s: tf.Tensor) -> tf.Tensor:
        return self.resolved().encode_tf(s)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        return self.resolved().decode_tf(ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DefaultVocabulary)

    def __hash__(self) -> int:
        return hash(DefaultVocabulary)

    def __repr__(self) -> str:
        return "DefaultVocabulary()"
