"""The default vocabulary as SeqIO sees it."""

import functools
import hashlib
import tempfile
from collections.abc import Iterable, Sequence

import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.text import default_vocabulary
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.sentencepiece_files import read_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import SENTENCEPIECE_FILE, SentencePieceTokenizer
from t5x_lite.text.sentencepiece_vocabulary import SentencePieceVocabulary
from t5x_lite.text.special_ids import NUM_SENTINELS, check_special_ids
from t5x_lite.text.tokenizer import named_tokenizer
from t5x_lite.text.unigram_vocabulary import UnigramVocabulary
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary


class DefaultVocabulary(seqio.Vocabulary):
    """The process's vocabulary, resolved when first used: a SentencePiece model with 100 sentinels
    behind it, or the vocabulary of a folder.

    All instances are equal, so tasks registered in different modules can share a mixture:

        seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)
    """

    def __init__(self) -> None:
        super().__init__(extra_ids=NUM_SENTINELS)
        self._path: str | None = None
        self._resolved: seqio.Vocabulary | None = None

    def resolved(self) -> seqio.Vocabulary:
        """The vocabulary behind the default path.

        Raises:
            UserError: no path was given, or there is no vocabulary, or one of SentencePiece without
                T5's special ids.
        """
        path = str(default_vocabulary.default_vocabulary_path())
        if self._resolved is None or self._path != path:
            self._path, self._resolved = path, _resolve(epath.Path(path))
        return self._resolved

    @property
    def sentencepiece_model_file(self) -> str:
        """Its path; vocabularies of other kinds have none."""
        return self.resolved().sentencepiece_model_file

    @property
    def extra_ids(self) -> int:
        """How many sentinels stand behind the pieces."""
        return self.resolved().extra_ids

    @property
    def bos_id(self) -> int | None:
        """T5 has no start piece: decoders start from the padding id."""
        resolved = self.resolved()
        return resolved.bos_id if isinstance(resolved, FolderVocabulary) else None

    @property
    def eos_id(self) -> int:
        """1 for T5, checked when the model is loaded."""
        return self.resolved().eos_id

    @property
    def unk_id(self) -> int | None:
        """2 for T5, checked when the model is loaded."""
        return self.resolved().unk_id

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

    def _encode_tf(self, s: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        return self.resolved().encode_tf(s)

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """What the resolved vocabulary does, which knows what stands behind an end token."""
        return self.resolved().decode_tf(ids)

    def _decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        return self.resolved().decode_tf(ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DefaultVocabulary)

    def __hash__(self) -> int:
        return hash(DefaultVocabulary)

    def __repr__(self) -> str:
        return "DefaultVocabulary()"


def describe(vocabulary: seqio.Vocabulary) -> str:
    """The same for the same ids, wherever the files lie."""
    description = f"{type(vocabulary).__name__}, {vocabulary.vocab_size} ids"
    if isinstance(vocabulary, seqio.SentencePieceVocabulary):
        description += f", {hashlib.sha256(vocabulary.sp_model).hexdigest()[:16]}"
    elif isinstance(resolved := resolve(vocabulary), FolderVocabulary):
        files = b"".join(resolved.tokenizer.files().values())
        description += f", {hashlib.sha256(files).hexdigest()[:16]}"
    return description


def resolve(vocabulary: seqio.Vocabulary) -> seqio.Vocabulary:
    """The vocabulary behind a default one; any other is itself."""
    return vocabulary.resolved() if isinstance(vocabulary, DefaultVocabulary) else vocabulary


def padding_of(vocabulary: seqio.Vocabulary) -> int | None:
    """The id that is padding wherever it stands; None where it is a piece of text as well."""
    resolved = resolve(vocabulary)
    return resolved.padding if isinstance(resolved, FolderVocabulary) else vocabulary.pad_id


def _resolve(path: epath.Path) -> seqio.Vocabulary:
    if not path.is_dir() and path.suffix not in (".json", ".txt"):
        return _sentencepiece(path, NUM_SENTINELS)
    tokenizer = named_tokenizer(path)
    for kind in (BytePairVocabulary, WordPieceVocabulary, UnigramVocabulary):
        if isinstance(tokenizer, kind.kind):
            return kind(path)
    if isinstance(tokenizer, SentencePieceTokenizer):
        return _sentencepiece(_file(tokenizer.model), tokenizer.extra_ids)
    assert isinstance(tokenizer, ByteTokenizer), "every other kind has a vocabulary above"
    return seqio.ByteVocabulary(tokenizer.num_ids - tokenizer.first_sentinel)


def _sentencepiece(path: epath.Path, extra_ids: int) -> seqio.SentencePieceVocabulary:
    read_sentencepiece(path)
    vocabulary = SentencePieceVocabulary(str(path), extra_ids=extra_ids)
    check_special_ids(
        pad_id=vocabulary.tokenizer.pad_id(),
        eos_id=vocabulary.tokenizer.eos_id(),
        unk_id=vocabulary.tokenizer.unk_id(),
        source=path,
    )
    return vocabulary


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="t5x_lite_vocabulary_")


@functools.cache
def _file(model: bytes) -> epath.Path:
    """A file for SeqIO, which reads a model by its path; a tokenizer.json holds none. It goes when
    the process ends.
    """
    folder = epath.Path(tempfile.mkdtemp(dir=_folder().name))
    (folder / SENTENCEPIECE_FILE).write_bytes(model)
    return folder / SENTENCEPIECE_FILE
