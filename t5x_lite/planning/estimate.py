"""A training step without its compiler: the peak of its memory and its time, in milliseconds.

The step is traced once for all meshes and batches (`traced`). What it writes and how long that
lives gives the peak, its products and bytes the time of computing, what it sums and gathers the
time of communication. Compilers order, fuse and place better or worse than assumed here.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping

from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.planning import liveness, programs
from t5x_lite.planning.causes import Cause
from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.links import Links
from t5x_lite.planning.memory import StateBytes, state_bytes
from t5x_lite.planning.shares import Shares, shares_of
from t5x_lite.planning.topologies import Topology
from t5x_lite.planning.traced import Program, trace
from t5x_lite.planning.work import ACTIVATIONS, Rates, Sending, Work, work
from t5x_lite.training import microbatches
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory

Traces = dict[ModelConfig, Program]

STATE = "parameters and optimizer"
# Of the bytes that are written this part stays within the chip, as compiled programs show.
_PASSES_HBM = 0.5
# The optimizer reads parameters, gradients and slots, and writes all but gradients.
_PASSES_OF_STATE = 3
_NO_CAUSE = Cause("", "", "", "", "")


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A training step on one device, estimated.

    Attributes:
        parts: bytes that live when memory is fullest, by what they are.
        seconds: of computing, and of communication by what is sent; what of it is waited for
            `step_seconds` says.
    """

    mesh: Mapping[str, int]
    parts: Mapping[str, int]
    compute_seconds: float
    seconds_of: Mapping[str, float]

    @property
    def peak(self) -> int:
        """Bytes."""
        return sum(self.parts.values())

    @property
    def step_seconds(self) -> float:
        """Parameters and gradients travel beside the computing, activations are waited for."""
        beside = sum(time for of, time in self.seconds_of.items() if of != ACTIVATIONS)
        return max(self.compute_seconds, beside) + self.seconds_of.get(ACTIVATIONS, 0.0)


class Estimator:
    """Estimates on a topology, of one job with other meshes, batches, microbatches and remat.

    Args:
        traces: of that job, by its model; what is traced here is added.

    Raises:
        UserError: when made, if the topology has no compiler here.
    """

    def __init__(self, topology: Topology, traces: Traces | None = None) -> None:
        self._topology, self._devices = topology, topology.devices()
        self._traces: Traces = {} if traces is None else traces
        self._states: dict[PartitioningConfig, tuple[StateFactory, StateBytes]] = {}

    def estimate(self, job: TrainConfig) -> Estimate:
        """Of a job.

        Raises:
            UserError: mesh, model or batch do not fit the topology.
        """
        states, state = self._state(job)
        microbatches.check(job.dataset.batch_size, job.num_microbatches, states.partitioner)
        shares = self._shares(job, states)
        traced, count = self._traced(job), job.num_microbatches
        parts = {STATE: state.parameters + state.optimizer, **liveness.peak(traced, shares)}
        if count > 1:  # the sum so far, besides what is added
            parts[liveness.GRADIENTS] = parts.get(liveness.GRADIENTS, 0) + state.gradients
        found = work(traced, shares, self._rates)
        return Estimate(
            mesh=dict(states.partitioner.mesh.shape),
            parts=parts,
            compute_seconds=count * found.seconds + self._update_seconds(state),
            seconds_of=self._communication(found, states, count),
        )

    @property
    def _rates(self) -> Rates:
        chip = self._topology.chip
        return Rates(chip.flops / chip.devices, chip.hbm_bandwidth / chip.devices / _PASSES_HBM)

    def _state(self, job: TrainConfig) -> tuple[StateFactory, StateBytes]:
        if job.partitioning not in self._states:
            states = programs.make_states(job, self._topology)
            self._states[job.partitioning] = states, state_bytes(job, states)
        return self._states[job.partitioning]

    def _traced(self, job: TrainConfig) -> Program:
        if job.model not in self._traces:
            self._traces[job.model] = trace(job, self._devices[0])
        return self._traces[job.model]

    def _shares(self, job: TrainConfig, states: StateFactory) -> Shares:
        shapes = programs.batch_shapes(job, job.dataset)
        lengths = frozenset(length for _, length in shapes.values())
        return shares_of(job, dict(states.partitioner.mesh.shape), lengths)

    def _update_seconds(self, state: StateBytes) -> float:
        chip = self._topology.chip
        moved = _PASSES_OF_STATE * (state.parameters + state.optimizer)
        return moved / (chip.hbm_bandwidth / chip.devices)

    def _communication(self, found: Work, states: StateFactory, count: int) -> Mapping[str, float]:
        mesh = states.partitioner.mesh
        links = Links(self._topology, mesh.devices, mesh.axis_names)
        seconds: dict[str, float] = defaultdict(float)
        for sending, trips in found.sendings.items():
            one = links.seconds(self._collective(sending, dict(mesh.shape)))
            seconds[sending.of] += count * trips * one
        return dict(seconds)

    def _collective(self, sending: Sending, mesh: Mapping[str, int]) -> Collective:
        crosses = self._topology.slices > 1 and next(iter(mesh)) in sending.axes
        return Collective(
            name="",
            done="",
            kind=sending.kind,
            payload_bytes=sending.bytes,
            trips=1,
            axes="+".join(sending.axes),
            group_size=math.prod(mesh[axis] for axis in sending.axes),
            cause=_NO_CAUSE,
            crosses_slices=crosses,
        )
