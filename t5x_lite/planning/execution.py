"""How often each instruction of a program runs: loops and calls followed, fusions as one step."""

import dataclasses
from collections.abc import Iterator

from t5x_lite.planning.flops import product_flops
from t5x_lite.planning.hlo import Computation, Instruction, Module
from t5x_lite.planning.loops import loop_of

_BRANCHES = ("branch_computations", "true_computation", "false_computation")


@dataclasses.dataclass(frozen=True)
class Step:
    """An instruction that runs on its own, `trips` times in one execution of the program."""

    instruction: Instruction
    computation: Computation
    trips: int


class Execution:
    """A module as it runs; what is asked often is kept."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._flops: dict[str, int] = {}

    def steps(self) -> Iterator[Step]:
        """All that runs, in order; a loop stands before the steps of its body."""
        yield from self._steps(self.module.entry, 1)

    def _steps(self, computation: Computation, trips: int) -> Iterator[Step]:
        for instruction in computation:
            yield Step(instruction, computation, trips)
            for inner, times in self.inner(instruction, computation):
                yield from self._steps(inner, trips * times)

    def inner(
        self, instruction: Instruction, computation: Computation
    ) -> list[tuple[Computation, int]]:
        """What an instruction runs step by step, and how often; of branches the costliest."""
        if instruction.opcode == "while":
            (body,) = instruction.called["body"]
            return [
                (
                    self.module.computations[body],
                    loop_of(instruction, computation, self.module).trips,
                )
            ]
        if instruction.opcode == "conditional":
            names = (name for key in _BRANCHES for name in instruction.called.get(key, ()))
            return [(max((self.module.computations[n] for n in names), key=self.flops_of), 1)]
        if instruction.opcode == "call":
            (callee,) = instruction.called["to_apply"]
            return [(self.module.computations[callee], 1)]
        return []

    def fused(self, instruction: Instruction) -> list[Computation]:
        """What a fusion or an asynchronous operation of one instruction computes as one step."""
        keys: tuple[str, ...]
        if instruction.opcode == "call-start":  # of another core: a SparseCore's collectives
            keys = ("to_apply",)
        elif instruction.opcode in ("fusion", "async-start", "custom-call"):
            keys = ("calls", "called_computations")
        else:
            return []
        names = (name for key in keys for name in instruction.called.get(key, ()))
        return [self.module.computations[name] for name in names]

    def flops(self, instruction: Instruction, computation: Computation) -> int:
        """Of products within an instruction, loops by their trips."""
        inner = [
            *self.inner(instruction, computation),
            *((each, 1) for each in self.fused(instruction)),
        ]
        within = sum(times * self.flops_of(each) for each, times in inner)
        return product_flops(instruction, computation) + within

    def flops_of(self, computation: Computation) -> int:
        """Of all products of a computation."""
        if computation.name not in self._flops:
            self._flops[computation.name] = sum(
                self.flops(each, computation) for each in computation
            )
        return self._flops[computation.name]
