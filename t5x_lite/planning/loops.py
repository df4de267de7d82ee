"""How often a while loop runs: by the compiler's note, or by the counter that it compares."""

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


def loop_of(instruction: Instruction, module: Module) -> Loop:
    """The trips of a while loop whose counter starts at 0, as that of every loop of JAX does."""
    told = _TOLD.search(instruction.attributes)
    if told:
        return Loop(instruction.name, int(told[1]), is_known=True)
    condition, body = (
        module.computations[instruction.called[key][0]] for key in ("condition", "body")
    )
    bound = _bound(condition)
    trips = -(-bound // _stride(condition, body)) if bound is not None else 1
    return Loop(instruction.name, trips, is_known=bound is not None)


def _bound(condition: Computation) -> int | None:
    """The integer that a condition compares with, wherever it stands."""
    numbers = (_integer(each) for each in condition)
    return next((number for number in numbers if number is not None), None)


def _integer(instruction: Instruction) -> int | None:
    if instruction.opcode != "constant" or instruction.shapes[0].dtype not in _INTEGERS:
        return None
    return int(instruction.arguments) if instruction.arguments.lstrip("-").isdigit() else None


def _stride(condition: Computation, body: Computation) -> int:
    """What the body adds to the counter: 2 where the compiler unrolled a collective matmul twice
    and left its bound as it was.
    """
    counter = next(
        (found for name in condition.root.operands if (found := _element(condition, name))), None
    )
    if counter is None or body.root.opcode != "tuple":
        return 1
    added = body.instructions[body.root.operands[int(counter)]]
    if added.opcode != "add":
        return 1
    numbers = (_integer(body.instructions[name]) for name in added.operands)
    return next((number for number in numbers if number), 1)


def _element(computation: Computation, name: str) -> str | None:
    """Which element of the loop's tuple an operand is."""
    instruction = computation.instructions[name]
    found = _INDEX.search(instruction.attributes)
    return found[1] if instruction.opcode == "get-tuple-element" and found else None
