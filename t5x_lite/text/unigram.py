"""SentencePiece as encoders have it (Lan et al. 2020, ALBERT; Yang et al. 2019, XLNet): special
tokens that are not T5's, no sentinels, and text that is rewritten before it is cut. No TensorFlow
here.

After both papers' code `` and '' become ", accents and capitals go if the rules say so, and a piece
such as "1," is not taken where its number and its comma can be.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable

import sentencepiece
import tokenizers

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.sentencepiece_files import parse_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import SENTENCEPIECE_FILE
from t5x_lite.text.special_ids import until_end
from t5x_lite.text.template import Template
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, description

BLANK = "\u2581"
QUOTES = ("``", "''")
# What a piece with a digit before its comma is the less likely by, in natural logarithms.
_COMMA_COST = 100.0
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnigramRules:
    """What becomes of a text before it is cut into pieces, and whether numbers keep their commas to
    themselves: `split_digit_commas` makes pieces such as "1," unlikely.
    """

    lower_case: bool
    strip_accents: bool = True
    split_digit_commas: bool = True

    def normalizers(self) -> list[tokenizers.normalizers.Normalizer]:
        """Text -> text by single characters: what the rules say of accents and capitals."""
        normalizers = tokenizers.normalizers
        accents = [normalizers.NFKD(), normalizers.StripAccents()] if self.strip_accents else []
        return [*accents, *([normalizers.Lowercase()] if self.lower_case else [])]


class UnigramTokenizer:
    """A SentencePiece model, special tokens among its pieces, and rules.

    Text never becomes a special token: whoever wants one adds its id.

    Args:
        model: as its file has it.
        source: where it is from, for an error.

    Raises:
        UserError: it is no such model, or has no piece for a special id.
    """

    extra_ids = 0

    def __init__(
        self,
        model: bytes,
        special: SpecialTokens,
        rules: UnigramRules,
        template: Template,
        *,
        source: object = "given",
    ):
        proto = parse_sentencepiece(model, source)
        for name, i in dataclasses.asdict(special).items():
            if i is not None and i >= len(proto.pieces):
                raise UserError(
                    f"{source}: the {name} token is {i}, but there are {len(proto.pieces)} pieces."
                )
        self.model, self.special, self.rules, self.template = model, special, rules, template
        if rules.split_digit_commas:
            for piece in proto.pieces:
                if ends_with_digit_comma(piece.piece):
                    piece.score -= _COMMA_COST
        # With the scores by which text is cut.
        self.scored_model: bytes = proto.SerializeToString()
        self._processor = sentencepiece.SentencePieceProcessor()
        self._processor.LoadFromSerializedProto(self.scored_model)

    @property
    def num_ids(self) -> int:
        """Pieces, special ones included."""
        return self._processor.GetPieceSize()

    @property
    def first_sentinel(self) -> int:
        """There are none."""
        return self.num_ids

    def name_of(self, i: int) -> str:
        """The piece of an id."""
        return self._processor.IdToPiece(i)

    def encode(self, text: str) -> list[int]:
        """Ids of the text alone; bytes that are no UTF-8, as Python holds them, are U+FFFD."""
        text = self._rewrite.normalize_str(_SURROGATE.sub("\ufffd", text))
        return self._processor.EncodeAsIds(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; ids that are no piece are unknown ones."""
        special, unknown = self.special, self._processor.unk_id()
        kept = [i for i in until_end(ids, special) if i not in (special.start, special.mask)]
        return self._processor.DecodeIds([i if 0 <= i < self.num_ids else unknown for i in kept])

    def files(self) -> dict[str, bytes]:
        """What it is, and its model."""
        more = {"rules": dataclasses.asdict(self.rules)}
        return {
            VOCABULARY_FILE: description("unigram", 0, self.special, self.template, **more),
            SENTENCEPIECE_FILE: self.model,
        }

    @functools.cached_property
    def _rewrite(self) -> tokenizers.normalizers.Normalizer:
        quotes = [tokenizers.normalizers.Replace(each, '"') for each in QUOTES]
        return tokenizers.normalizers.Sequence([*quotes, *self.rules.normalizers()])


def ends_with_digit_comma(piece: str) -> bool:
    """Whether a piece is a number, or the end of one, and a comma."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()
