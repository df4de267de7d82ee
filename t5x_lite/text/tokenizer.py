"""Strings <-> ids without TensorFlow, id for id what SeqIO's vocabularies give.

A tokenizer is kept as a folder: `vocabulary.json` {"kind": "sentencepiece" or "bytes",
"extra_ids": n} and, for the first kind, `sentencepiece.model`. Hugging Face directories are read
as well: their `spiece.model`, or ByT5's, which has no file.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import sentencepiece
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text.default_vocabulary import NUM_SENTINELS, check_special_ids
from t5x_lite.text.sentencepiece_files import parse_sentencepiece, read_sentencepiece
from t5x_lite.text_files import read_json_object

EOS_ID = 1
UNK_ID = 2
VOCABULARY_FILE = "vocabulary.json"
SENTENCEPIECE_FILE = "sentencepiece.model"
_HUGGINGFACE_SENTENCEPIECE = "spiece.model"
_SENTINEL = re.compile(r"▁?<extra_id_\d+>")
_NUM_BYTES = 256
_NUM_SPECIAL = 3
_MAX_SENTINELS = 100_000


@runtime_checkable
class Tokenizer(Protocol):
    """What generation needs of a vocabulary."""

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


class SentencePieceTokenizer:
    """A SentencePiece model and `extra_ids` sentinels behind its pieces, in reverse: <extra_id_0>
    is the last id. A model that holds its sentinels already, as mT5's does, has `extra_ids=0`.

    Raises:
        UserError: padding, end and unknown piece are not 0, 1 and 2, or it is no such model.
    """

    def __init__(self, model: bytes, extra_ids: int = NUM_SENTINELS, *, source: object = "given"):
        self._model, self._extra_ids = model, extra_ids
        proto = parse_sentencepiece(model, source)
        kind = proto.SentencePiece.USER_DEFINED
        for index in reversed(range(extra_ids)):
            proto.pieces.add(piece=f"▁<extra_id_{index}>", score=0.0, type=kind)
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(proto.SerializeToString())
        check_special_ids(
            pad_id=self._processor.pad_id(),
            eos_id=self._processor.eos_id(),
            unk_id=self._processor.unk_id(),
            source=source,
        )
        sentinels = (i for i, piece in enumerate(proto.pieces) if _SENTINEL.match(piece.piece))
        self._first_sentinel = next(sentinels, len(proto.pieces))

    @property
    def num_ids(self) -> int:
        """Pieces and sentinels."""
        return self._processor.GetPieceSize()

    @property
    def first_sentinel(self) -> int:
        """Sentinels are the last pieces."""
        return self._first_sentinel

    def encode(self, text: str) -> list[int]:
        """Ids without an end token."""
        return self._processor.EncodeAsIds(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; ids that are no piece are unknown ones."""
        num_ids = self.num_ids
        return self._processor.DecodeIds([i if i < num_ids else UNK_ID for i in _until_end(ids)])

    def files(self) -> dict[str, bytes]:
        """The model as it was before the sentinels, and how many there are."""
        return {
            VOCABULARY_FILE: _description("sentencepiece", self._extra_ids),
            SENTENCEPIECE_FILE: self._model,
        }


class ByteTokenizer:
    """UTF-8 bytes, each three ids higher; sentinels stand behind them and are no text (ByT5)."""

    def __init__(self, extra_ids: int = 0):
        self._extra_ids = extra_ids

    @property
    def num_ids(self) -> int:
        """Padding, end, unknown, the bytes, sentinels."""
        return self.first_sentinel + self._extra_ids

    @property
    def first_sentinel(self) -> int:
        """Behind the bytes."""
        return _NUM_SPECIAL + _NUM_BYTES

    def encode(self, text: str) -> list[int]:
        """Ids without an end token."""
        return [byte + _NUM_SPECIAL for byte in text.encode("utf-8")]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; bytes that are no UTF-8 are left out."""
        bounds = range(_NUM_SPECIAL, self.first_sentinel)
        kept = [i - _NUM_SPECIAL for i in _until_end(ids) if i in bounds]
        return bytes(kept).decode("utf-8", errors="ignore")

    def files(self) -> dict[str, bytes]:
        """There is nothing to keep but the kind."""
        return {VOCABULARY_FILE: _description("bytes", self._extra_ids)}


def load_tokenizer(folder: epath.PathLike) -> Tokenizer:
    """The tokenizer of a folder of ours, or of a Hugging Face directory.

    Raises:
        FileNotFoundError: there is none; the message says what was looked for.
    """
    folder = epath.Path(folder)
    if (folder / VOCABULARY_FILE).is_file():
        return _ours(folder)
    if (folder / _HUGGINGFACE_SENTENCEPIECE).is_file():
        return _huggingface_sentencepiece(folder / _HUGGINGFACE_SENTENCEPIECE)
    if (folder / "config.json").is_file():
        if _json(folder / "tokenizer_config.json").get("tokenizer_class") == "ByT5Tokenizer":
            return ByteTokenizer(_extra_ids(folder / "tokenizer_config.json", default=125))
        if _json(folder / "config.json").get("tokenizer_class") == "ByT5Tokenizer":
            return ByteTokenizer(125)
    raise FileNotFoundError(
        f"no tokenizer in {folder}: needed is {VOCABULARY_FILE} (a checkpoint of ours has it in "
        f"its folder `vocabulary`) or Hugging Face's {_HUGGINGFACE_SENTENCEPIECE} (tokenizer.json "
        "alone is not read). Name one: --gin.VOCABULARY=/path/to/sentencepiece.model, in Python "
        "t5x_lite.load(..., vocabulary=...); 'bytes' is that of ByT5."
    )


def named_tokenizer(name: epath.PathLike) -> Tokenizer:
    """What a user means by `vocabulary=`: "bytes", a SentencePiece model, or a folder as above."""
    if str(name) == "bytes":
        return ByteTokenizer()
    path = epath.Path(name)
    if path.is_dir():
        return load_tokenizer(path)
    if not path.exists():
        raise FileNotFoundError(
            f"the vocabulary {path} does not exist; needed is a SentencePiece model, a folder with "
            "one, or 'bytes'."
        )
    return _huggingface_sentencepiece(path)


def with_end(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text, end token included: what T5 is given to read, and to be scored on."""
    return [[*tokenizer.encode(text), EOS_ID] for text in texts]


def _ours(folder: epath.Path) -> Tokenizer:
    kind = _json(folder / VOCABULARY_FILE).get("kind")
    if kind not in ("sentencepiece", "bytes"):
        raise UserError(
            f"{folder / VOCABULARY_FILE} has kind={kind!r}; needed is "
            '{"kind": "sentencepiece" or "bytes", "extra_ids": <number>}.'
        )
    extra_ids = _extra_ids(folder / VOCABULARY_FILE)
    if kind == "bytes":
        return ByteTokenizer(extra_ids)
    path = folder / SENTENCEPIECE_FILE
    return SentencePieceTokenizer(read_sentencepiece(path), extra_ids, source=path)


def _huggingface_sentencepiece(path: epath.Path) -> SentencePieceTokenizer:
    """T5's file lacks the sentinels, mT5's and umT5's have them: the pieces say which it is."""
    model = read_sentencepiece(path)
    plain = SentencePieceTokenizer(model, extra_ids=0, source=path)
    if plain.first_sentinel < plain.num_ids:
        return plain
    return SentencePieceTokenizer(model, NUM_SENTINELS, source=path)


def _until_end(ids: Iterable[int]) -> list[int]:
    """Ids before the first end token, without padding."""
    kept = []
    for i in map(int, ids):
        if i == EOS_ID:
            break
        if i != 0:
            kept.append(i)
    return kept


def _extra_ids(path: epath.Path, default: int | None = None) -> int:
    extra_ids = _json(path).get("extra_ids", default)
    if type(extra_ids) is not int or not 0 <= extra_ids <= _MAX_SENTINELS:
        raise UserError(
            f"{path} has extra_ids={extra_ids!r}; needed is the number of sentinels, from 0 to "
            f"{_MAX_SENTINELS:,}."
        )
    return extra_ids


def _description(kind: str, extra_ids: int) -> bytes:
    return (json.dumps({"kind": kind, "extra_ids": extra_ids}) + "\n").encode()


def _json(path: epath.Path) -> Mapping:
    return read_json_object(path) if path.is_file() else {}
