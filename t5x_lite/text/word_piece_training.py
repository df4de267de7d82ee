"""Builds a WordPiece vocabulary as BERT's is made. No TensorFlow, no JAX.

[PAD] is 0, then come [UNK], [CLS], [SEP] and [MASK], the characters, where words begin and where
they go on, and what was merged of them, in the order it was learned (Wu et al. 2016, section 4.1;
pairs are counted, not weighed by likelihood, as in all public code).
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence

import tokenizers
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.storage import make_folder, write_whole
from t5x_lite.text.special_names import BRACKETS
from t5x_lite.text.training import lines_of_words
from t5x_lite.text.training_lines import Sources, sample
from t5x_lite.text.vocabulary_report import VocabularyReport, report
from t5x_lite.text.word_piece import (
    CONTINUES,
    WordPieceTokenizer,
    WordRules,
    word_splitter,
)

# A rarer character is left to the unknown token, as in BERT's vocabularies.
_MAX_ALPHABET = 1000


def train_word_piece(
    sources: Sources,
    output: epath.PathLike,
    *,
    vocab_size: int,
    cased: bool = False,
    max_lines_per_source: int = 200_000,
    seed: int = 0,
    weights: Sequence[float | int] = (),
    report_progress: Callable[[str], None] = print,
) -> VocabularyReport:
    """Trains on `sources`, sampled as for SentencePiece, and writes the folder `output`. The same
    sources and seed give the same files.

    Args:
        vocab_size: pieces, special ones included; there are no sentinels.
        cased: capitals and accents count.

    Raises:
        UserError: there is no text, not as many pairs in it, or more characters than pieces.
    """
    lines_per_source = sample(
        sources,
        lines_of_words,
        max_lines_per_source=max_lines_per_source,
        seed=seed,
        report_progress=report_progress,
        weights=weights,
    )
    rules = WordRules(lower_case=not cased, strip_accents=not cased)
    normal = rules.normalizer().normalize_str
    normalized = {name: [*map(normal, lines)] for name, lines in lines_per_source.items()}
    lines = [line for each in normalized.values() for line in each]
    report_progress(f"training {vocab_size:,} pieces on {sum(map(len, lines)):,} characters")
    tokenizer = _train(lines, vocab_size, rules)
    folder = epath.Path(output)
    make_folder(folder)
    for name, content in reversed(tokenizer.files().items()):  # the one that says what it is last
        write_whole(folder / name, content)
    # What comes back is compared with the text as the rules leave it.
    return report(tokenizer, folder, normalized, num_sentinels=0, keeps_spaces=False)


def _train(lines: Sequence[str], vocab_size: int, rules: WordRules) -> WordPieceTokenizer:
    names = list(dataclasses.astuple(BRACKETS))
    alphabet, behind = _alphabet(lines)
    first = [*names, *alphabet, *(CONTINUES + character for character in behind)]
    if len(first) > vocab_size:
        raise UserError(
            f"{vocab_size:,} pieces are too few for a WordPiece: ask for more than {len(first):,}, "
            f"{', '.join(names)} and the characters of the text."
        )
    learned = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token=BRACKETS.unknown))
    learned.pre_tokenizer = word_splitter()
    # The library numbers what continues words by chance, unless it is told all of it in an order.
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=first,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=CONTINUES,
        show_progress=False,
    )
    learned.train_from_iterator(lines, trainer)
    pieces = learned.get_vocab()
    if len(pieces) < vocab_size:
        raise UserError(
            f"{len(lines):,} lines have pairs for {len(pieces):,} pieces, not for "
            f"{vocab_size:,}: ask for fewer pieces or give more text."
        )
    return WordPieceTokenizer(pieces, BRACKETS.ids(pieces, "the vocabulary"), rules)


def _alphabet(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The most frequent characters, and those of them that continue words."""
    begin, behind = collections.Counter[str](), collections.Counter[str]()
    split = word_splitter()
    for line in lines:
        for word, _ in split.pre_tokenize_str(line):
            begin[word[0]] += 1
            behind.update(word[1:])
    kept = {character for character, _ in (begin + behind).most_common(_MAX_ALPHABET)}
    return sorted(kept), sorted(kept & behind.keys())
