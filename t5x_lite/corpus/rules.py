"""The rules that look at the lines of one page, pure: a page -> what is left, and why.

As released they are in the order of c4_utils' clean_page, so that a line that went does not take
its page with it. In the paper's wording a page goes for what any of its lines has.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from t5x_lite.corpus.config import Wording

MAX_PAGE_CHARACTERS = 190_000
MAX_WORD_CHARACTERS = 1000
MIN_LINE_WORDS = 5
MIN_SENTENCES = 3

_END_MARKS = (".", "?", "!", '"')
_ELLIPSIS = "..."
_CITATIONS = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_LOREM_IPSUM = "lorem ipsum"
_JAVASCRIPT = "javascript"
_CURLY_BRACKET = "{"
_POLICIES = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_POLICY = re.compile("|".join(map(re.escape, _POLICIES)))
_HEADERS = ("WARC", "CONTENT-", "Content-")
KEPT = ""
LINE_RULES = frozenset(
    {
        *("header_lines", "word_length", "citations", "end_mark", "line_words", "lorem_ipsum"),
        *("javascript", "curly_bracket", "policy", "sentences"),
    }
)
# (texts, least) -> whether they have so many sentences together
HasSentences = Callable[[Sequence[str], int], bool]


class Line(NamedTuple):
    """A line of a page, what of it is kept, and the rule that dropped it or KEPT."""

    given: str
    kept: str
    rule: str


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """What the rules made of a page.

    Attributes:
        text: what is left; None if the page was dropped.
        lines: each that was looked at.
        rule: which dropped the page, else KEPT.
        rest: lines behind the one for which the page was dropped.
    """

    text: str | None
    lines: list[Line]
    rule: str = KEPT
    rest: list[str] = dataclasses.field(default_factory=list)


class LineRules:
    """The rules of a set of names, in one wording."""

    def __init__(
        self,
        names: Collection[str],
        has_sentences: HasSentences,
        wording: Wording = Wording.RELEASED,
    ):
        self._names = frozenset(names)
        self._has_sentences = has_sentences
        self._is_paper = wording is Wording.PAPER
        # The paper asks for a terminal punctuation mark, and an ellipsis ends in one.
        self._ellipsis = () if self._is_paper else _ELLIPSIS

    @property
    def has_rules(self) -> bool:
        """Whether there is any rule for lines."""
        return bool(self._names & LINE_RULES)

    def clean(self, text: str) -> Cleaned:
        """What is left of a page."""
        given = text.splitlines()
        if self._is_paper and (rule := self._page_rule(text)):
            return Cleaned(None, [], rule, given)
        lines: list[Line] = []
        for number, each in enumerate(given):
            line, rule, drops_page = self._line(each.strip())
            lines.append(Line(each, line if rule == KEPT else "", rule))
            if drops_page:
                return Cleaned(None, lines, rule, given[number + 1 :])
        kept = [line.kept for line in lines if line.rule == KEPT]
        if "sentences" in self._names and not self._has_sentences(kept, MIN_SENTENCES):
            return Cleaned(None, lines, "sentences")
        left = "\n".join(kept).strip()
        return Cleaned(left, lines) if left else Cleaned(None, lines, "no_content")

    def _page_rule(self, text: str) -> str:
        """The rule by which the paper drops a page for any of its lines."""
        if "lorem_ipsum" in self._names and _LOREM_IPSUM in text.lower():
            return "lorem_ipsum"
        if "curly_bracket" in self._names and _CURLY_BRACKET in text:
            return "curly_bracket"
        return KEPT

    def _line(self, line: str) -> tuple[str, str, bool]:
        """(what is left of it, the rule that drops it, whether that drops the page)."""
        names = self._names
        if "header_lines" in names and line.startswith(_HEADERS):
            return line, "header_lines", False
        if "word_length" in names and len(line) > MAX_WORD_CHARACTERS and has_long_word(line):
            return line, "word_length", False
        if "citations" in names and "[" in line:
            line = _CITATIONS.sub("", line)
        if "end_mark" in names and (
            not line.endswith(_END_MARKS) or (self._ellipsis and line.endswith(self._ellipsis))
        ):
            return line, "end_mark", False
        if "line_words" in names and len(line.split(None, MIN_LINE_WORDS)) < MIN_LINE_WORDS:
            return line, "line_words", False
        lower = line.lower()
        if "lorem_ipsum" in names and _LOREM_IPSUM in lower:
            return line, "lorem_ipsum", True
        if "javascript" in names and _JAVASCRIPT in lower:
            return line, "javascript", False
        if "curly_bracket" in names and _CURLY_BRACKET in line:
            return line, "curly_bracket", True
        if "policy" in names and _POLICY.search(lower):
            return line, "policy", False
        return line, KEPT, False


def has_long_word(line: str) -> bool:
    """Whether a word has more than 1,000 characters."""
    return any(len(word) > MAX_WORD_CHARACTERS for word in line.split())


def is_too_long(text: str) -> bool:
    """Whether a page has more characters than any that is read by people."""
    return len(text) > MAX_PAGE_CHARACTERS
