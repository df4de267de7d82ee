"""Where a value of a program comes from: back through copies, fusions and loops to an argument."""

import re
from collections import deque
from collections.abc import Iterator

from t5x_lite.planning.hlo import Computation, Instruction, Module

# What hands one operand on, whole or in part, without changing what it is.
_CARRIERS = frozenset(
    "all-gather all-gather-done all-gather-start bitcast collective-permute "
    "collective-permute-done collective-permute-start convert copy copy-done copy-start "
    "dynamic-slice pad reshape slice slice-done slice-start transpose".split()
)
# TPU programs copy large arrays in pieces, which the first call joins, and gather others in chains.
_CARRYING_CALLS = re.compile(r'"(ConcatBitcast|AsyncCollectiveStart|AsyncCollectiveDone)"')
_PRODUCTS = ("convolution", "dot")
_INDEX = re.compile(r"\bindex=(\d+)")
_KEYS = re.compile(r"\['([^']*)'\]|\.(\w+)|\[(\d+)\]|^(\w+)")
# Inside of these an argument goes by its own name.
_CONTAINERS = ("state", "parameters")
# How many instructions are looked at behind a value.
_FARTHEST = 100

_Place = tuple[Computation, Instruction]


class Provenance:
    """Follows values of one module."""

    def __init__(self, module: Module) -> None:
        self._module = module
        # Computation -> the loop or fusion that runs it; the compiler shares none of them.
        self._callers: dict[str, _Place] = {
            name: (computation, each)
            for computation in module.computations.values()
            for each in computation
            if each.opcode in ("while", "fusion")
            for key in ("body", "calls")
            for name in each.called.get(key, ())
        }

    def argument(self, computation: Computation, instruction: Instruction) -> str:
        """The argument of the program that a value is, or is a part of; empty if it is none."""
        place: _Place | None = (computation, instruction)
        while place:
            if place[1].opcode == "parameter" and place[0] is self._module.entry:
                return argument_name(place[1].op_name)
            place = self._before(*place)
        return ""

    def factor(self, computation: Computation, instruction: Instruction) -> str:
        """The argument with which the nearest product was made that is part of a value."""
        for place in self._origins(computation, instruction):
            if place[1].opcode in _PRODUCTS:
                return next(filter(None, (self.argument(*each) for each in _operands(*place))), "")
        return ""

    def traced(self, computation: Computation, instruction: Instruction) -> Instruction:
        """The instruction that tells where this one was traced: itself, the fusion it is in, or
        the nearest that its operands come from; itself if none does.
        """
        if not instruction.op_name and (caller := self._callers.get(computation.name)):
            if caller[1].opcode == "fusion":
                computation, instruction = caller
        origins = (found for _, found in self._origins(computation, instruction))
        told = (found for found in origins if found.op_name and found.opcode != "parameter")
        return next(told, instruction)

    def _origins(self, computation: Computation, instruction: Instruction) -> Iterator[_Place]:
        """What a value is made of, itself and the nearest first."""
        ahead: deque[_Place] = deque([(computation, instruction)])
        seen: set[str] = set()
        while ahead and len(seen) < _FARTHEST:
            place = ahead.popleft()
            if place[1].name not in seen:
                seen.add(place[1].name)
                yield place
                ahead.extend(self._sources(*place))

    def _sources(self, computation: Computation, instruction: Instruction) -> Iterator[_Place]:
        """All that a value is made of, one step back; of a loop's element what its body makes."""
        if before := self._before(computation, instruction):
            yield before
        elif instruction.opcode == "get-tuple-element":
            loop = computation.instructions[instruction.operands[0]]
            caller = self._callers.get(computation.name)
            if loop.opcode == "parameter" and caller:
                loop = caller[1]
            if loop.opcode == "while":
                yield from self._made_by(loop, _index(instruction))
        else:
            yield from _operands(computation, instruction)

    def _made_by(self, loop: Instruction, index: int) -> Iterator[_Place]:
        body = self._module.computations[loop.called["body"][0]]
        if body.root.opcode == "tuple":
            yield body, body.instructions[body.root.operands[index]]

    def _before(self, computation: Computation, instruction: Instruction) -> _Place | None:
        """Where a value was before this instruction, if that only hands it on."""
        if instruction.opcode == "parameter":
            return self._outside(computation, int(instruction.arguments))
        if _carries(computation, instruction):
            return computation, computation.instructions[instruction.operands[0]]
        if instruction.opcode == "fusion":
            inside = self._module.computations[instruction.called["calls"][0]]
            return inside, inside.root
        if instruction.opcode == "get-tuple-element":
            return self._element(computation, instruction.operands[0], _index(instruction))
        return None

    def _outside(self, computation: Computation, number: int) -> _Place | None:
        """What a fusion is called with."""
        caller = self._callers.get(computation.name)
        if caller is None or caller[1].opcode != "fusion":
            return None
        return caller[0], caller[0].instructions[caller[1].operands[number]]

    def _element(self, computation: Computation, name: str, index: int) -> _Place | None:
        """Where an element of a tuple was before."""
        of = computation.instructions[name]
        if of.opcode == "tuple":
            return computation, computation.instructions[of.operands[index]]
        if of.opcode == "fusion":
            inside = self._module.computations[of.called["calls"][0]]
            if inside.root.opcode == "tuple":
                return self._element(inside, inside.root.name, index)
            return inside, inside.root
        if of.opcode == "while":
            return self._into_loop(computation, of, index)
        caller = self._callers.get(computation.name)
        if of.opcode == "parameter" and caller and caller[1].opcode == "while":
            return self._into_loop(*caller, index)
        return None

    def _into_loop(self, computation: Computation, loop: Instruction, index: int) -> _Place | None:
        """What a loop begins with, if its body hands that element on to the next trip."""
        for body, made in self._made_by(loop, index):
            place: _Place | None = (body, made)
            while place and not _is_element(*place, body):
                place = self._before(*place)
            if place and _index(place[1]) == index:
                return self._element(computation, loop.operands[0], index)
        return None


def argument_name(op_name: str) -> str:
    """state.parameters['encoder']['scale'] -> encoder/scale, batch['inputs'] -> batch/inputs."""
    keys = ["".join(found) for found in _KEYS.findall(op_name)]
    while len(keys) > 1 and keys[0] in _CONTAINERS:
        keys = keys[1:]
    return "/".join(keys)


def _carries(computation: Computation, instruction: Instruction) -> bool:
    """Whether an instruction hands on its first operand."""
    if instruction.opcode == "custom-call":
        return bool(_CARRYING_CALLS.search(instruction.attributes))
    # TPU programs join two halves as the larger of both, each padded with -inf.
    first = instruction
    while first.opcode in ("convert", "maximum"):
        first = computation.instructions[first.operands[0]]
    is_joined = instruction.opcode == "maximum" and first.opcode == "pad"
    return instruction.opcode in _CARRIERS or is_joined


def _operands(computation: Computation, instruction: Instruction) -> Iterator[_Place]:
    for name in instruction.operands:
        yield computation, computation.instructions[name]


def _index(instruction: Instruction) -> int:
    return int(_INDEX.findall(instruction.attributes)[0])


def _is_element(computation: Computation, instruction: Instruction, body: Computation) -> bool:
    """Whether an instruction takes an element of what a loop's body is called with."""
    return (
        computation is body
        and instruction.opcode == "get-tuple-element"
        and body.instructions[instruction.operands[0]].opcode == "parameter"
    )
