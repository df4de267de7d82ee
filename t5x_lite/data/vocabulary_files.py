"""A task's vocabulary as the small files that a checkpoint carries along.

`text.tokenizer.load_tokenizer` gives it back, without SeqIO.
"""

import functools

import seqio
from etils import epath

from t5x_lite.features.layouts import written
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.sentencepiece_vocabulary import SentencePieceVocabulary
from t5x_lite.text.seqio_vocabulary import resolve
from t5x_lite.text.tokenizer import Tokenizer


def vocabulary_files(mixture_or_task_name: str) -> dict[str, bytes]:
    """File name -> content; empty where the text of inputs and targets needs more than one
    SentencePiece model with sentinels behind it, than bytes or one folder.
    """
    features = seqio.get_mixture_or_task(mixture_or_task_name).output_features
    vocabularies = [features[name].vocabulary for name in ("inputs", "targets") if name in features]
    every = [_files(vocabulary) for vocabulary in vocabularies]
    return every[0] if every and all(files == every[0] for files in every) else {}


def first_sentinel(mixture_or_task_name: str) -> int | None:
    """The ids of texts from here on are sentinels; None where that is not known."""
    features = seqio.get_mixture_or_task(mixture_or_task_name).output_features
    tokenizer = _tokenizer(features[written(features)].vocabulary)
    return None if tokenizer is None else tokenizer.first_sentinel


def _files(vocabulary: seqio.Vocabulary) -> dict[str, bytes]:
    tokenizer = _tokenizer(vocabulary)
    return {} if tokenizer is None else tokenizer.files()


def _tokenizer(vocabulary: seqio.Vocabulary) -> Tokenizer | None:
    vocabulary = resolve(vocabulary)
    if isinstance(vocabulary, FolderVocabulary):
        return vocabulary.tokenizer
    if type(vocabulary) is seqio.ByteVocabulary:
        return ByteTokenizer(vocabulary.extra_ids)
    # Others number their sentinels or normalize their text in ways that the files cannot say.
    kinds = (seqio.SentencePieceVocabulary, SentencePieceVocabulary)
    plain = type(vocabulary) in kinds and (
        vocabulary._reverse_extra_ids and vocabulary._normalizer_spec_overrides is None
    )
    path = str(vocabulary.sentencepiece_model_file) if plain else None
    return None if path is None else _sentencepiece(path, vocabulary.extra_ids)


@functools.lru_cache(maxsize=4)
def _sentencepiece(path: str, extra_ids: int) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(epath.Path(path).read_bytes(), extra_ids, source=path)
