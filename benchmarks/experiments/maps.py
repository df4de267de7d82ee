"""Maps of symbols to labels, drawn at random: what a sequence shows nothing else tells.

A sequence has a map of its own, `c3f1h7c3...`: pairs of a symbol and its label. Of the 8 ** 8 maps
each is in one split, by a digest of it, so none that is tested was trained on.
"""

import functools
from collections.abc import Mapping

import numpy as np

from t5x_lite.tasks.splits import split_of

SYMBOLS, LABELS = "abcdefgh", "01234567"
NUM_PAIRS = 24  # of a sequence
_NUM_SEQUENCES = {"train": 2**17, "validation": 2**10, "test": 2**10}

Map = Mapping[str, str]


def drawn(split: str, seed: int, number: int) -> tuple[Map, np.random.Generator]:
    """Map `number` of a split, and what further numbers of its sequence are drawn from; a function
    of the arguments alone.
    """
    rng = np.random.default_rng([seed, number])
    while True:
        labels = "".join(rng.choice(list(LABELS), len(SYMBOLS)))
        if split_of(labels) == split:
            return dict(zip(SYMBOLS, labels, strict=True)), rng


@functools.cache
def sequences(split: str) -> list[dict[str, str]]:
    """Of each map pairs that come at random, again and again."""
    texts = []
    for number in range(_NUM_SEQUENCES[split]):
        known, rng = drawn(split, 0, number)
        symbols = rng.choice(list(known), NUM_PAIRS)
        texts.append("".join(f"{symbol}{known[symbol]}" for symbol in symbols))
    return [{"targets": text} for text in texts]


def question(split: str, number: int, num_shown: int) -> tuple[str, str]:
    """A prompt and the label that is asked for: so many different pairs of a map, then one of its
    symbols, any of them.
    """
    known, rng = drawn(split, 1 + num_shown, number)
    shown = rng.permutation(list(known))[:num_shown]
    asked = str(rng.choice(list(known)))
    return "".join(f"{symbol}{known[symbol]}" for symbol in shown) + asked, known[asked]
