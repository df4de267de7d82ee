"""How well a vocabulary covers the text that it was trained on, source by source."""

import collections
import dataclasses
import random
from collections.abc import Mapping, Sequence

from etils import epath

from t5x_lite.text.special_ids import model_vocab_size
from t5x_lite.text.tokenizer import Tokenizer

_LINES = 2000
_CHARACTERS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of some lines of a text: how many come back exactly, the share of characters that do, those
    that are lost, the share of tokens that are unknown, and how long tokens and words are.
    """

    lines: int
    lossless_lines: int
    kept_fraction: float
    lost_characters: str
    unknown_fraction: float
    chars_per_token: float
    pieces_per_word: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyReport:
    """What was trained and how well it covers the text it was trained on: all of it, and each of
    several sources.

    `num_sentinels` are added when the vocabulary is loaded; `keeps_spaces` is whether runs of white
    space come back as they were.
    """

    path: epath.Path
    num_pieces: int
    num_sentinels: int
    keeps_spaces: bool
    lines_per_source: Mapping[str, int]
    whole: Coverage
    sources: Mapping[str, Coverage]

    @property
    def model_vocab_size(self) -> int:
        """The `vocab_size` a model needs for this vocabulary."""
        return model_vocab_size(self.num_pieces, self.num_sentinels)

    def __str__(self) -> str:
        num_ids = self.num_pieces + self.num_sentinels
        sentinels = f"with the sentinels {num_ids:,} ids; " if self.num_sentinels else ""
        spaces = "" if self.keeps_spaces else " (a run of white space as one space)"
        sources = ", ".join(f"{name}: {count:,}" for name, count in self.lines_per_source.items())
        whole = self.whole
        return "\n".join(
            [
                f"vocabulary   {self.path}",
                f"trained on   {sources} lines",
                f"pieces       {self.num_pieces:,}, {sentinels}padded to "
                f"a multiple of 128 the model's vocab_size is {self.model_vocab_size}",
                f"round trip   {whole.lossless_lines:,} of {whole.lines:,} lines come back "
                f"exactly{spaces}",
                f"lost         {' '.join(whole.lost_characters) or 'no character'}",
                f"unknown      {100 * whole.unknown_fraction:.4f} % of tokens",
                f"compression  {whole.chars_per_token:.2f} characters a token, "
                f"{whole.pieces_per_word:.2f} tokens a word",
                *(map(_line, *zip(*self.sources.items())) if len(self.sources) > 1 else ()),
            ]
        )


def _line(name: str, found: Coverage) -> str:
    return (
        f"  {name}: {100 * found.kept_fraction:.4f} % of characters come back, lost "
        f"{' '.join(found.lost_characters) or 'none'}; {100 * found.unknown_fraction:.4f} % of "
        f"tokens unknown; {found.pieces_per_word:.2f} tokens a word"
    )


def report(
    tokenizer: Tokenizer,
    path: epath.Path,
    lines_per_source: Mapping[str, Sequence[str]],
    *,
    num_sentinels: int,
    keeps_spaces: bool,
) -> VocabularyReport:
    """Encodes and decodes up to 2,000 of the lines that `tokenizer` was trained on, and as many of
    each of several sources.

    Args:
        tokenizer: without sentinels.
    """
    lines = [line for each in lines_per_source.values() for line in each]
    return VocabularyReport(
        path=path,
        num_pieces=tokenizer.num_ids,
        num_sentinels=num_sentinels,
        keeps_spaces=keeps_spaces,
        lines_per_source={name: len(each) for name, each in lines_per_source.items()},
        whole=_coverage(tokenizer, lines),
        sources={name: _coverage(tokenizer, each) for name, each in lines_per_source.items()},
    )


def _coverage(tokenizer: Tokenizer, lines: Sequence[str]) -> Coverage:
    checked = random.Random(0).sample(lines, min(len(lines), _LINES))
    ids = [tokenizer.encode(line) for line in checked]
    num_tokens = max(sum(map(len, ids)), 1)
    num_words = max(sum(len(line.split()) for line in checked), 1)
    decoded = [tokenizer.decode(each) for each in ids]
    lost, kept = collections.Counter[str](), 0
    for before, after in zip(checked, decoded, strict=True):
        gone = set(before) - set(after)
        lost.update(gone)
        kept += sum(character not in gone for character in before)
    unknown = tokenizer.special.unknown
    return Coverage(
        lines=len(checked),
        lossless_lines=sum(map(str.__eq__, checked, decoded)),
        kept_fraction=kept / max(sum(map(len, checked)), 1),
        lost_characters="".join(character for character, _ in lost.most_common(_CHARACTERS)),
        unknown_fraction=sum(each.count(unknown) for each in ids if unknown is not None)
        / num_tokens,
        chars_per_token=sum(map(len, checked)) / num_tokens,
        pieces_per_word=num_tokens / num_words,
    )
