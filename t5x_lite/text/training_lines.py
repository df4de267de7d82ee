"""The lines that a vocabulary is trained on: of each source a sample."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import text_lines

Sources = Mapping[str, Iterable[str]]


def file_texts(patterns: Sequence[str]) -> Iterator[str]:
    """The lines of all text files that match a pattern, for instance `corpus/*.txt`."""
    for pattern in patterns:
        path = epath.Path(pattern)
        files = [path] if path.exists() else sorted(path.parent.glob(path.name))
        if not files:
            raise UserError(f"No file matches {pattern!r}; give a text file or a pattern of them.")
        for file in files:
            yield from text_lines(file)


def sample(
    sources: Sources,
    lines: Callable[[Iterable[str]], Iterator[str]],
    *,
    max_lines_per_source: int,
    seed: int,
    report_progress: Callable[[str], None],
) -> dict[str, list[str]]:
    """The lines of each source, sampled down to `max_lines_per_source` of each by itself, so that
    a large corpus does not drown the other languages.

    Args:
        sources: a name for reports, and texts; a text may have several lines.
        lines: cuts texts to what is counted and trained on.

    Raises:
        UserError: there is no text.
    """
    found = {}
    for name, texts in sources.items():
        found[name] = _sample(lines(texts), max_lines_per_source, seed)
        report_progress(f"{name}: {len(found[name]):,} lines")
    if not any(found.values()):
        raise UserError(f"No text to train a vocabulary on: {', '.join(sources) or 'no source'}.")
    return found


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
