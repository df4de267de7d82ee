"""WordPiece: a text is cut into words, of each the longest piece of the vocabulary is taken, and of
what is left the longest that continues a word (Devlin et al. 2018; Wu et al. 2016, section 4.1). No
TensorFlow here.

What a word is follows BERT's code: control characters are left out, each punctuation mark and, if
the rules say so, each Chinese character is a word of its own, accents and capitals may go. A piece
that continues a word begins with "##"; a word without pieces, or of more than 100 characters, is
unknown as a whole.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tokenizers

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import check_ids
from t5x_lite.text.special_ids import until_end
from t5x_lite.text.template import START_AND_END, Template
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, description

WORD_PIECES_FILE = "vocab.txt"
CONTINUES = "##"
MAX_CHARACTERS = 100
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordRules:
    """What becomes of a text before it is cut into pieces: BERT's uncased vocabulary has all three,
    its cased one splits Chinese characters only.
    """

    lower_case: bool = True
    strip_accents: bool = True
    split_chinese: bool = True

    def normalizer(self) -> tokenizers.normalizers.Normalizer:
        """Text -> text without control characters, and as the rules say."""
        return tokenizers.normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=self.split_chinese,
            strip_accents=self.strip_accents,
            lowercase=self.lower_case,
        )


def word_splitter() -> tokenizers.pre_tokenizers.PreTokenizer:
    """White space parts words, a punctuation mark is one."""
    return tokenizers.pre_tokenizers.BertPreTokenizer()


class WordPieceTokenizer:
    """Pieces, and the rules by which text is cut into words.

    Text never becomes a special token: "[MASK]" in a text is two brackets and a word, as in BERT's
    own code, and whoever wants the token adds its id.

    Args:
        pieces: piece -> id, as JSON gives it.
        source: where they are from, for an error.

    Raises:
        UserError: ids leave gaps, or a special id has no piece.
    """

    extra_ids = 0

    def __init__(
        self,
        pieces: Mapping[str, Any],
        special: SpecialTokens,
        rules: WordRules = WordRules(),
        template: Template = START_AND_END,
        *,
        source: object = "given",
    ):
        _check(pieces, special, source)
        self.pieces = dict(sorted(pieces.items(), key=lambda item: item[1]))
        self.special, self.rules, self.template = special, rules, template
        self.names = list(self.pieces)
        assert special.unknown is not None, "checked above"
        self._tokenizer = tokenizers.Tokenizer(
            tokenizers.models.WordPiece(
                self.pieces,
                unk_token=self.names[special.unknown],
                max_input_chars_per_word=MAX_CHARACTERS,
                continuing_subword_prefix=CONTINUES,
            )
        )
        self._tokenizer.normalizer = rules.normalizer()
        self._tokenizer.pre_tokenizer = word_splitter()
        self._decoder = tokenizers.decoders.WordPiece(CONTINUES)

    @property
    def num_ids(self) -> int:
        """Pieces, special ones included."""
        return len(self.pieces)

    @property
    def first_sentinel(self) -> int:
        """There are none."""
        return len(self.pieces)

    def name_of(self, i: int) -> str:
        """The piece of an id, with ## if it continues a word."""
        return self.names[i]

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone; bytes that are no UTF-8, as Python holds them, are left out."""
        # The library refuses surrogates, and leaves U+FFFD out.
        return self._tokenizer.encode(_SURROGATE.sub("\ufffd", text)).ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token, with blanks where words began; ids that are no
        text are left out.
        """
        special = self.special
        no_text = (special.start, special.mask)
        kept = [i for i in until_end(ids, special) if 0 <= i < self.num_ids and i not in no_text]
        return self.join(self.names[i] for i in kept)

    def join(self, pieces: Iterable[str]) -> str:
        """The text of pieces, with blanks where words begin."""
        return self._decoder.decode(list(pieces))

    def files(self) -> dict[str, bytes]:
        """What it is, and its pieces, one a line."""
        more = {"rules": dataclasses.asdict(self.rules)}
        return {
            VOCABULARY_FILE: description("wordpiece", 0, self.special, self.template, **more),
            WORD_PIECES_FILE: lines_of(self.names),
        }


def lines_of(pieces: Iterable[str]) -> bytes:
    """The content of `vocab.txt`."""
    return "".join(f"{piece}\n" for piece in pieces).encode()


def parse_lines(text: str, source: object) -> dict[str, int]:
    """Piece -> id of `vocab.txt`: a piece a line, the first is 0.

    Raises:
        UserError: a piece is there twice.
    """
    lines = text.removesuffix("\n").split("\n")
    pieces: dict[str, int] = {}
    for i, line in enumerate(lines):
        piece = line.rstrip("\r")
        if piece in pieces:
            raise UserError(
                f"{source}, line {i + 1}: {piece!r} is on line {pieces[piece] + 1} as well; needed "
                "is a file with each piece once, whose line is its id."
            )
        pieces[piece] = i
    return pieces


def _check(pieces: Mapping[str, Any], special: SpecialTokens, source: object) -> None:
    check_ids(pieces, source)
    if sorted(pieces.values()) != list(range(len(pieces))):
        raise UserError(f"{source}: the ids of the {len(pieces)} pieces are not 0, 1, 2, ...")
    if special.unknown is None:
        raise UserError(f"{source} has no unknown token, which words without pieces become.")
    for name, i in dataclasses.asdict(special).items():
        if i is not None and i >= len(pieces):
            raise UserError(
                f"{source}: the {name} token is {i}, but there are {len(pieces)} pieces."
            )
