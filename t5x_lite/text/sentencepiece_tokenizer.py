"""SentencePiece with sentinels behind its pieces, T5's vocabulary (Raffel et al. 2020, 2.2)."""

import re
from collections.abc import Iterable

import sentencepiece
from etils import epath

from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.sentencepiece_files import parse_sentencepiece, read_sentencepiece
from t5x_lite.text.special_ids import NUM_SENTINELS, check_special_ids, until_end
from t5x_lite.text.template import WITH_END
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, description

SENTENCEPIECE_FILE = "sentencepiece.model"
_SENTINEL = re.compile(r"▁?<extra_id_\d+>")


class SentencePieceTokenizer:
    """A SentencePiece model and `extra_ids` sentinels behind its pieces, in reverse: <extra_id_0>
    is the last id. A model that holds its sentinels already, as mT5's does, has `extra_ids=0`.

    Raises:
        UserError: padding, end and unknown piece are not 0, 1 and 2, or it is no such model.
    """

    special = SpecialTokens()
    template = WITH_END

    def __init__(self, model: bytes, extra_ids: int = NUM_SENTINELS, *, source: object = "given"):
        self.model, self.extra_ids = model, extra_ids
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

    def name_of(self, i: int) -> str:
        """The piece of an id."""
        return self._processor.IdToPiece(i)

    def encode(self, text: str) -> list[int]:
        """Ids without an end token."""
        return self._processor.EncodeAsIds(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; ids that are no piece are unknown ones."""
        num_ids, unknown = self.num_ids, self._processor.unk_id()
        kept = until_end(ids, self.special)
        return self._processor.DecodeIds([i if i < num_ids else unknown for i in kept])

    def files(self) -> dict[str, bytes]:
        """The model as it was before the sentinels, and how many there are."""
        return {
            VOCABULARY_FILE: description("sentencepiece", self.extra_ids),
            SENTENCEPIECE_FILE: self.model,
        }


def sentencepiece_of_file(path: epath.Path) -> SentencePieceTokenizer:
    """The tokenizer of a model alone, as it is published: with T5's 100 sentinels or its own.

    Raises:
        OSError, UserError: as `read_sentencepiece`.
    """
    return with_sentinels(read_sentencepiece(path), NUM_SENTINELS, source=path)


def with_sentinels(model: bytes, extra_ids: int, *, source: object) -> SentencePieceTokenizer:
    """A model with the sentinels that it lacks, or with its own: T5's file has none, mT5's and
    umT5's have them among their pieces.
    """
    plain = SentencePieceTokenizer(model, extra_ids=0, source=source)
    if plain.first_sentinel < plain.num_ids:
        return plain
    return SentencePieceTokenizer(model, extra_ids, source=source)
