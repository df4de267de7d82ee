"""Texts of two windows: a letter somewhere in the first, and in the second a question that it is
the answer to; nothing else in the second tells it.

    ..f....|.....?f
"""

import functools

import numpy as np

LETTERS = "abcdefgh"
WINDOW = 8  # bytes
_NUM_TEXTS = {"train": 2**15, "validation": 2**8, "test": 2**8}
_SEEDS = {"train": 0, "validation": 1, "test": 2}


def drawn(split: str, number: int) -> tuple[str, str]:
    """What is read up to the question, and the letter that answers it; a function of both."""
    rng = np.random.default_rng([_SEEDS[split], number])
    # The start token stands in front, so that the first window is one byte shorter; the end token
    # fills the second.
    letter, place = str(rng.choice(list(LETTERS))), int(rng.integers(WINDOW - 1))
    return ("." * place + letter).ljust(2 * WINDOW - 3, ".") + "?", letter


@functools.cache
def texts(split: str) -> list[dict[str, str]]:
    """Whole ones, with their answers."""
    return [{"targets": "".join(drawn(split, number))} for number in range(_NUM_TEXTS[split])]
