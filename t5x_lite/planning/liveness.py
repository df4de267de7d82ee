"""How much memory a traced step needs when it needs most, and for what; no compiler is asked."""

from collections import Counter
from collections.abc import Mapping

from t5x_lite.planning.shares import Shares
from t5x_lite.planning.traced import Program
from t5x_lite.planning.written import Written, written

GRADIENTS, TEMPORARIES = "gradients", "temporaries"
# While one kernel is used, the next arrives and gradients of others leave. Chosen so that estimates
# come close to the compiler's peaks of tests/planning/peaks.json.
_GATHERED_AT_A_TIME = 3


def peak(program: Program, shares: Shares) -> Mapping[str, int]:
    """Kind of arrays -> bytes on one device, when their sum is largest: what is kept of layers for
    the backward pass, gradients, temporaries. Arguments of the step are not counted.
    """
    return _peak(program, shares, is_body=False)


def _peak(program: Program, shares: Shares, *, is_body: bool) -> Counter[str]:
    found = written(program, shares)
    last = _last_uses(program, found)
    # What a loop's body makes is part of what the loop makes.
    own = found.kept if is_body else frozenset()
    living: Counter[str] = Counter()
    highest: Counter[str] = Counter()
    ending: dict[int, list[tuple[str, int]]] = {}
    for write in found.writes:
        done = write.position + write.is_in_place
        for end in [position for position in ending if position < done]:
            living.subtract(dict(_summed(ending.pop(end))))
        for out, size in write.sizes.items():
            if out not in own:
                size *= _GATHERED_AT_A_TIME if write.gathers else 1
                kind = _kind(program, out, is_body=is_body)
                living[kind] += size
                ending.setdefault(last[out], []).append((kind, size))
        inside = _peak(write.op.body, shares, is_body=True) if write.op.body else Counter()
        now = living + inside
        if now.total() > highest.total():
            highest = now
    return highest


def _last_uses(program: Program, found: Written) -> Mapping[int, int]:
    last: dict[int, int] = {}
    for write in found.writes:
        last |= dict.fromkeys((*write.sizes, *write.read), write.position)
    return last | dict.fromkeys(found.kept, len(program.ops))


def _summed(pairs: list[tuple[str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for kind, size in pairs:
        sums[kind] += size
    return sums


def _kind(program: Program, index: int, *, is_body: bool) -> str:
    value = program.values[index]
    if value.layers is not None and value.has_rows:
        return f"kept of {value.layers}"
    return TEMPORARIES if is_body or value.has_rows or not value.dims else GRADIENTS
