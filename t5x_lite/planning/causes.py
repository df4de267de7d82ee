"""Why an instruction is there: the pass it belongs to, the code and the argument it came from."""

import dataclasses
import re

from t5x_lite.planning.hlo import Computation, Instruction, Module

# What hands one operand on, whole or in part, without changing what it is.
_CARRIERS = frozenset(
    "all-gather all-gather-done all-gather-start bitcast collective-permute "
    "collective-permute-done collective-permute-start convert copy copy-done copy-start "
    "dynamic-slice pad reshape slice slice-done slice-start transpose".split()
)
# TPU programs copy large arrays in pieces, which this call joins.
_JOINS = '"ConcatBitcast"'
_INDEX = re.compile(r"\bindex=(\d+)")
_KEYS = re.compile(r"\['([^']*)'\]|\.(\w+)|\[(\d+)\]|^(\w+)")
# Inside of these an argument goes by its own name.
_CONTAINERS = ("state", "parameters")
_FARTHEST = 200

_Place = tuple[Computation, Instruction]


@dataclasses.dataclass(frozen=True)
class Cause:
    """What can be read of where an instruction came from; what is not known is empty.

    Attributes:
        phase: forward, recomputation, backward or optimizer: all of a training step that is in no
            pass through the model.
        argument: the parameter (or another argument of the program) that it moves, as
            encoder/layers/mlp/wi_0/kernel; empty for activations and gradients.
        function: the methods that traced it, as Block > MLP > Linear.
        operation: JAX's primitive, as dot_general.
    """

    phase: str
    argument: str
    function: str
    operation: str

    def __str__(self) -> str:
        of = self.argument or " ".join(part for part in (self.function, self.operation) if part)
        return f"{self.phase}: {of}" if of else self.phase


class Causes:
    """Looks for the causes of a module's instructions."""

    def __init__(self, module: Module) -> None:
        self._module = module
        everything = (each for computation in module.computations.values() for each in computation)
        self._trains = any("transpose(" in each.attributes for each in everything)
        self._callers = {
            name: (computation, each)
            for computation in module.computations.values()
            for each in computation
            if each.opcode in ("while", "fusion")
            for key in ("body", "calls")
            for name in each.called.get(key, ())
        }

    def of(self, instruction: Instruction, computation: Computation) -> Cause:
        """The cause of an instruction, a collective inside of a fusion too."""
        op_name, frame = instruction.op_name, instruction.stack_frame
        if not op_name and (caller := self._callers.get(computation.name)):
            op_name, frame = caller[1].op_name, caller[1].stack_frame
        return Cause(
            phase=self._phase(op_name),
            argument=self._argument(instruction, computation),
            function=_methods(self._module.frames.stack(frame)),
            operation=op_name.rpartition("/")[2],
        )

    def _phase(self, op_name: str) -> str:
        if "rematted_computation" in op_name:
            return "recomputation"
        if "transpose(" in op_name:
            return "backward"
        return "forward" if "jvp(" in op_name or not self._trains else "optimizer"

    def _argument(self, instruction: Instruction, computation: Computation) -> str:
        """Back along what only carries a value, out of fusions and loops, to the program's own
        parameter.
        """
        if not instruction.operands:
            return ""
        place: _Place | None = (computation, computation.instructions[instruction.operands[0]])
        for _ in range(_FARTHEST):
            if place is None:
                break
            computation, found = place
            if found.opcode == "parameter" and computation is self._module.entry:
                return argument_name(found.op_name)
            place = self._before(computation, found)
        return ""

    def _before(self, computation: Computation, instruction: Instruction) -> _Place | None:
        """Where a value was before this instruction."""
        if instruction.opcode == "parameter":
            return self._outside(computation, int(instruction.arguments))
        if instruction.opcode in _CARRIERS or _JOINS in instruction.attributes:
            return computation, computation.instructions[instruction.operands[0]]
        if instruction.opcode == "fusion":
            inside = self._module.computations[instruction.called["calls"][0]]
            return inside, inside.root
        if instruction.opcode == "get-tuple-element":
            (index,) = _INDEX.findall(instruction.attributes)[:1]
            return self._element(computation, instruction.operands[0], int(index))
        return None

    def _outside(self, computation: Computation, number: int) -> _Place | None:
        """What a fusion is called with."""
        caller = self._callers.get(computation.name)
        if caller is None or caller[1].opcode != "fusion":
            return None
        return caller[0], caller[0].instructions[caller[1].operands[number]]

    def _element(self, computation: Computation, name: str, index: int) -> _Place | None:
        of = computation.instructions[name]
        if of.opcode == "tuple":
            return computation, computation.instructions[of.operands[index]]
        if of.opcode == "while":
            return self._element(computation, of.operands[0], index)
        if of.opcode == "fusion":
            inside = self._module.computations[of.called["calls"][0]]
            root = inside.root
            return self._element(inside, root.name, index) if root.opcode == "tuple" else None
        if of.opcode == "parameter" and (caller := self._callers.get(computation.name)):
            return self._element(caller[0], caller[1].operands[0], index)
        return None


def argument_name(op_name: str) -> str:
    """state.parameters['encoder']['scale'] -> encoder/scale, batch['inputs'] -> batch/inputs."""
    keys = ["".join(found) for found in _KEYS.findall(op_name)]
    while len(keys) > 1 and keys[0] in _CONTAINERS:
        keys = keys[1:]
    return "/".join(keys)


def _methods(stack: tuple[str, ...]) -> str:
    """The last methods of a stack, without closures; of a function without any, its own name."""
    methods = [name.removesuffix(".__call__") for name in stack if "." in name and "<" not in name]
    kept = list(dict.fromkeys(methods))[-3:] or [name.rpartition(".")[2] for name in stack[-1:]]
    return " > ".join(kept)
