"""More sentences like a sentence: words take the places of words (Jiao et al. 2020, algorithm 1).

What a student is to learn from its teacher needs no label, so there may be more of it than was ever
labelled. Which words may stand in a place is asked of whoever knows (`inference.candidates`).
"""

import random
import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from t5x_lite.compression.distillation_config import AugmentConfig

_WORD = re.compile(r"\w+")


class Word(NamedTuple):
    """A word of a text that others may stand for, and where it is."""

    text: str
    start: int
    end: int


def replaceable(text: str, stop_words: Collection[str]) -> list[Word]:
    """Words of letters alone that are no stop words, whatever their case.

    >>> replaceable("It is not the 2nd film.", {"it", "is", "not", "the"})
    [Word(text='film', start=18, end=22)]
    """
    words = [Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]
    return [word for word in words if word.text.isalpha() and word.text.lower() not in stop_words]


def augmented(
    text: str,
    words: Sequence[Word],
    candidates: Sequence[Sequence[str]],
    config: AugmentConfig,
    *,
    row: int,
) -> list[str]:
    """The text itself, and other ones, each once: 1 to `config.copies` + 1 texts.

    Args:
        candidates: for each of `words` what may stand in its place; none leaves it.
        row: of the text, by which each has draws of its own.
    """
    draws = random.Random(f"{config.seed}/{row}")
    found = {text: None}
    for _ in range(config.copies):
        found[_copy(text, words, candidates, config.probability, draws)] = None
    return list(found)


def _copy(
    text: str,
    words: Sequence[Word],
    candidates: Sequence[Sequence[str]],
    probability: float,
    draws: random.Random,
) -> str:
    parts, end = [], 0
    for word, others in zip(words, candidates, strict=True):
        replaced = draws.random() < probability and others
        parts += [text[end : word.start], draws.choice(others) if replaced else word.text]
        end = word.end
    return "".join([*parts, text[end:]])
