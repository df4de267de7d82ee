"""Problems of a configuration, gathered so that one message shows all of them."""

import dataclasses
import difflib
from collections.abc import Iterable, Sequence

from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True)
class Location:
    """Where something was written: a line of a file, or a flag."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing to fix, and where; a missing value has no place."""

    message: str
    location: Location | None = None

    def __str__(self) -> str:
        return self.message if self.location is None else f"{self.location}: {self.message}"


class ConfigError(UserError):
    """Everything that is wrong with a configuration; its text is for the user to read."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        heading = "1 problem" if count == 1 else f"{count} problems"
        lines = [
            f"{heading} in the configuration:",
            *(f"  - {each}" for each in self.problems),
        ]
        super().__init__("\n".join(lines))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name`, whatever their case; None if none is like it."""
    by_lower_case = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(name.lower(), list(by_lower_case), n=1)
    return by_lower_case[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence to append to a message about an unknown name; empty if nothing is like it."""
    found = nearest(name, candidates)
    return f"; did you mean {found}?" if found else ""
