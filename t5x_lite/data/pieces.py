"""What ids stand for: runs of text and the pieces between them that are no text.

The ids of "Thank you <extra_id_0>ty last week" and the end token, where a span ended inside of
"party", are the pieces
(TEXT, "Thank you"), (SENTINEL, "<extra_id_0>", 0), (TEXT, "ty last week"), (END, "</s>").
"""

import collections
import enum
import itertools
import operator
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import seqio
from jaxtyping import Float32, Int

from t5x_lite.text.folder_vocabulary import FolderVocabulary
from t5x_lite.text.seqio_vocabulary import padding_of, resolve

_SPACE = "\u2581"  # as SentencePiece writes it
_SENTINEL = re.compile(rf"{_SPACE}?<extra_id_(\d+)>")


# Ids, or numbers that an encoder is to tell.
Numbers = Int[np.ndarray, " _length"] | Float32[np.ndarray, " _length"]


class Kind(enum.Enum):
    """TEXT is decoded together with its neighbours; OUTSIDE is an id that the vocabulary lacks,
    START what stands in front of a text, MASK what stands for a token that is to be found, CHOSEN
    text that is. A prompt's text is its demonstrations and the item.
    """

    TEXT = "text"
    CHOSEN = "chosen"
    SENTINEL = "sentinel"
    END = "end"
    UNKNOWN = "unknown"
    MASK = "mask"
    START = "start"
    PADDING = "padding"
    OUTSIDE = "outside"
    DEMONSTRATION = "demonstration"
    ITEM = "item"


TEXTS = (Kind.TEXT, Kind.CHOSEN)


class Piece(NamedTuple):
    """A run of text, or one special id; `sentinel` is n of <extra_id_n>."""

    kind: Kind
    text: str
    sentinel: int | None = None


class Pieces:
    """The special ids of a vocabulary, and the way from ids to pieces."""

    def __init__(self, vocabulary: seqio.Vocabulary):
        vocabulary = resolve(vocabulary)
        self._vocabulary = vocabulary
        # Numbers are none, as are the weights and classes of an encoder.
        are_numbers = isinstance(vocabulary, seqio.PassThroughVocabulary)
        self._padding = None if are_numbers else padding_of(vocabulary)
        self._sentinels = _sentinels(vocabulary)
        self._special_ids = _special_ids(vocabulary)
        self._knows: dict[str, bool] = {}

    @property
    def description(self) -> str:
        """`32,100 ids (spiece.model)`."""
        vocabulary = self._vocabulary
        path = getattr(vocabulary, "sentencepiece_model_file", getattr(vocabulary, "path", None))
        source = path or type(vocabulary).__name__
        return f"{self._vocabulary.vocab_size:,} ids ({source})"

    def sentinels(self, ids: Numbers) -> list[int]:
        """The n of each <extra_id_n> among the ids, in their order."""
        return [self._sentinels[i] for i in map(int, ids) if i in self._sentinels]

    def num_unknown(self, ids: Numbers) -> int:
        """How many ids are the unknown piece."""
        unknown = self._vocabulary.unk_id
        return 0 if unknown is None else int(np.count_nonzero(ids == unknown))

    def split(self, ids: Numbers, chosen: Int[np.ndarray, " length"] | None = None) -> list[Piece]:
        """All of the ids, padding included; text of a mark in `chosen` apart. Numbers that are no
        ids as they are.
        """
        if self._vocabulary.vocab_size == 0:
            return [Piece(Kind.TEXT, " ".join(f"{each:.6g}" for each in ids))]
        found: list[Piece] = []
        marks = np.zeros_like(ids) if chosen is None else chosen
        kinds = [
            Kind.CHOSEN if kind is Kind.TEXT and mark > 0 else kind
            for kind, mark in zip(map(self._kind, map(int, ids)), marks, strict=True)
        ]
        for kind, run in itertools.groupby(zip(map(int, ids), kinds), operator.itemgetter(1)):
            own = [i for i, _ in run]
            if kind in TEXTS:
                text = self._decode(own, is_first=not found)
                if found and found[-1].kind in TEXTS:
                    text = self._space(own[0], text) + text
                found.append(Piece(kind, text))
            else:
                found += [self._special(kind, i) for i in own]
        return found

    def _space(self, i: int, text: str) -> str:
        """Before a run of text behind another one, whose first piece may have its own."""
        vocabulary = self._vocabulary
        is_word = isinstance(vocabulary, FolderVocabulary) and vocabulary.begins_word(i)
        return " " if is_word and not text.startswith(" ") else ""

    def unknown_characters(self, texts: Iterable[str]) -> collections.Counter[str]:
        """The characters that have no piece, and how often they occur."""
        counts = collections.Counter(itertools.chain.from_iterable(texts))
        return collections.Counter(
            {each: count for each, count in counts.items() if self._is_unknown(each)}
        )

    def _kind(self, i: int) -> Kind:
        vocabulary = self._vocabulary
        if i in self._sentinels:
            return Kind.SENTINEL
        if i == self._padding:
            return Kind.PADDING
        if not 0 <= i < vocabulary.vocab_size:
            return Kind.OUTSIDE
        return self._special_ids.get(i, Kind.TEXT)

    def _special(self, kind: Kind, i: int) -> Piece:
        if kind is Kind.SENTINEL:
            return Piece(kind, f"<extra_id_{self._sentinels[i]}>", self._sentinels[i])
        if kind is not Kind.OUTSIDE and isinstance(self._vocabulary, FolderVocabulary):
            return Piece(kind, self._vocabulary.tokenizer.name_of(i))
        names = {Kind.END: "</s>", Kind.UNKNOWN: "<unk>", Kind.PADDING: "<pad>"}
        return Piece(kind, names.get(kind, f"<no piece {i}>"))

    def _decode(self, ids: list[int], *, is_first: bool) -> str:
        text = self._vocabulary.decode(ids)
        if not isinstance(text, str):  # SeqIO's PassThroughVocabulary has ids only.
            return " ".join(map(str, ids))
        if isinstance(self._vocabulary, seqio.SentencePieceVocabulary) and not is_first:
            # A text has no space before its first word; this one goes on.
            begins_word = self._vocabulary.tokenizer.IdToPiece(ids[0]).startswith(_SPACE)
            return f" {text}" if begins_word else text
        return text

    def _is_unknown(self, character: str) -> bool:
        if character not in self._knows:
            ids = self._vocabulary.encode(character)
            self._knows[character] = self._vocabulary.unk_id not in ids
        return not self._knows[character]


def _special_ids(vocabulary: seqio.Vocabulary) -> dict[int, Kind]:
    """Where one id has several roles, as one that starts and ends texts, the last here is it."""
    found = {vocabulary.unk_id: Kind.UNKNOWN}
    if isinstance(vocabulary, FolderVocabulary):
        special = vocabulary.tokenizer.special
        found |= {special.mask: Kind.MASK, special.start: Kind.START}
    found[vocabulary.eos_id] = Kind.END
    return {i: kind for i, kind in found.items() if i is not None}


def _sentinels(vocabulary: seqio.Vocabulary) -> dict[int, int]:
    """Id -> n of <extra_id_n>. SentencePiece models name their sentinels; elsewhere they are the
    last ids in reverse, as for T5.
    """
    size = int(vocabulary.vocab_size)
    if not isinstance(vocabulary, seqio.SentencePieceVocabulary):
        return {size - 1 - n: n for n in range(vocabulary.extra_ids)}
    found = {}
    for i in range(vocabulary.tokenizer.GetPieceSize()):
        if named := _SENTINEL.fullmatch(vocabulary.tokenizer.IdToPiece(i)):
            found[i] = int(named[1])
    return found
