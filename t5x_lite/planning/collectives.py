"""The collectives of a compiled program: what they move, along which axes, how often, for what.

A TPU program writes a collective in one of five forms: as one instruction, as a start and a done,
as a fusion that reduces and keeps a slice (a reduce-scatter), between slices as a send and a
receive of the hosts, or as a chain: a fusion that starts it, fusions of other work beside which it
goes on, each of which writes it down again, even inside of a loop, and one that ends it. Each is
one collective here.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from t5x_lite.planning.causes import Cause, Causes
from t5x_lite.planning.execution import Execution, Step
from t5x_lite.planning.hlo import Computation, Instruction
from t5x_lite.planning.mesh_axes import MeshLayout
from t5x_lite.planning.replica_groups import groups_of, pairs_of

_RING = {
    "all-gather": 1,
    "all-reduce": 2,
    "reduce-scatter": 1,
    "all-to-all": 1,
    "ragged-all-to-all": 1,
}
_PERMUTE = "collective-permute"
KINDS = frozenset((*_RING, _PERMUTE))
_CHANNEL = re.compile(r"\bchannel_id=(\d+)")
_SENT = re.compile(r'_xla_megascale_transfer_type="(\w+)"')
_RENDEZVOUS = re.compile(r'_xla_host_transfer_rendezvous="([^"]*)"')
_KIND_OF_TRANSFER = {
    "ALL_GATHER": "all-gather",
    "ALL_REDUCE": "all-reduce",
    "ALL_TO_ALL": "all-to-all",
    "ONE_TO_ONE": _PERMUTE,
    "REDUCE_SCATTER": "reduce-scatter",
}
_CHAIN_STARTS, _CHAIN_ENDS = '"AsyncCollectiveStart"', '"AsyncCollectiveDone"'


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of the program, on one chip.

    Attributes:
        name: the instruction that starts it.
        done: the one that waits for it; the same where nothing can run beside it.
        kind: all-gather, all-reduce, reduce-scatter, all-to-all, ragged-all-to-all or
            collective-permute.
        payload_bytes: of one execution: the result, for a reduce-scatter the operand.
        trips: executions in one run of the program.
        axes: the mesh axes that it spans, "+" between several; "?" where none match, empty where
            nothing is sent.
        group_size: chips that take part together; of a permute those along its axes, and across
            slices the slices.
        crosses_slices: whether hosts carry it from slice to slice over the data center's network.
    """

    name: str
    done: str
    kind: str
    payload_bytes: int
    trips: int
    axes: str
    group_size: int
    cause: Cause
    crosses_slices: bool = False

    @property
    def is_asynchronous(self) -> bool:
        """Whether the schedule may hide it behind other work."""
        return self.done != self.name

    @property
    def wire_bytes(self) -> float:
        """What a chip sends in one execution, by the ring's formula of its kind (Chan et al. 2007,
        Collective communication: theory, practice, and experience).
        """
        if self.kind == _PERMUTE:
            return float(self.payload_bytes)
        return _RING[self.kind] * self.payload_bytes * (self.group_size - 1) / self.group_size


def base_kind(instruction: Instruction) -> str:
    """The kind of a collective or of its start; empty of anything else, its done included."""
    kind = instruction.opcode.removesuffix("-start")
    return kind if kind in KINDS else ""


def collectives_of(execution: Execution, mesh: MeshLayout) -> tuple[Collective, ...]:
    """Every collective of a program, in the order in which they start."""
    return tuple(_Reader(execution, mesh).read())


class _Reader:
    """Goes through the steps of one program."""

    def __init__(self, execution: Execution, mesh: MeshLayout) -> None:
        self._execution, self._mesh = execution, mesh
        self._causes = Causes(execution.module)
        self._steps = list(execution.steps())
        # Channel -> where its chain ends; what else has such a channel is the chain's middle.
        self._chains: dict[str, str] = {}
        for step in self._steps:
            for inside in execution.fused(step.instruction):
                if _has(inside, _CHAIN_ENDS):
                    self._chains.update(
                        (_channel(each), step.instruction.name) for each in _collectives(inside)
                    )

    def read(self) -> Iterable[Collective]:
        for step in self._steps:
            if base_kind(step.instruction):
                yield self._made(step, step.instruction, step.computation, _end(step))
            if sent := _SENT.search(step.instruction.attributes):
                if step.instruction.opcode == "send":
                    yield self._sent(step, _KIND_OF_TRANSFER[sent[1]])
            for inside in self._execution.fused(step.instruction):
                yield from self._fused(step, inside)

    def _fused(self, step: Step, inside: Computation) -> Iterable[Collective]:
        starts = _has(inside, _CHAIN_STARTS)
        for each in _collectives(inside):
            end = self._chains.get(_channel(each))
            if starts and end:
                yield self._made(step, each, inside, end)
            elif not end:
                yield self._made(step, each, inside, _end(step))

    def _made(
        self, step: Step, instruction: Instruction, computation: Computation, end: str
    ) -> Collective:
        kind = base_kind(instruction)
        is_fused = computation is not step.computation
        if kind == "all-reduce" and is_fused and _is_scattered(instruction.name, computation):
            kind = "reduce-scatter"
        axes, group_size = self._group(instruction, kind)
        return Collective(
            name=step.instruction.name,
            done=end,
            kind=kind,
            payload_bytes=_payload(instruction, computation, kind),
            trips=step.trips,
            axes=axes,
            group_size=group_size,
            cause=self._causes.of(instruction, computation),
        )

    def _sent(self, step: Step, kind: str) -> Collective:
        """What hosts exchange between slices; a send has its counterpart's rendezvous."""
        instruction, computation = step.instruction, step.computation
        (meeting,) = _RENDEZVOUS.findall(instruction.attributes)
        received = next(
            each.name
            for each in computation
            if each.opcode == "recv" and meeting in _RENDEZVOUS.findall(each.attributes)
        )
        sent = sum(shape.size for shape in computation.shapes(instruction.operands[0]))
        slices = self._mesh.num_slices
        return Collective(
            name=instruction.name,
            done=computation.users[received][0].name,
            kind=kind,
            payload_bytes=sent * (slices if kind == "all-gather" else 1),
            trips=step.trips,
            axes=self._mesh.slice_axis,
            group_size=slices,
            cause=self._causes.of(instruction, computation),
            crosses_slices=True,
        )

    def _group(self, instruction: Instruction, kind: str) -> tuple[str, int]:
        if kind == _PERMUTE:
            axes = self._mesh.axes_between(pairs_of(instruction.attributes))
            return axes, self._mesh.size_of(axes)
        groups = groups_of(instruction.attributes)
        if groups is None:
            groups = (tuple(self._mesh.partition_ids.ravel().tolist()),)
        return self._mesh.axes_of(groups), len(groups[0])


def counted_bytes(execution: Execution) -> Mapping[str, int]:
    """Kind -> bytes of results as the text writes them, which is what one gets without knowing the
    forms above: every link of a chain as a whole collective, of a tuple the largest array only
    (all of an all-reduce), a reduce-scatter by its result or as an all-reduce.
    """
    total: dict[str, int] = {}
    for step in execution.steps():
        written = [step.instruction] if base_kind(step.instruction) else []
        for inside in execution.fused(step.instruction):
            written += _collectives(inside)
        for each in written:
            sizes = [shape.size for shape in each.shapes]
            size = sum(sizes) if each.opcode.startswith("all-reduce") else max(sizes)
            total[base_kind(each)] = total.get(base_kind(each), 0) + size * step.trips
    return total


def _collectives(computation: Computation) -> list[Instruction]:
    return [each for each in computation if base_kind(each)]


def _has(computation: Computation, target: str) -> bool:
    return computation.root.opcode == "custom-call" and target in computation.root.attributes


def _channel(instruction: Instruction) -> str:
    found = _CHANNEL.search(instruction.attributes)
    return found[1] if found else ""


def _end(step: Step) -> str:
    """The instruction that waits for what a step starts, the step itself if nothing does."""
    name = step.instruction.name
    if not step.instruction.opcode.endswith("-start"):
        return name
    users = step.computation.users.get(name, ())
    updated = [each for each in users if each.opcode.endswith("-update")]
    while updated:
        users = step.computation.users.get(updated[0].name, ())
        updated = [each for each in users if each.opcode.endswith("-update")]
    return next((each.name for each in users if each.opcode.endswith("-done")), name)


def _is_scattered(name: str, computation: Computation) -> bool:
    """Whether a fusion keeps a slice of a sum only, which is this chip's."""
    users = computation.users.get(name, ())
    if [each.opcode for each in users] == ["bitcast"]:
        return _is_scattered(users[0].name, computation)
    return bool(users) and all(
        each.opcode == "dynamic-slice" and each.operands[0] == name for each in users
    )


def _payload(instruction: Instruction, computation: Computation, kind: str) -> int:
    operands = sum(s.size for name in instruction.operands for s in computation.shapes(name))
    if kind == "reduce-scatter":
        return operands
    result = sum(shape.size for shape in instruction.shapes)
    if not instruction.opcode.endswith("-start"):
        return result
    if kind in ("all-reduce", "all-to-all", _PERMUTE):
        return operands
    # (operands, results, contexts of a few bytes).
    return max(0, result - operands)
