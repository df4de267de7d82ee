"""What the rules for lines did to a page, in numbers."""

from collections import Counter

from t5x_lite.corpus.counts import BLANKS, Effect
from t5x_lite.corpus.page import num_bytes
from t5x_lite.corpus.rules import KEPT, Cleaned


def of_cleaning(text: str, cleaned: Cleaned) -> list[Effect]:
    """The effects of the rules, whose bytes are those by which the page became smaller."""
    lines: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for line in cleaned.lines:
        if line.rule not in (KEPT, cleaned.rule):
            lines[line.rule] += 1
            sizes[line.rule] += num_bytes(line.given)
        elif line.rule == KEPT and (lost := _lost(line.given.strip(), line.kept)):
            sizes["citations"] += lost
            lines["citations"] += 0
    effects = [Effect(rule, False, lines[rule], size) for rule, size in sizes.items()]
    rest = num_bytes(text) - sizes.total()
    if cleaned.text is None:
        effects.append(Effect(cleaned.rule, True, 0, rest))
    elif blanks := rest - num_bytes(cleaned.text):
        effects.append(Effect(BLANKS, False, 0, blanks))
    return effects


def _lost(given: str, kept: str) -> int:
    return 0 if len(given) == len(kept) else num_bytes(given) - num_bytes(kept)
