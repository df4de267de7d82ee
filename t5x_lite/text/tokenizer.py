"""Strings <-> ids without TensorFlow, id for id what SeqIO's vocabularies give.

A tokenizer is kept as a folder: `vocabulary.json` {"kind": "sentencepiece", "bytes" or "bpe",
"extra_ids": n} and, for the first kind, `sentencepiece.model`, for the last `vocab.json` and
`merges.txt`. Hugging Face directories are read as well (`huggingface_files`).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.text import huggingface_files
from t5x_lite.text.byte_pair import MERGES_FILE, PIECES_FILE, BytePairTokenizer, parse_merges
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.sentencepiece_files import content as sentencepiece_content
from t5x_lite.text.sentencepiece_files import read_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import (
    SENTENCEPIECE_FILE,
    SentencePieceTokenizer,
    sentencepiece_of_file,
)
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, read_extra_ids
from t5x_lite.text_files import read_json_object, read_text

_KINDS = ("sentencepiece", "bytes", "bpe")


@runtime_checkable
class Tokenizer(Protocol):
    """What generation needs of a vocabulary."""

    @property
    def special(self) -> SpecialTokens:
        """The ids that a model with this vocabulary has to know of."""
        ...

    @property
    def num_ids(self) -> int:
        """Ids in use, sentinels included."""
        ...

    @property
    def first_sentinel(self) -> int:
        """The ids from here on are sentinels (or no token at all)."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids without an end token."""
        ...

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token."""
        ...

    def files(self) -> dict[str, bytes]:
        """The folder that `load_tokenizer` reads: file name -> content."""
        ...


def load_tokenizer(folder: epath.PathLike) -> Tokenizer:
    """The tokenizer of a folder of ours, or of a Hugging Face directory.

    Raises:
        FileNotFoundError: there is none; the message says what was looked for.
        UserError: its files are damaged, or of a kind that is not read.
    """
    folder = epath.Path(folder)
    if (folder / VOCABULARY_FILE).is_file():
        return _ours(folder)
    if (found := huggingface_files.read_tokenizer(folder)) is not None:
        return found
    raise FileNotFoundError(
        f"no tokenizer in {folder}: needed is {VOCABULARY_FILE} (a checkpoint of ours has it in "
        f"its folder `vocabulary`) or Hugging Face's {huggingface_files.FILES}. Name one: "
        "--gin.VOCABULARY=/path/to/vocabulary, in Python t5x_lite.load(..., vocabulary=...); "
        "'bytes' is that of ByT5."
    )


def named_tokenizer(name: epath.PathLike) -> Tokenizer:
    """What a user means by `vocabulary=`: "bytes", a SentencePiece model, a folder as above, or its
    `tokenizer.json`, `vocab.json` or `vocabulary.json`.
    """
    if str(name) == "bytes":
        return ByteTokenizer()
    path = epath.Path(name)
    if path.is_dir():
        return load_tokenizer(path)
    if not path.exists():
        raise FileNotFoundError(
            f"the vocabulary {path} does not exist; needed is a SentencePiece model, a folder with "
            "one or with a byte-level BPE, or 'bytes'."
        )
    if path.suffix == ".json":
        return load_tokenizer(path.parent)
    return sentencepiece_of_file(path)


def inputs_ids(
    tokenizer: Tokenizer, texts: Sequence[str], prompts: PromptConfig
) -> list[list[int]]:
    """Ids of each text as a model is given it to answer or continue."""
    return with_end(tokenizer, texts) if prompts.end_token else [*map(tokenizer.encode, texts)]


def with_end(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, end token included: what a model is trained to write."""
    return [[*tokenizer.encode(text), tokenizer.special.end] for text in texts]


def what_decides_ids(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Of the files of a tokenizer what decides the ids of text: two that agree in it give the same
    ids, whatever number of sentinels stands behind them.
    """
    decides: dict[str, Any] = {name: files[name] for name in files if name != VOCABULARY_FILE}
    if SENTENCEPIECE_FILE in files:
        decides[SENTENCEPIECE_FILE] = sentencepiece_content(files[SENTENCEPIECE_FILE])
    return decides


def _ours(folder: epath.Path) -> Tokenizer:
    described = folder / VOCABULARY_FILE
    kind = read_json_object(described).get("kind")
    if kind not in _KINDS:
        raise UserError(
            f"{described} has kind={kind!r}; needed is "
            '{"kind": "sentencepiece", "bytes" or "bpe", "extra_ids": <number>}.'
        )
    extra_ids = read_extra_ids(described)
    if kind == "bytes":
        return ByteTokenizer(extra_ids)
    if kind == "bpe":
        special = _special(read_json_object(described).get("special"), described)
        pieces = read_json_object(folder / PIECES_FILE)
        path = folder / MERGES_FILE
        merges = parse_merges(read_text(path), path)
        return BytePairTokenizer(pieces, merges, special, extra_ids, source=folder)
    path = folder / SENTENCEPIECE_FILE
    return SentencePieceTokenizer(read_sentencepiece(path), extra_ids, source=path)


def _special(values: Any, source: object) -> SpecialTokens:
    names = {field.name for field in dataclasses.fields(SpecialTokens)}
    if not isinstance(values, Mapping) or values.keys() != names:
        raise UserError(
            f"{source} has special={values!r}; needed is an object with {', '.join(sorted(names))}."
        )
    wrong = [
        name
        for name, value in values.items()
        if type(value) is not int and not (name == "unknown" and value is None)
    ]
    if wrong:
        raise UserError(f"{source} has {wrong[0]}={values[wrong[0]]!r}; needed is an id.")
    return SpecialTokens(**values)
