"""Byte-level BPE: a text is cut into words, and the UTF-8 bytes of each are merged, the pair that
was learned first before all others (GPT-2, Radford et al. 2019, 2.2). No TensorFlow here.

Bytes are written as 256 printable characters, so that pieces can stand in JSON and in lines of
text: a blank is Ġ, a new line Ċ.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tokenizers

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.added_tokens import sentinels
from t5x_lite.text.template import PLAIN, Template
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, description

PIECES_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
END_OF_TEXT = "<|endoftext|>"
_MERGES_VERSION = "#version: 0.2"
_NUM_BYTES = 256
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_HALF_PAIR = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_PRIVATE_USE = "\ue000"  # of no class that words are made of, as are bytes that are no UTF-8


def _byte_characters() -> list[str]:
    """Bytes that Latin-1 prints stand for themselves, the others for what follows Latin-1."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(i if i in printable else next(others)) for i in range(_NUM_BYTES)]


BYTE_CHARACTERS = _byte_characters()
_BYTE_OF = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}


def word_splitter() -> tokenizers.pre_tokenizers.PreTokenizer:
    """GPT-2's: a contraction, letters, numbers or other symbols with a blank before them, or white
    space, of which a run leaves its last blank to the next word.
    """
    return tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)


class BytePairTokenizer:
    """Pieces, the pairs they are merged of, and `extra_ids` sentinels behind them, in reverse:
    <extra_id_0> is the last id.

    Text never becomes a special token or a sentinel: "<|endoftext|>" in a text is the thirteen
    characters, as in OpenAI's code, and whoever wants the token adds its id.

    Args:
        pieces: piece, in characters of bytes -> id, as JSON gives it. Pieces that are neither bytes
            nor merged of them, such as "<|endoftext|>", are no text.
        merges: pairs of pieces, the first learned first.
        source: where they are from, for an error.

    Raises:
        UserError: a byte has no piece, a pair no id, or ids leave gaps.
    """

    def __init__(
        self,
        pieces: Mapping[str, Any],
        merges: Sequence[tuple[str, str]],
        special: SpecialTokens,
        extra_ids: int = 0,
        template: Template = PLAIN,
        *,
        source: object = "given",
    ):
        _check(pieces, merges, special, source)
        self.template = template
        self.pieces = dict(sorted(pieces.items(), key=lambda item: item[1]))
        self.merges, self.special, self.extra_ids = list(merges), special, extra_ids
        self._names = [*self.pieces, *sentinels(extra_ids)]
        self._split = word_splitter()
        # The cache of words is what makes it quick; its size is the library's own.
        self._tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(self.pieces, self.merges))
        self._tokenizer.pre_tokenizer = self._split
        self.bytes_of = [*self._bytes_of_pieces(), *map(str.encode, sentinels(extra_ids))]

    @property
    def num_ids(self) -> int:
        """Pieces and sentinels."""
        return len(self.pieces) + self.extra_ids

    @property
    def first_sentinel(self) -> int:
        """Sentinels are the last ids."""
        return len(self.pieces)

    def name_of(self, i: int) -> str:
        """The piece of an id, in characters of bytes."""
        return self._names[i]

    def encode(self, text: str) -> list[int]:
        """Ids without an end token.

        Bytes that are no UTF-8 may stand in `text` as Python holds them (errors="surrogateescape");
        half a surrogate pair is U+FFFD.
        """
        if _SURROGATE.search(text):  # which the library refuses
            return self._encode_escaped(_HALF_PAIR.sub("\ufffd", text))
        return self._tokenizer.encode(text).ids

    def encode_word(self, word: bytes) -> list[int]:
        """The ids of what is one word of a text."""
        characters = "".join(BYTE_CHARACTERS[byte] for byte in word)
        return [token.id for token in self._tokenizer.model.tokenize(characters)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; bytes that are no UTF-8 become U+FFFD, ids
        that are no text are left out.
        """
        kept = []
        for i in map(int, ids):
            if i == self.special.end:
                break
            if 0 <= i < self.num_ids:
                kept.append(self.bytes_of[i])
        return b"".join(kept).decode("utf-8", errors="replace")

    def files(self) -> dict[str, bytes]:
        """What it is, and OpenAI's two files."""
        said = None if self.template == PLAIN else self.template
        return {
            VOCABULARY_FILE: description("bpe", self.extra_ids, self.special, said),
            **self.openai_files(),
        }

    def openai_files(self) -> dict[str, bytes]:
        """Pieces and merges, each in a file as OpenAI publishes them."""
        lines = [_MERGES_VERSION, *(" ".join(pair) for pair in self.merges)]
        return {
            PIECES_FILE: json.dumps(self.pieces).encode(),
            MERGES_FILE: ("\n".join(lines) + "\n").encode(),
        }

    def _bytes_of_pieces(self) -> list[bytes]:
        text = {*BYTE_CHARACTERS, *(left + right for left, right in self.merges)}
        return [bytes(_BYTE_OF[c] for c in p) if p in text else b"" for p in self.pieces]

    def _encode_escaped(self, text: str) -> list[int]:
        """Words are found in a text whose escaped bytes are characters of the same class."""
        ids: list[int] = []
        for _, span in self._split.pre_tokenize_str(_ESCAPED_BYTE.sub(_PRIVATE_USE, text)):
            ids += self.encode_word(text[slice(*span)].encode("utf-8", errors="surrogateescape"))
        return ids


def parse_merges(text: str, source: object) -> list[tuple[str, str]]:
    """The pairs of `merges.txt`, one a line, behind a line with its version.

    Raises:
        UserError: a line holds no pair; it is named.
    """
    merges = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or not all(pair):
            raise UserError(f"{source}, line {number}: {line[:40]!r}; needed are two pieces.")
        merges.append((pair[0], pair[1]))
    return merges


def check_ids(pieces: Mapping[str, Any], source: object) -> None:
    """Refuses pieces whose ids are no numbers, as JSON may have them.

    Raises:
        UserError: with the first of them.
    """
    for piece, i in pieces.items():
        if type(i) is not int:
            raise UserError(f"{source}: the piece {piece!r} has the id {i!r}; needed is a number.")


def _check(
    pieces: Mapping[str, Any],
    merges: Sequence[tuple[str, str]],
    special: SpecialTokens,
    source: object,
) -> None:
    check_ids(pieces, source)
    if sorted(pieces.values()) != list(range(len(pieces))):
        raise UserError(f"{source}: the ids of the {len(pieces)} pieces are not 0, 1, 2, ...")
    if missing := [character for character in BYTE_CHARACTERS if character not in pieces]:
        raise UserError(
            f"{source}: {len(missing)} of the 256 bytes have no piece ({' '.join(missing[:5])}); "
            "needed is a byte-level vocabulary, such as GPT-2's or `t5x_lite vocab --kind=bpe`'s."
        )
    for left, right in merges:
        if absent := [p for p in (left, right, left + right) if p not in pieces]:
            raise UserError(f"{source}: {left!r} and {right!r} merge, but {absent[0]!r} has no id.")
        if strange := set(left + right) - _BYTE_OF.keys():
            raise UserError(f"{source}: {left!r} and {right!r}: {strange.pop()!r} is no byte.")
    for name in ("padding", "start", "end"):
        if getattr(special, name) >= len(pieces):
            raise UserError(
                f"{source}: the {name} token is {getattr(special, name)}, but there are "
                f"{len(pieces)} pieces."
            )
