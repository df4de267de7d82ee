"""Strings <-> ids without TensorFlow, id for id what SeqIO's vocabularies give.

A tokenizer is kept as a folder: `vocabulary.json` {"kind": "sentencepiece", "extra_ids": n}, and
what the kind needs: `sentencepiece.model`; for "bytes" nothing; for "bpe" `vocab.json` and
`merges.txt`; for "wordpiece" `vocab.txt`; for "unigram" `sentencepiece.model`. Hugging Face
directories are read as well (`huggingface_files`).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from t5x_lite.text.template import PLAIN, START_AND_END, Template
from t5x_lite.text.unigram import UnigramRules, UnigramTokenizer
from t5x_lite.text.vocabulary_file import (
    VOCABULARY_FILE,
    read_extra_ids,
    read_rules,
    read_special,
    read_template,
)
from t5x_lite.text.word_piece import (
    WORD_PIECES_FILE,
    WordPieceTokenizer,
    WordRules,
    parse_lines,
)
from t5x_lite.text.word_piece_json import word_piece_of_lines
from t5x_lite.text_files import read_json_object, read_text


@runtime_checkable
class Tokenizer(Protocol):
    """What generation needs of a vocabulary."""

    @property
    def special(self) -> SpecialTokens:
        """The ids that a model with this vocabulary has to know of."""
        ...

    @property
    def template(self) -> Template:
        """What stands around one text, and around a pair, where they are read at once."""
        ...

    @property
    def num_ids(self) -> int:
        """Ids in use, sentinels included."""
        ...

    @property
    def first_sentinel(self) -> int:
        """The ids from here on are sentinels (or no token at all)."""
        ...

    def name_of(self, i: int) -> str:
        """What the files call an id."""
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
    """What a user means by `vocabulary=`: "bytes", a SentencePiece model, word pieces one a line
    (.txt), a folder as above, or its `tokenizer.json`, `vocab.json`, `vocabulary.json`.
    """
    if str(name) == "bytes":
        return ByteTokenizer()
    path = epath.Path(name)
    if path.is_dir():
        return load_tokenizer(path)
    if not path.exists():
        raise FileNotFoundError(
            f"the vocabulary {path} does not exist; needed is a SentencePiece model, a folder with "
            "one, with a byte-level BPE or with word pieces, or 'bytes'."
        )
    if path.suffix == ".json" or path.name == WORD_PIECES_FILE:
        return load_tokenizer(path.parent)
    if path.suffix == ".txt":
        return word_piece_of_lines(parse_lines(read_text(path), path), {}, path)
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
    decides["rules"] = json.loads(files[VOCABULARY_FILE]).get("rules")
    if SENTENCEPIECE_FILE in files:
        decides[SENTENCEPIECE_FILE] = sentencepiece_content(files[SENTENCEPIECE_FILE])
    return decides


def _ours(folder: epath.Path) -> Tokenizer:
    described = folder / VOCABULARY_FILE
    values = read_json_object(described)
    kind = values.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UserError(
            f"{described} has kind={kind!r}; needed is "
            f'{{"kind": {", ".join(map(json.dumps, _KINDS))}, "extra_ids": <number>}}.'
        )
    return _KINDS[kind](folder, values)


def _sentencepiece(folder: epath.Path, values: Mapping[str, Any]) -> Tokenizer:
    extra_ids = read_extra_ids(folder / VOCABULARY_FILE)
    path = folder / SENTENCEPIECE_FILE
    return SentencePieceTokenizer(read_sentencepiece(path), extra_ids, source=path)


def _bytes(folder: epath.Path, values: Mapping[str, Any]) -> Tokenizer:
    return ByteTokenizer(read_extra_ids(folder / VOCABULARY_FILE))


def _byte_pair(folder: epath.Path, values: Mapping[str, Any]) -> Tokenizer:
    described = folder / VOCABULARY_FILE
    extra_ids, special = read_extra_ids(described), read_special(values, described)
    template = read_template(values, described, PLAIN)
    pieces, path = read_json_object(folder / PIECES_FILE), folder / MERGES_FILE
    merges = parse_merges(read_text(path), path)
    return BytePairTokenizer(pieces, merges, special, extra_ids, template, source=folder)


def _word_piece(folder: epath.Path, values: Mapping[str, Any]) -> Tokenizer:
    described, path = folder / VOCABULARY_FILE, folder / WORD_PIECES_FILE
    special = read_special(values, described)
    rules = read_rules(values, described, WordRules)
    template = read_template(values, described, START_AND_END)
    pieces = parse_lines(read_text(path), path)
    return WordPieceTokenizer(pieces, special, rules, template, source=folder)


def _unigram(folder: epath.Path, values: Mapping[str, Any]) -> Tokenizer:
    described, path = folder / VOCABULARY_FILE, folder / SENTENCEPIECE_FILE
    special = read_special(values, described)
    rules = read_rules(values, described, UnigramRules)
    template = read_template(values, described, START_AND_END)
    return UnigramTokenizer(read_sentencepiece(path), special, rules, template, source=path)


_KINDS: Mapping[str, Callable[[epath.Path, Mapping[str, Any]], Tokenizer]] = {
    "sentencepiece": _sentencepiece,
    "bytes": _bytes,
    "bpe": _byte_pair,
    "wordpiece": _word_piece,
    "unigram": _unigram,
}
