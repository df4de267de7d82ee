"""What checks find: each stands for itself, so that one run shows all mistakes.

A check that needs what another has found broken is left out: its errors would only be the same
mistake in other words.
"""

import dataclasses
import enum
import traceback
from collections.abc import Callable, Iterable, Iterator

from t5x_lite import errors

# At the beginning and at the end.
_LINES_OF_FOREIGN_ERRORS = 3


class Kind(enum.Enum):
    """FIX is a mistake with its fix, NOTE nothing to fix but good to know."""

    OK = "ok"
    NOTE = "note"
    FIX = "FIX"
    LEFT_OUT = "-"


Outcome = tuple[Kind, str]
# Receives the subject of a check before it runs.
Begin = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Check:
    """Something to look at; `run` may also raise, which is one thing to fix."""

    subject: str
    run: Callable[[], Iterable[Outcome]]
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check has to say of its subject."""

    subject: str
    kind: Kind
    text: str


def run(checks: Iterable[Check], *, begin: Begin) -> Iterator[Finding]:
    """The findings of one check after the other; a later one is asked for only when the earlier are
    done, so `checks` may be made from what they found.
    """
    causes: dict[str, list[str]] = {}
    fixes: set[str] = set()
    for check in checks:
        begin(check.subject)
        if found := [cause for subject in check.needs for cause in causes.get(subject, [])]:
            causes[check.subject] = list(dict.fromkeys(found))
            text = f"not checked, because of {' and '.join(causes[check.subject])}"
            yield Finding(check.subject, Kind.LEFT_OUT, text)
            continue
        outcomes = list(_outcomes(check))
        if any(kind is Kind.FIX for kind, _ in outcomes):
            causes[check.subject] = [check.subject]
        known = [text for kind, text in outcomes if kind is Kind.FIX and text in fixes]
        if known and len(known) == len(outcomes):
            yield Finding(check.subject, Kind.LEFT_OUT, "the same as above")
        for kind, text in outcomes:
            if text not in known:
                yield Finding(check.subject, kind, text)
        fixes.update(text for kind, text in outcomes if kind is Kind.FIX)


def _outcomes(check: Check) -> Iterator[Outcome]:
    """Anything that a user's task or file can raise is a finding; only Ctrl-C is not."""
    try:
        yield from check.run()
    except Exception as error:
        yield Kind.FIX, _explained(error)


def _explained(error: Exception) -> str:
    if errors.is_for_the_user(error):
        return errors.message(error)
    text = errors.message(error)
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 2 * _LINES_OF_FOREIGN_ERRORS:
        lines = [*lines[:_LINES_OF_FOREIGN_ERRORS], "...", *lines[-_LINES_OF_FOREIGN_ERRORS:]]
    # TensorFlow's own words for where a task's function went wrong.
    place = "" if text.startswith("in user code") else f" in {_place(error)}"
    return "\n".join([f"{type(error).__name__}{place}:", *lines])


def _place(error: Exception) -> str:
    """The last line outside of packages: a task's own function, not what called it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    place = (own or frames)[-1]
    return f"{place.filename}, line {place.lineno}"
