"""Numbers and remarks as words, equal on the terminal and on the page."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from t5x_lite.data.pieces import TEXTS, Kind, Piece
from t5x_lite.data.prompts import Prompt
from t5x_lite.inspection.findings import Findings, TaskFindings
from t5x_lite.inspection.statistics import FeatureStatistics

_MANY_TRUNCATED = 0.05
_MUCH_PADDING = 0.05
_MOST_CHARACTERS = 8
_TEXTS = frozenset({*TEXTS, Kind.DEMONSTRATION, Kind.ITEM})


def headline(findings: Findings) -> str:
    """Behind the name: what was read, and at which lengths."""
    lengths = ", ".join(f"{name} {length}" for name, length in findings.lengths.items())
    note = f" ({findings.lengths_note}; --lengths=...)" if findings.lengths_note else ""
    kind = f"mixture of {len(findings.shares)} tasks" if findings.is_mixture else "task"
    vocabularies = ", ".join(dict.fromkeys(task.vocabulary for task in findings.tasks))
    return f"{kind}, split {findings.split}, lengths {lengths}{note}, vocabulary of {vocabularies}"


def sampled(task: TaskFindings) -> str:
    """Behind a task's name: its size, and how much of it was read."""
    count = task.num_source_examples
    source = "an unknown number of" if count is None else f"{count:,}"
    if not task.sample_size:
        return f"{source} source examples"
    which = f"all {task.sample_size:,}" if task.is_all else f"{task.sample_size:,} shuffled"
    return f"{source} source examples; numbers are of {which} examples"


def spaced(pieces: Sequence[Piece]) -> Iterator[tuple[str, Piece]]:
    """Each piece and what to put before it: a space only between two that are no text, so that
    where a sentinel cuts a word in two it can be seen.
    """
    last = Kind.TEXT
    for piece in pieces:
        both_special = _TEXTS.isdisjoint((last, piece.kind))
        yield (" " if both_special or piece.kind is Kind.END else ""), piece
        last = piece.kind


def demonstrated(prompt: Prompt) -> str:
    """How many demonstrations stand before an item, and how many did not fit."""
    cut = prompt.drawn - len(prompt.shown)
    if not cut:
        return f"{prompt.drawn} demonstrations"
    return f"{len(prompt.shown)} of {prompt.drawn} demonstrations fit, {cut} are left out"


def per_cent(share: float) -> str:
    """Two digits where it is small: 0.013 %, 1.3 %, 13.0 %; nothing is 0."""
    value = 100 * share
    if value == 0:
        return "0"
    return f"{value:.1f} %" if value >= 1 else f"{value:.2g} %"


def sentinel_range(feature: FeatureStatistics) -> str:
    """How many an example has: the mean, and from least to most."""
    low, high = int(feature.sentinels.min()), int(feature.sentinels.max())
    if low == high:
        return str(low or "-")
    return f"{feature.sentinels.mean():.1f} ({low} to {high})"


def characters(counts: Mapping[str, int]) -> str:
    """The most frequent, with their numbers; what shows nothing is named."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{_visible(each)} {count:,}" for each, count in ranked[:_MOST_CHARACTERS]]
    rest = len(ranked) - len(shown)
    return "  ".join(shown) + (f"  and {rest:,} others" if rest else "")


def warnings(findings: Findings) -> Iterator[str]:
    """What deserves a second look, each with what to do."""
    for task in findings.tasks:
        for name, each in task.features.items():
            if each.truncated >= _MANY_TRUNCATED:
                enough = each.percentiles["99 %"]
                yield (
                    f"{task.name}: {per_cent(each.truncated)} of the {name} are cut at "
                    f"{each.limit}; {enough} would hold 99 % of them"
                )
            if each.num_empty:
                yield f"{task.name}: {each.num_empty} examples have empty {name}"
            are_prompts = any(example.prompt for example in task.examples)
            if name == "targets" and not findings.is_mixture and not are_prompts:
                yield from _needless_padding(task.name, each)
            if name == "targets" and each.unknown_share >= 0.01:
                yield (
                    f"{task.name}: {per_cent(each.unknown_share)} of the target tokens are "
                    "unknown, which no model can write; another vocabulary has their characters"
                )


def _needless_padding(task: str, targets: FeatureStatistics) -> Iterator[str]:
    """Corrupted targets are what an objective makes of a window: no other example is longer."""
    longest = targets.percentiles["max"]
    padding = 1 - longest / targets.limit
    if targets.sentinels.all() and padding >= _MUCH_PADDING:
        yield (
            f"{task}: corrupted targets have at most {longest} tokens, so a length of "
            f"{targets.limit} is {per_cent(padding)} padding"
        )


def _visible(character: str) -> str:
    if character.isprintable() and not unicodedata.combining(character):
        return character
    return unicodedata.name(character, f"U+{ord(character):04X}")
