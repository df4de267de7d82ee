"""What of a traced step is written to memory, and what is computed where it is read.

Products, reductions, gathers and loops write their results; what goes element by element does not,
unless its result is smaller than all that would be kept for it alone.
"""

import dataclasses
from collections.abc import Mapping

from t5x_lite.planning.shares import Shares
from t5x_lite.planning.traced import Op, Program

_WRITING = frozenset(
    "argmax argmin cond conv_general_dilated cumsum dot_general dynamic_slice dynamic_update_slice "
    "gather pallas_call random_bits reduce_max reduce_sum scan scatter scatter-add shard_map sort "
    "threefry2x32 while".split()
)
# Less is not worth another pass through memory.
_GAIN = 1.25


@dataclasses.dataclass(frozen=True)
class Write:
    """An operation that writes: its place in the order, the sizes of its results, in bytes, and
    what it reads: results of earlier ones, and arguments of the program. `gathers` where a
    parameter comes from other devices.
    """

    position: int
    op: Op
    sizes: Mapping[int, int]
    read: frozenset[int]
    read_arguments: frozenset[int]
    gathers: bool = False

    @property
    def is_in_place(self) -> bool:
        """Whether results may lie where an operand does that nothing else reads."""
        return self.op.name not in _WRITING


@dataclasses.dataclass(frozen=True)
class Written:
    """All writes of a program; `kept` are those behind its results."""

    writes: tuple[Write, ...]
    kept: frozenset[int]


def written(program: Program, shares: Shares) -> Written:
    """What one device writes; of loops only their results."""
    return _Reader(program, shares).read()


class _Reader:
    def __init__(self, program: Program, shares: Shares) -> None:
        self._program, self._shares = program, shares
        self._sizes: dict[int, int] = {}
        # Behind each value: what was written, and arguments.
        self._behind: dict[int, frozenset[int]] = {}
        self._arguments = {index: frozenset((index,)) for index in program.inputs}
        self._last = _last_uses(program)

    def read(self) -> Written:
        writes = tuple(
            found
            for position, op in enumerate(self._program.ops)
            if (found := self._write(position, op)) is not None
        )
        nothing: frozenset[int] = frozenset()
        kept = nothing.union(*(self._behind.get(each, nothing) for each in self._program.outputs))
        return Written(writes, kept)

    def _write(self, position: int, op: Op) -> Write | None:
        nothing: frozenset[int] = frozenset()
        behind = nothing.union(*(self._behind.get(index, nothing) for index in op.inputs))
        arguments = nothing.union(*(self._arguments.get(index, nothing) for index in op.inputs))
        values = {out: self._program.values[out] for out in op.outputs}
        sizes = {out: self._shares.bytes_of(value) for out, value in values.items()}
        gathers = not behind and self._is_gathered(op)
        if not (gathers or op.name in _WRITING or self._is_worth(op, behind, sizes)):
            for out in op.outputs:
                self._behind[out], self._arguments[out] = behind, arguments
            return None
        self._sizes |= sizes
        self._behind |= {out: frozenset((out,)) for out in op.outputs}
        return Write(position, op, sizes, behind, arguments, gathers)

    def _is_worth(self, op: Op, behind: frozenset[int], sizes: Mapping[int, int]) -> bool:
        """Whether more is behind a result that nothing else needs later."""
        last = max(self._last.get(out, 0) for out in op.outputs)
        ending = [each for each in behind if self._last.get(each, 0) <= last]
        return _GAIN * sum(sizes.values()) < sum(self._sizes[each] for each in ending)

    def _is_gathered(self, op: Op) -> bool:
        """Whether a parameter has to be whole where it was in pieces."""
        value = self._program.values[op.outputs[0]]
        if value.placed is None or value.has_rows:
            return False
        return self._shares.split_of(value) != self._shares.split_at_rest(value)


def _last_uses(program: Program) -> Mapping[int, int]:
    """Value -> the position of the last operation that writes something for which it is read."""
    last = dict.fromkeys(program.outputs, len(program.ops))
    for position in reversed(range(len(program.ops))):
        op = program.ops[position]
        written_at = position
        if op.name not in _WRITING:
            written_at = max(last.get(out, position) for out in op.outputs)
        for index in op.inputs:
            last[index] = max(last.get(index, 0), written_at)
    return last
