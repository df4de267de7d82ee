"""What one run of a compiled program costs a chip, read from its HLO text, loops by their trips."""

import dataclasses
from collections.abc import Iterable, Mapping

from t5x_lite.planning.collectives import Collective, collectives_of, counted_bytes
from t5x_lite.planning.execution import Execution, Step
from t5x_lite.planning.hlo import Module
from t5x_lite.planning.loops import Loop, loop_of
from t5x_lite.planning.mesh_axes import MeshLayout
from t5x_lite.planning.shapes import HBM
from t5x_lite.planning.traffic import hbm_bytes

# What holds no memory of its own.
_VIEWS = frozenset(("bitcast", "get-tuple-element", "tuple", "while", "conditional", "call"))


@dataclasses.dataclass(frozen=True)
class Buffer:
    """Results in HBM of one dtype and shape.

    Attributes:
        size: bytes of one of them.
        count: instructions that make one; how many live at a time only the compiler knows.
        name: the first of these instructions.
        op_name: where it was traced; an argument's own name.
    """

    dtype: str
    dims: tuple[int, ...]
    size: int
    count: int
    name: str
    op_name: str


@dataclasses.dataclass(frozen=True)
class ProgramCost:
    """Of one chip and one execution.

    Attributes:
        flops: of matrix products and convolutions.
        hbm_bytes: an estimate: what instructions read and write in HBM.
        loops: every while loop, outer ones first.
        collectives: in the order in which they start.
        counted_bytes: kind -> bytes of the results of all collectives as the text writes them, for
            comparison with tools that count so (`collectives.counted_bytes`).
        largest_buffers: all that lies in HBM, the largest first.
    """

    flops: int
    hbm_bytes: int
    loops: tuple[Loop, ...]
    collectives: tuple[Collective, ...]
    counted_bytes: Mapping[str, int]
    largest_buffers: tuple[Buffer, ...]

    @property
    def collective_bytes(self) -> Mapping[str, int]:
        """Kind -> payload of all its collectives, each counted once for each time it runs."""
        total: dict[str, int] = {}
        for each in self.collectives:
            total[each.kind] = total.get(each.kind, 0) + each.payload_bytes * each.trips
        return total


def analyse(module: Module, *, mesh: MeshLayout) -> ProgramCost:
    """The cost of a program that was compiled for a mesh; `hlo.parse` reads its text."""
    execution = Execution(module)
    steps = list(execution.steps())
    moved = (step.trips * hbm_bytes(step.instruction, step.computation, module) for step in steps)
    loops = [step for step in steps if step.instruction.opcode == "while"]
    return ProgramCost(
        flops=execution.flops_of(module.entry),
        hbm_bytes=sum(moved),
        loops=tuple(loop_of(each.instruction, each.computation, module) for each in loops),
        collectives=collectives_of(execution, mesh),
        counted_bytes=counted_bytes(execution),
        largest_buffers=_buffers(steps),
    )


def _buffers(steps: Iterable[Step]) -> tuple[Buffer, ...]:
    found: dict[tuple[str, tuple[int, ...]], Buffer] = {}
    for step in steps:
        instruction = step.instruction
        is_entry_parameter = instruction.opcode == "parameter" and instruction.op_name
        # The result of a start is named again by its done.
        if instruction.opcode in _VIEWS or instruction.opcode.endswith("-start"):
            continue
        if instruction.opcode == "parameter" and not is_entry_parameter:
            continue
        for shape in instruction.shapes:
            if shape.memory_space == HBM:
                new = Buffer(
                    shape.dtype, shape.dims, shape.size, 1, instruction.name, instruction.op_name
                )
                old = found.get((shape.dtype, shape.dims))
                found[shape.dtype, shape.dims] = (
                    dataclasses.replace(old, count=old.count + 1) if old else new
                )
    return tuple(sorted(found.values(), key=lambda each: -each.size))
