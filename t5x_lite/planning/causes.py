"""Why an instruction is there: the pass it belongs to, the code and the argument it came from."""

import dataclasses

from t5x_lite.planning.hlo import Computation, Instruction, Module
from t5x_lite.planning.provenance import Provenance

_PRODUCT = "dot_general"


@dataclasses.dataclass(frozen=True)
class Cause:
    """What can be read of where an instruction came from; what is not known is empty.

    Attributes:
        phase: forward, recomputation, backward or optimizer: all of a training step that is in no
            pass through the model.
        argument: the parameter (or another argument of the program) that it moves, as
            encoder/layers/mlp/wi_0/kernel; empty for activations and gradients.
        factor: of those, the argument with which the product was made that it moves.
        function: the functions that traced it, as Block > MLP > Linear.
        operation: JAX's primitive, as dot_general.
    """

    phase: str
    argument: str
    factor: str
    function: str
    operation: str

    def __str__(self) -> str:
        product = f"product with {self.factor}" if self.factor else ""
        traced = " ".join(part for part in (self.function, self.operation) if part)
        of = self.argument or product or traced
        return ": ".join(part for part in (self.phase, of) if part)


class Causes:
    """Looks for the causes of a module's instructions."""

    def __init__(self, module: Module) -> None:
        self._frames, self._provenance = module.frames, Provenance(module)
        everything = (each for computation in module.computations.values() for each in computation)
        self._trains = any("transpose(" in each.attributes for each in everything)

    def of(self, instruction: Instruction, computation: Computation) -> Cause:
        """The cause of an instruction that moves its first operand, inside of a fusion too."""
        traced = self._provenance.traced(computation, instruction)
        moved = computation, computation.instructions[instruction.operands[0]]
        argument = self._provenance.argument(*moved)
        operation = traced.op_name.rpartition("/")[2]
        is_product = not argument and operation == _PRODUCT
        return Cause(
            phase=self._phase(traced.op_name),
            argument=argument,
            factor=self._provenance.factor(*moved) if is_product else "",
            function=_functions(self._frames.stack(traced.stack_frame)),
            operation=operation,
        )

    def _phase(self, op_name: str) -> str:
        if "rematted_computation" in op_name:
            return "recomputation"
        if "transpose(" in op_name:
            return "backward"
        if "jvp(" in op_name or not self._trains:
            return "forward"
        return "optimizer" if op_name else ""


def _functions(stack: tuple[str, ...]) -> str:
    """The last functions of a stack: MLP.__call__ as MLP, closures by their own names."""
    names = (name.rpartition("<locals>.")[2].removesuffix(".__call__") for name in stack)
    # Comprehensions and modules: <listcomp>, <module>.
    return " > ".join(list(dict.fromkeys(name for name in names if "<" not in name))[-3:])
