"""Builds a byte-level BPE vocabulary the way GPT-2's was built. No TensorFlow, no JAX.

The 256 bytes come first, then what was merged, in the order it was learned; the last id is
"<|endoftext|>", which starts and ends texts (Radford et al. 2019, 2.2).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence

import tokenizers
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.storage import make_folder, write_whole
from t5x_lite.text.byte_pair import BYTE_CHARACTERS, END_OF_TEXT, BytePairTokenizer, word_splitter
from t5x_lite.text.training_lines import Sources, sample
from t5x_lite.text.vocabulary_report import VocabularyReport, report


def train_byte_pair(
    sources: Sources,
    output: epath.PathLike,
    *,
    vocab_size: int,
    max_lines_per_source: int = 200_000,
    seed: int = 0,
    weights: Sequence[float | int] = (),
    report_progress: Callable[[str], None] = print,
) -> VocabularyReport:
    """Trains on `sources`, sampled as for SentencePiece but with all their white space, and writes
    the folder `output`. The same sources and seed give the same files.

    Args:
        vocab_size: pieces, "<|endoftext|>" included; there are no sentinels.

    Raises:
        UserError: there is no text, or not as many pairs in it.
    """
    lines_per_source = sample(
        sources,
        _lines,
        max_lines_per_source=max_lines_per_source,
        seed=seed,
        report_progress=report_progress,
        weights=weights,
    )
    lines = [line for sampled in lines_per_source.values() for line in sampled]
    report_progress(f"training {vocab_size:,} pieces on {sum(map(len, lines)):,} characters")
    tokenizer = _train(lines, vocab_size)
    folder = epath.Path(output)
    make_folder(folder)
    for name, content in reversed(tokenizer.files().items()):  # the one that says what it is last
        write_whole(folder / name, content)
    return report(tokenizer, folder, lines_per_source, num_sentinels=0, keeps_spaces=True)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines with their ends, and the empty ones behind them, which are one word."""
    line = ""
    for text in texts:
        for following in text.splitlines(keepends=True):
            if line and not following.isspace():
                yield line
                line = ""
            line += following
    if line:
        yield line


def _train(lines: Sequence[str], vocab_size: int) -> BytePairTokenizer:
    if vocab_size <= len(BYTE_CHARACTERS):
        raise UserError(
            f"{vocab_size} pieces are too few for a byte-level BPE: ask for more than "
            f"{len(BYTE_CHARACTERS)}, the bytes and {END_OF_TEXT}."
        )
    learned = tokenizers.Tokenizer(tokenizers.models.BPE())
    learned.pre_tokenizer = word_splitter()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, initial_alphabet=BYTE_CHARACTERS, show_progress=False
    )
    learned.train_from_iterator(lines, trainer)
    model = json.loads(learned.to_str())["model"]
    pieces = model["vocab"]
    if len(pieces) < vocab_size - 1:
        raise UserError(
            f"{len(lines):,} lines have pairs for {len(pieces) + 1:,} pieces, not for "
            f"{vocab_size:,}: ask for fewer pieces or give more text."
        )
    end = len(pieces)
    special = SpecialTokens(padding=end, start=end, end=end, unknown=None)
    merges = [(left, right) for left, right in model["merges"]]
    return BytePairTokenizer({**pieces, END_OF_TEXT: end}, merges, special)
