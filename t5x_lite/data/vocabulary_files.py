"""A task's vocabulary as the small files that a checkpoint carries along.

`text.tokenizer.load_tokenizer` gives it back, without SeqIO.
"""

import functools

import seqio
from etils import epath

from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary


def vocabulary_files(mixture_or_task_name: str) -> dict[str, bytes]:
    """File name -> content; empty where the text of inputs and targets needs more than one
    SentencePiece model with sentinels behind it, or than bytes.
    """
    features = seqio.get_mixture_or_task(mixture_or_task_name).output_features
    vocabularies = [features[name].vocabulary for name in ("inputs", "targets") if name in features]
    every = [_files(vocabulary) for vocabulary in vocabularies]
    return every[0] if every and all(files == every[0] for files in every) else {}


def first_sentinel(mixture_or_task_name: str) -> int | None:
    """The targets' ids from here on are sentinels; None where that is not known."""
    features = seqio.get_mixture_or_task(mixture_or_task_name).output_features
    vocabulary = features["targets"].vocabulary
    if isinstance(vocabulary, seqio.ByteVocabulary):
        return ByteTokenizer(vocabulary.extra_ids).first_sentinel
    files = _files(vocabulary)
    return _sentencepiece(vocabulary).first_sentinel if files else None


def _files(vocabulary: seqio.Vocabulary) -> dict[str, bytes]:
    if type(vocabulary) is seqio.ByteVocabulary:
        return ByteTokenizer(vocabulary.extra_ids).files()
    if isinstance(vocabulary, DefaultVocabulary):
        vocabulary = vocabulary.resolved()
    # Others number their sentinels or normalize their text in ways that the files cannot say.
    plain = type(vocabulary) is seqio.SentencePieceVocabulary and (
        vocabulary._reverse_extra_ids and vocabulary._normalizer_spec_overrides is None
    )
    return _sentencepiece(vocabulary).files() if plain else {}


def _sentencepiece(vocabulary: seqio.Vocabulary) -> SentencePieceTokenizer:
    return _read(str(vocabulary.sentencepiece_model_file), vocabulary.extra_ids)


@functools.lru_cache(maxsize=4)
def _read(path: str, extra_ids: int) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(epath.Path(path).read_bytes(), extra_ids, source=path)
