"""Builds a SentencePiece vocabulary the way T5's was built. No TensorFlow, no JAX.

Unigram model, padding 0, end 1, unknown 2, no start id; the 100 sentinels are added when the
vocabulary is loaded, in reverse, so that `<extra_id_0>` is the last id (Raffel et al. 2020, 2.2).
"""

import collections
import io
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence

import sentencepiece
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.storage import make_folder, write_whole
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.special_ids import NUM_SENTINELS
from t5x_lite.text.training_lines import Sources, sample
from t5x_lite.text.vocabulary_report import VocabularyReport, report

# SentencePiece leaves longer lines out without a word, so they are split instead.
_MAX_LINE_CHARS = 4000
# The result depends on the number of threads, so it is not the machine's.
_NUM_THREADS = 4
_CHARACTER_COVERAGE = 0.9999


def train_sentencepiece(
    sources: Sources,
    output: epath.PathLike,
    *,
    vocab_size: int,
    max_lines_per_source: int = 200_000,
    seed: int = 0,
    weights: Sequence[float | int] = (),
    byte_fallback: bool = False,
    report_progress: Callable[[str], None] = print,
) -> VocabularyReport:
    """Trains on `sources`, each sampled down to `max_lines_per_source`, and writes `output`.

    The limit holds for each source by itself, so that a large corpus does not drown the other
    languages. The same sources and seed give the same file.

    Args:
        sources: a name for reports, and texts; a text may have several lines.
        vocab_size: pieces including padding, end and unknown, without the sentinels.
        weights: of the sources, see `training_lines.sample`.
        byte_fallback: characters without a piece are written as bytes, which are 256 of the pieces,
            so nothing is unknown.
    """
    lines_per_source = sample(
        sources,
        lines_of_words,
        max_lines_per_source=max_lines_per_source,
        seed=seed,
        report_progress=report_progress,
        weights=weights,
    )
    lines = [line for sampled in lines_per_source.values() for line in sampled]
    report_progress(f"training {vocab_size:,} pieces on {sum(map(len, lines)):,} characters")
    path = epath.Path(output)
    characters = set[str]().union(*map(_characters, lines_per_source.values()))
    make_folder(path.parent)
    write_whole(path, _train(lines, vocab_size, characters, byte_fallback))
    return report(
        SentencePieceTokenizer(path.read_bytes(), extra_ids=0, source=path),
        path,
        lines_per_source,
        num_sentinels=NUM_SENTINELS,
        keeps_spaces=False,
    )


def lines_of_words(texts: Iterable[str]) -> Iterator[str]:
    """Lines with single spaces, none too long for SentencePiece."""
    for text in texts:
        for line in text.splitlines():
            words = line.split()
            if len(line) <= _MAX_LINE_CHARS:
                pieces = [" ".join(words)]
            else:
                pieces = textwrap.wrap(" ".join(words), _MAX_LINE_CHARS, break_on_hyphens=False)
            yield from filter(None, pieces)


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


def _train(
    lines: Sequence[str], vocab_size: int, characters: set[str], byte_fallback: bool
) -> bytes:
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
            byte_fallback=byte_fallback,
            num_threads=_NUM_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"SentencePiece cannot make {vocab_size} pieces of {len(lines):,} lines: {error}\n"
            "Too high for the text: ask for fewer pieces or give more text. Too low: it must hold "
            "at least every character once, with --byte_fallback 256 bytes as well."
        ) from error
    return model.getvalue()
