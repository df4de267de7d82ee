"""How often a while loop runs: by the compiler's note, or by the counter that it compares.

A loop of JAX counts from 0 by 1 to a constant. The compiler may begin later, where it peeled a trip
off to overlap communication, or count by 2, where it unrolled.
"""

import dataclasses
import re

from t5x_lite.planning.hlo import Computation, Instruction, Module

_TOLD = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_INDEX = re.compile(r"\bindex=(\d+)")
_INTEGERS = ("s32", "u32", "s64", "u64")


@dataclasses.dataclass(frozen=True)
class Loop:
    """A while loop; `trips` is 1 where the text does not tell."""

    name: str
    trips: int
    is_known: bool


def loop_of(instruction: Instruction, computation: Computation, module: Module) -> Loop:
    """The trips of a while loop of `computation`: from where its counter begins to its bound."""
    told = _TOLD.search(instruction.attributes)
    if told:
        return Loop(instruction.name, int(told[1]), is_known=True)
    condition, body = (
        module.computations[instruction.called[key][0]] for key in ("condition", "body")
    )
    bound, counter = _bound(condition), _counter(condition)
    if bound is None or counter is None:
        return Loop(instruction.name, bound or 1, is_known=bound is not None)
    first = _element(computation, instruction.operands[0], counter)
    length = bound - (_integer(first) or 0 if first else 0)
    return Loop(instruction.name, max(0, -(-length // _stride(body, counter))), is_known=True)


def _bound(condition: Computation) -> int | None:
    """The integer that a condition compares with, wherever it stands."""
    numbers = (_integer(each) for each in condition)
    return next((number for number in numbers if number is not None), None)


def _integer(instruction: Instruction) -> int | None:
    if instruction.opcode != "constant" or instruction.shapes[0].dtype not in _INTEGERS:
        return None
    return int(instruction.arguments) if instruction.arguments.lstrip("-").isdigit() else None


def _counter(condition: Computation) -> int | None:
    """Which element of the loop's tuple a condition compares."""
    for name in condition.root.operands:
        instruction = condition.instructions[name]
        if instruction.opcode == "get-tuple-element":
            return int(_INDEX.findall(instruction.attributes)[0])
    return None


def _stride(body: Computation, counter: int) -> int:
    """What the body adds to the counter: 2 where the compiler unrolled a collective matmul twice
    and left its bound as it was.
    """
    added = _element(body, body.root.name, counter)
    if added is None or added.opcode != "add":
        return 1
    numbers = (_integer(body.instructions[name]) for name in added.operands)
    return next((number for number in numbers if number), 1)


def _element(computation: Computation, name: str, index: int) -> Instruction | None:
    """What a tuple has at an index, before it was copied."""
    of = computation.instructions[name]
    if of.opcode != "tuple":
        return None
    element = computation.instructions[of.operands[index]]
    while element.opcode == "copy":
        element = computation.instructions[element.operands[0]]
    return element
