"""What one run of a compiled program costs a chip, read from its HLO text, loops by their trips."""

import dataclasses
from collections.abc import Mapping

from t5x_lite.planning.collectives import Collective


@dataclasses.dataclass(frozen=True)
class Loop:
    """A while loop; `trips` is 1 where the text does not tell (`is_known`)."""

    name: str
    trips: int
    is_known: bool


@dataclasses.dataclass(frozen=True)
class Buffer:
    """The result of an instruction that lies in HBM."""

    name: str
    dtype: str
    dims: tuple[int, ...]
    size: int
    op_name: str


@dataclasses.dataclass(frozen=True)
class ProgramCost:
    """Of one chip and one execution.

    Attributes:
        flops: of matrix products and convolutions.
        hbm_bytes: an estimate: what instructions read and write in HBM.
        loops: every while loop, outer ones first.
        collectives: in the order of the text.
        counted_bytes: kind -> bytes of the results of every collective instruction of the text, as
            tools count that do not know that TPU programs write one asynchronous collective
            several times (and a reduce-scatter as an all-reduce).
        largest_buffers: the biggest results, the biggest first.
    """

    flops: float
    hbm_bytes: float
    loops: tuple[Loop, ...]
    collectives: tuple[Collective, ...]
    counted_bytes: Mapping[str, float]
    largest_buffers: tuple[Buffer, ...]
