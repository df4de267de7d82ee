"""Between which bounds the numbers of a config lie, all of them checked at once (no JAX).

The largest are beyond any model or job there is: a slip of the keyboard is refused before it asks a
machine for terabytes or for days.
"""

import math
import sys

from t5x_lite.errors import UserError

FINITE = sys.float_info.max
POSITIVE = sys.float_info.min
BELOW_ONE = math.nextafter(1.0, 0.0)
MAX_LAYERS = 10_000
MAX_WIDTH = 2**20
MAX_VOCABULARY = 2**24
MAX_LENGTH = 2**20
MAX_BATCH = 2**20
MAX_COUNT = 2**31 - 1  # steps and examples are counted in int32
MAX_SEED = 2**32 - 1  # JAX drops the bits above without a word
SEED = (0, MAX_SEED)
SHARE = (0.0, 1.0)
_IN_WORDS = {POSITIVE: "more than 0", BELOW_ONE: "less than 1"}


def check_bounds(config: object, /, **bounds: tuple[float | int, float | int]) -> None:
    """Refuses fields of a config outside their (least, most), both included; what is no number is
    let pass: types are checked where values are read.

    Raises:
        UserError: all that are outside, each with what is needed.
    """
    given = {name: getattr(config, name) for name in bounds}
    problems = [
        f"{name}={value}: needed is {_needed(value, *bounds[name])}"
        for name, value in given.items()
        if isinstance(value, int | float) and not bounds[name][0] <= value <= bounds[name][1]
    ]
    if problems:
        raise UserError("; ".join(problems))


def _needed(value: float | int, least: float | int, most: float | int) -> str:
    if value < least:
        return _IN_WORDS.get(least, f"at least {least:,}")
    if value > most:
        return "a finite number" if most == FINITE else _IN_WORDS.get(most, f"at most {most:,}")
    return "a number"  # it is none: NaN
