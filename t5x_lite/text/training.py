"""Builds a SentencePiece vocabulary the way T5's was built. No TensorFlow, no JAX.

Unigram model, padding 0, end 1, unknown 2, no start id; the 100 sentinels are added when the
vocabulary is loaded, in reverse, so that `<extra_id_0>` is the last id (Raffel et al. 2020, 2.2).
"""

import collections
import dataclasses
import io
import os
import random
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import sentencepiece
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text import default_vocabulary
from t5x_lite.text_files import text_lines

# SentencePiece leaves longer lines out without a word, so they are split instead.
_MAX_LINE_CHARS = 4000
# The result depends on the number of threads, so it is not the machine's.
_NUM_THREADS = 4
_CHARACTER_COVERAGE = 0.9999
_REPORT_LINES = 2000
_REPORT_CHARACTERS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyReport:
    """What was trained and how well it covers the text it was trained on."""

    path: epath.Path
    num_pieces: int
    lines_per_source: Mapping[str, int]
    checked_lines: int
    lossless_lines: int
    lost_characters: str
    unknown_fraction: float
    chars_per_token: float

    @property
    def model_vocab_size(self) -> int:
        """The `vocab_size` a model needs for this vocabulary."""
        return default_vocabulary.model_vocab_size(self.num_pieces)

    def __str__(self) -> str:
        num_ids = self.num_pieces + default_vocabulary.NUM_SENTINELS
        sources = ", ".join(f"{name}: {count:,}" for name, count in self.lines_per_source.items())
        return "\n".join(
            [
                f"vocabulary   {self.path}",
                f"trained on   {sources} lines",
                f"pieces       {self.num_pieces:,}, with the sentinels {num_ids:,} ids; padded to "
                f"a multiple of 128 the model's vocab_size is {self.model_vocab_size}",
                f"round trip   {self.lossless_lines:,} of {self.checked_lines:,} lines come back "
                "exactly (a run of white space as one space)",
                f"lost         {' '.join(self.lost_characters) or 'no character'}",
                f"unknown      {100 * self.unknown_fraction:.4f} % of tokens",
                f"compression  {self.chars_per_token:.2f} characters a token",
            ]
        )


def file_texts(patterns: Sequence[str]) -> Iterator[str]:
    """The lines of all text files that match a pattern, for instance `corpus/*.txt`."""
    for pattern in patterns:
        path = epath.Path(pattern)
        files = [path] if path.exists() else sorted(path.parent.glob(path.name))
        if not files:
            raise UserError(f"No file matches {pattern!r}; give a text file or a pattern of them.")
        for file in files:
            yield from text_lines(file)


def train_sentencepiece(
    sources: Mapping[str, Iterable[str]],
    output: epath.PathLike,
    *,
    vocab_size: int,
    max_lines_per_source: int = 200_000,
    seed: int = 0,
    report_progress: Callable[[str], None] = print,
) -> VocabularyReport:
    """Trains on `sources`, each sampled down to `max_lines_per_source`, and writes `output`.

    The limit holds for each source by itself, so that a large corpus does not drown the other
    languages. The same sources and seed give the same file.

    Args:
        sources: a name for reports, and texts; a text may have several lines.
        vocab_size: pieces including padding, end and unknown, without the sentinels.
    """
    lines_per_source = {}
    for name, texts in sources.items():
        lines_per_source[name] = _sample(_lines(texts), max_lines_per_source, seed)
        report_progress(f"{name}: {len(lines_per_source[name]):,} lines")
    lines = [line for sampled in lines_per_source.values() for line in sampled]
    if not lines:
        raise UserError(f"No text to train a vocabulary on: {', '.join(sources) or 'no source'}.")
    report_progress(f"training {vocab_size:,} pieces on {sum(map(len, lines)):,} characters")
    path = epath.Path(output)
    characters = set[str]().union(*map(_characters, lines_per_source.values()))
    _write(path, _train(lines, vocab_size, characters))
    processor = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
    counts = {name: len(sampled) for name, sampled in lines_per_source.items()}
    return _report(path, processor, counts, lines)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines with single spaces, none too long for SentencePiece."""
    for text in texts:
        for line in text.splitlines():
            words = line.split()
            if len(line) <= _MAX_LINE_CHARS:
                pieces = [" ".join(words)]
            else:
                pieces = textwrap.wrap(" ".join(words), _MAX_LINE_CHARS, break_on_hyphens=False)
            yield from filter(None, pieces)


def _sample(lines: Iterable[str], limit: int, seed: int) -> list[str]:
    """At most `limit` lines, each equally likely (reservoir sampling)."""
    chosen: list[str] = []
    generator = random.Random(seed)
    for index, line in enumerate(lines):
        if index < limit:
            chosen.append(line)
        else:
            place = generator.randrange(index + 1)
            if place < limit:
                chosen[place] = line
    return chosen


def _characters(lines: Sequence[str]) -> set[str]:
    """The most frequent characters, as few as cover the text.

    Counted for each source: the accents of a small language are rare in all of the text.
    """
    counts = collections.Counter[str]()
    for line in lines:
        counts.update(unicodedata.normalize("NFKC", line).replace(" ", ""))
    rest = (1 - _CHARACTER_COVERAGE) * counts.total()
    kept = set(counts)
    for character, count in reversed(counts.most_common()):
        rest -= count
        if rest < 0:
            break
        kept.remove(character)
    return kept


def _train(lines: Sequence[str], vocab_size: int, characters: set[str]) -> bytes:
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            character_coverage=_CHARACTER_COVERAGE,
            required_chars="".join(sorted(characters)),
            max_sentence_length=4 * _MAX_LINE_CHARS + 1,  # bytes
            num_threads=_NUM_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"SentencePiece cannot make {vocab_size} pieces of {len(lines):,} lines: {error}\n"
            "Too high for the text: ask for fewer pieces or give more text. Too low: it must hold "
            "at least every character once."
        ) from error
    return model.getvalue()


def _write(path: epath.Path, content: bytes) -> None:
    """Writes all or nothing, so that no other process reads half a model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    temporary.write_bytes(content)
    temporary.replace(path)


def _report(
    path: epath.Path,
    processor: sentencepiece.SentencePieceProcessor,
    lines_per_source: Mapping[str, int],
    lines: Sequence[str],
) -> VocabularyReport:
    checked = random.Random(0).sample(lines, min(len(lines), _REPORT_LINES))
    ids = processor.encode(checked)
    num_tokens = max(sum(map(len, ids)), 1)
    decoded = processor.decode(ids)
    lost = collections.Counter[str]()
    for before, after in zip(checked, decoded, strict=True):
        lost.update(set(before) - set(after))
    return VocabularyReport(
        path=path,
        num_pieces=processor.get_piece_size(),
        lines_per_source=dict(lines_per_source),
        checked_lines=len(checked),
        lossless_lines=sum(map(str.__eq__, checked, decoded)),
        lost_characters="".join(character for character, _ in lost.most_common(_REPORT_CHARACTERS)),
        unknown_fraction=sum(i.count(processor.unk_id()) for i in ids) / num_tokens,
        chars_per_token=sum(map(len, checked)) / num_tokens,
    )
