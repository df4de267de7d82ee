"""Which communication a schedule hides behind computation, and which the chip waits for.

The instructions of a compiled computation stand in the order in which they run, so one walk gives
an estimate of the step: each takes the longer of its FLOPs at peak and its bytes through HBM.
Collectives and copies that have begun go on meanwhile, one after the other on the links of their
axes and in the HBM time that computation leaves, those of the host on a link of their own; what is
left when the program needs them is waited for. Work of the vector unit within the chip is not
counted, nor that links of "data+model" are those of "data".
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.execution import Execution
from t5x_lite.planning.hlo import Computation, Instruction, Module
from t5x_lite.planning.traffic import between_memories, hbm_bytes

# Beside links of mesh axes, which these names are not.
_HOST, _BETWEEN_SLICES = "the host", "between slices"


@dataclasses.dataclass(frozen=True)
class Speeds:
    """A machine, per chip; `seconds_of` one execution of a collective."""

    flops_per_second: float
    hbm_bytes_per_second: float
    host_bytes_per_second: float
    seconds_of: Callable[[Collective], float]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Seconds of one execution of the program.

    Attributes:
        compute_seconds: the instructions at the roofline, and waiting for copies: within the chip
            and of the host.
        exposed_collective_seconds: communication that nothing hides.
        hidden_collective_seconds: communication behind computation; no part of the step's time.
        exposed: name of each collective -> its exposed seconds, trips counted.
    """

    compute_seconds: float
    exposed_collective_seconds: float
    hidden_collective_seconds: float
    exposed: Mapping[str, float]

    @property
    def step_seconds(self) -> float:
        """An estimate of the time of one execution."""
        return self.compute_seconds + self.exposed_collective_seconds


def schedule(module: Module, collectives: Iterable[Collective], speeds: Speeds) -> Schedule:
    """The time of a program on a machine; `collectives` are those of its `ProgramCost`."""
    known = list(collectives)
    times = _Walk(module, known, speeds).times_of(module.entry)
    exposed = math.fsum(times.exposed.values())
    communication = math.fsum(each.trips * speeds.seconds_of(each) for each in known)
    return Schedule(
        compute_seconds=times.compute,
        exposed_collective_seconds=exposed,
        # Rounding, where all is exposed.
        hidden_collective_seconds=max(0.0, communication - exposed),
        exposed={each.name: times.exposed.get(each.name, 0.0) for each in known},
    )


class _Queue:
    """Transfers that share a channel, the first first."""

    def __init__(self) -> None:
        self._left: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        self._left[name] = self._left.get(name, 0.0) + seconds

    def advance(self, seconds: float) -> None:
        """Time goes by in which the channel is free for these transfers."""
        while self._left and seconds > 0:
            name, left = next(iter(self._left.items()))
            if left > seconds:
                self._left[name] = left - seconds
            else:
                del self._left[name]
            seconds -= left

    def finish(self, name: str) -> Mapping[str, float]:
        """What is left of a transfer and of those before it, which is waited for now."""
        waited: dict[str, float] = {}
        while name in self._left:
            first = next(iter(self._left))
            waited[first] = self._left.pop(first)
        return waited


@dataclasses.dataclass
class _Times:
    """Of one computation: seconds, and those exposed by collective."""

    compute: float = 0.0
    exposed: dict[str, float] = dataclasses.field(default_factory=lambda: defaultdict(float))


class _Clock:
    """Time in one computation, and the transfers that go on in it."""

    def __init__(self) -> None:
        self.times = _Times()
        self.links: dict[str, _Queue] = defaultdict(_Queue)
        self.copies = _Queue()

    def work(self, seconds: float, hbm_seconds: float) -> None:
        """Computation, which keeps HBM busy for a part of its time."""
        self.times.compute += seconds
        self._pass(seconds)
        self.copies.advance(seconds - hbm_seconds)

    def wait_for_copy(self, name: str) -> None:
        """Copies use HBM alone while they are waited for, those of the host the host's link."""
        within = math.fsum(self.copies.finish(name).values())
        self._pass(within)
        with_host = math.fsum(self.links[_HOST].finish(name).values())
        self._pass(with_host, busy={_HOST: with_host})
        self.copies.advance(with_host)
        self.times.compute += within + with_host

    def wait_for(self, links: str, name: str) -> None:
        """A collective is waited for, and those before it on its links."""
        for each, seconds in self.links[links].finish(name).items():
            self.times.exposed[each] += seconds
            self._pass(seconds, busy={links: seconds})
            self.copies.advance(seconds)

    def repeat(self, inner: _Times, trips: int, links_of: Mapping[str, str]) -> None:
        """A loop runs; its own collectives keep their links busy while it waits for them."""
        busy: dict[str, float] = defaultdict(float)
        for name, seconds in inner.exposed.items():
            self.times.exposed[name] += trips * seconds
            busy[links_of[name]] += trips * seconds
        self.times.compute += trips * inner.compute
        self._pass(trips * inner.compute + math.fsum(busy.values()), busy)

    def _pass(self, seconds: float, busy: Mapping[str, float] | None = None) -> None:
        for links, queue in self.links.items():
            queue.advance(seconds - (busy or {}).get(links, 0.0))


def _links(collective: Collective) -> str:
    """What a collective shares with those that have the same: links of mesh axes, or the hosts'."""
    return _BETWEEN_SLICES if collective.crosses_slices else collective.axes


class _Walk:
    """Through a program in its order."""

    def __init__(self, module: Module, collectives: list[Collective], speeds: Speeds) -> None:
        self._execution, self._speeds = Execution(module), speeds
        self._started: dict[str, list[Collective]] = defaultdict(list)
        for each in collectives:
            self._started[each.name].append(each)
        self._ended = {each.done: each for each in collectives}
        self._links = {each.name: _links(each) for each in collectives}

    def times_of(self, computation: Computation) -> _Times:
        clock = _Clock()
        for instruction in computation:
            self._run(instruction, computation, clock)
        return clock.times

    def _run(self, instruction: Instruction, computation: Computation, clock: _Clock) -> None:
        name = instruction.name
        for inner, trips in self._execution.inner(instruction, computation):
            clock.repeat(self.times_of(inner), trips, self._links)
        for started in self._started.get(name, ()):
            clock.links[_links(started)].add(name, self._speeds.seconds_of(started))
        if ended := self._ended.get(name):
            clock.wait_for(_links(ended), ended.name)
        elif instruction.opcode.endswith("-done"):
            clock.wait_for_copy(instruction.operands[0])
        elif name not in self._started:
            self._compute(instruction, computation, clock)

    def _compute(self, instruction: Instruction, computation: Computation, clock: _Clock) -> None:
        moved = hbm_bytes(instruction, computation, self._execution.module)
        hbm_seconds = moved / self._speeds.hbm_bytes_per_second
        if instruction.opcode.endswith("-start"):
            if with_host := between_memories(instruction):
                seconds = with_host / self._speeds.host_bytes_per_second
                clock.links[_HOST].add(instruction.name, seconds)
            else:
                clock.copies.add(instruction.name, hbm_seconds)
            return
        # What runs inside of a loop has had its time.
        flops = self._execution.flops(instruction, computation)
        if self._execution.inner(instruction, computation):
            flops = 0
        clock.work(max(flops / self._speeds.flops_per_second, hbm_seconds), hbm_seconds)
