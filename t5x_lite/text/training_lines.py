"""The lines that a vocabulary is trained on: of each source a sample."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from t5x_lite.errors import UserError

Sources = Mapping[str, Iterable[str]]


def sample(
    sources: Sources,
    lines: Callable[[Iterable[str]], Iterator[str]],
    *,
    max_lines_per_source: int,
    seed: int,
    report_progress: Callable[[str], None],
    weights: Sequence[float | int] = (),
) -> dict[str, list[str]]:
    """The lines of each source, sampled down to `max_lines_per_source` of each by itself, so that
    a large corpus does not drown the other languages.

    Args:
        sources: a name for reports, and texts; a text may have several lines.
        lines: cuts texts to what is counted and trained on.
        weights: how many lines there are of each source, in relation to the others, whatever that
            leaves out; none are as they come.

    Raises:
        UserError: there is no text, or not one weight for each source.
    """
    if weights and len(weights) != len(sources):
        raise UserError(
            f"{len(weights)} weights for {len(sources)} sources ({', '.join(sources)}): needed is "
            "one for each, in the order of --file and then --task: --weights=10,1"
        )
    found = {}
    for name, texts in sources.items():
        found[name] = _sample(lines(texts), max_lines_per_source, seed)
        report_progress(f"{name}: {len(found[name]):,} lines")
    if not any(found.values()):
        raise UserError(f"No text to train a vocabulary on: {', '.join(sources) or 'no source'}.")
    return _weighted(found, weights, seed, report_progress) if weights else found


def _weighted(
    found: dict[str, list[str]],
    weights: Sequence[float | int],
    seed: int,
    report_progress: Callable[[str], None],
) -> dict[str, list[str]]:
    """As many lines as keep to the weights."""
    by_name = dict(zip(found, weights, strict=True))
    unit = min(len(lines) / by_name[name] for name, lines in found.items())
    kept = {}
    for name, lines in found.items():
        count = max(1, round(unit * by_name[name])) if lines else 0
        places = random.Random(seed).sample(range(len(lines)), min(count, len(lines)))
        kept[name] = [lines[place] for place in sorted(places)]
    shown = ", ".join(f"{name} {len(lines):,}" for name, lines in kept.items())
    report_progress(f"by weight: {shown} lines")
    return kept


def _sample(lines: Iterable[str], limit: int, seed: int) -> list[str]:
    """At most `limit` lines, each equally likely (reservoir sampling)."""
    chosen: list[str] = []
    generator = random.Random(seed)
    for index, line in enumerate(lines):
        if index < limit:
            chosen.append(line)
        else:
            place = generator.randrange(index + 1)
            if place < limit:
                chosen[place] = line
    return chosen
