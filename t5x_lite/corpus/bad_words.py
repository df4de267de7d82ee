r"""Pages with a word of a list, found as the release's expression finds them, and faster.

The release searches `(?:\W|^)(word|word ...)(?:\W|$)`. A word without other characters is found
so if and only if it is a whole run of word characters; the others are few.
"""

import os
import re
from collections.abc import Iterable

from t5x_lite.errors import UserError
from t5x_lite.text_files import text_lines

_RUNS = re.compile(r"\w+")
# These languages have no blanks between words, so that a word may stand inside of another.
_WITHOUT_BLANKS = ("ja", "th", "zh")


class BadWords:
    """A list of words, in small letters as it is given."""

    def __init__(self, words: Iterable[str], language: str = "en"):
        words = sorted(set(words) - {""})
        anywhere = language.partition("-")[0] in _WITHOUT_BLANKS
        self._anywhere = words if anywhere else []
        rest = [] if anywhere else words
        self._whole = frozenset(word for word in rest if _RUNS.fullmatch(word))
        self._flanked = {
            word: re.compile(rf"(?:\W|^){re.escape(word)}(?:\W|$)")
            for word in rest
            if word not in self._whole
        }

    def found(self, text: str) -> str:
        """One of the words that the text has; empty if it has none."""
        lower = text.lower()
        if whole := self._whole.intersection(_RUNS.findall(lower)):
            return min(whole)
        for word, expression in self._flanked.items():
            if word in lower and expression.search(lower):
                return word
        return next((word for word in self._anywhere if word in lower), "")


def read_bad_words(path: str | os.PathLike, language: str) -> BadWords:
    """The list in a file, one word or phrase a line.

    Raises:
        OSError: it cannot be read.
        UserError: it is not UTF-8, or has no word.
    """
    words = [word for line in text_lines(path) if (word := line.strip())]
    if not words:
        raise UserError(f"{path} is empty; needed is one word or phrase a line.")
    return BadWords(words, language)
