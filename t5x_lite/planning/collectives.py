"""The collectives of a compiled program: what they move, along which axes, how often, for what."""

import dataclasses

from t5x_lite.planning.causes import Cause


@dataclasses.dataclass(frozen=True)
class Collective:
    """One collective of the program's text, on one chip.

    Attributes:
        name: its instruction.
        kind: all-gather, all-reduce, reduce-scatter, all-to-all, ragged-all-to-all or
            collective-permute.
        payload_bytes: of one execution: the result, for a reduce-scatter the operand.
        wire_bytes: what a chip sends in one execution, by the ring's formula of its kind.
        trips: executions in one run of the program.
        axes: the mesh axes that it spans, "+" between several; "?" where none match.
        group_size: chips that take part together.
        asynchronous: whether the schedule may hide it behind other work.
    """

    name: str
    kind: str
    payload_bytes: int
    wire_bytes: float
    trips: int
    axes: str
    group_size: int
    asynchronous: bool
    cause: Cause
