"""The largest batch that pays: doubled until it does not fit, or brings nothing more."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Tokens a second of a doubled batch, beside those of the batch: with less it is not doubled again.
_GAIN = 1.03


class Try(NamedTuple):
    """Rows of a step, and what its backward pass recomputes."""

    batch: int
    remat: str


# Tokens a second, None for what does not fit.
Known = Mapping[Try, float | None]


def next_try(known: Known, first: int, remats: Sequence[str], *, most: int) -> Try | None:
    """What to try now, None where it is known which is best.

    With `first` rows each of `remats` is tried until one fits, which is then tried with more; where
    none does, the last one is tried with fewer.
    """
    for remat in remats:
        start = Try(first, remat)
        if start not in known:
            return start
        if known[start] is not None:
            return _more(known, start, most)
    return _fewer(known, start)


def best(known: Known) -> Try | None:
    """That of most tokens a second; None if nothing fits."""
    fitting = {each: speed for each, speed in known.items() if speed is not None}
    return max(fitting, key=lambda each: fitting[each], default=None)


def _more(known: Known, last: Try, most: int) -> Try | None:
    while 2 * last.batch <= most:
        more = last._replace(batch=2 * last.batch)
        if more not in known:
            return more
        speed, before = known[more], known[last]
        if speed is None or before is None or speed < _GAIN * before:
            return None
        last = more
    return None


def _fewer(known: Known, last: Try) -> Try | None:
    while last.batch > 1 and known[last] is None:
        last = last._replace(batch=last.batch // 2)
        if last not in known:
            return last
    return None
