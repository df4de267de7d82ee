"""Whether texts that are held out stand in those to train on: runs of words that both have.

A run is as long as almost all held-out texts are, 8 to 13 words (Brown et al. 2020, appendix C):
of texts of fewer words nothing is said, they are alike by chance.
"""

import re
from collections.abc import Iterator, Sequence

_SHORTEST, _LONGEST = 8, 13
_SHARE_SHORTER = 0.05
_WORD = re.compile(r"\w+")


class Overlap:
    """Held-out texts, and what was found of them elsewhere."""

    def __init__(self, held_out: Sequence[str]) -> None:
        words = [_words(text) for text in held_out]
        sizes = sorted(size for size in map(len, words) if size >= _SHORTEST)
        typical = sizes[int(_SHARE_SHORTER * len(sizes))] if sizes else _LONGEST
        self.size = min(_LONGEST, typical)
        self.compared = len(sizes)
        # A text that is shorter than a run is one by itself.
        self._places: dict[int, dict[int, list[int]]] = {}
        for place, own in enumerate(words):
            if len(own) >= _SHORTEST:
                size = min(self.size, len(own))
                of_size = self._places.setdefault(size, {})
                for run in _runs(own, size):
                    of_size.setdefault(hash(run), []).append(place)
        self.found: dict[int, str] = {}

    def look_at(self, text: str) -> None:
        """Notes which held-out texts have a run of words in common with `text`, and the first."""
        words = _words(text)
        for size, places in self._places.items():
            for run in _runs(words, size):
                for place in places.get(hash(run), ()):
                    self.found.setdefault(place, " ".join(run))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    for first in range(len(words) - size + 1):
        yield tuple(words[first : first + size])
