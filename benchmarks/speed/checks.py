"""Whether all arms of a run compute the same: otherwise their times say nothing."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.speed.table import COMMANDS

# Of sums of float32 in another order, through all layers.
_TOLERANCE = 1e-3
# In the rest two tokens may be as likely, to the last bits.
_SAME_ROWS = 0.9


class Disagreement(Exception):
    """Two arms that are to compute the same do not."""


def check(command: str, answers: Mapping[str, Any], *, length: int) -> None:
    """Compares the answers of all arms with those of the first.

    Arms whose weights are not float32 have to write as many tokens, of whatever kind.

    Args:
        length: of targets.

    Raises:
        Disagreement: they differ.
    """
    if command not in _ALIKE:
        return
    arms = COMMANDS[command].arms
    exact = [name for name in answers if arms[name].weight_bytes == 4]
    for name in exact[1:]:
        problem = _ALIKE[command](answers[exact[0]], answers[name])
        if problem:
            raise Disagreement(f"{command}: {exact[0]} and {name} differ: {problem}.")
    if command in ("greedy", "beam"):
        for name, rows in answers.items():
            if found := {len(row) for row in rows} - {length}:
                raise Disagreement(f"{command}: {name} wrote {found} tokens, needed are {length}.")


def _tokens(one: Sequence[Any], other: Sequence[Any]) -> str:
    same = sum(a == b for a, b in zip(one, other, strict=True))
    return "" if same >= _SAME_ROWS * len(one) else f"{same} of {len(one)} rows are the same"


def _numbers(one: Any, other: Any) -> str:
    first, second = np.asarray(one), np.asarray(other)
    error = np.abs(first - second).max() / np.abs(first).max()
    return "" if error <= _TOLERANCE and math.isfinite(error) else f"by {error:.1e}"


_ALIKE: Mapping[str, Callable[[Any, Any], str]] = {
    "train": _numbers,
    "greedy": _tokens,
    "beam": _tokens,
    "evaluate": _tokens,
    "score": _numbers,
    "encode": _numbers,
}
