"""All choices of a job on a topology, estimated: which fit, and which of these is the fastest."""

import dataclasses
from collections.abc import Sequence

from t5x_lite.errors import UserError
from t5x_lite.planning.choices import Between, Choice, RematChoice, meshes, microbatches, remats
from t5x_lite.planning.estimate import STATE, Estimate, Estimator, Traces
from t5x_lite.planning.topologies import Topology
from t5x_lite.training.config import TrainConfig

# Estimates are that near to the compiler's peak, and arrays leave gaps.
MARGIN = 1.1


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A choice with its estimate."""

    choice: Choice
    estimate: Estimate
    capacity: int

    @property
    def lack(self) -> int:
        """Bytes that it needs more than there are, the margin included; negative if it fits."""
        return int(self.estimate.peak * MARGIN) - self.capacity

    @property
    def fits(self) -> bool:
        """By the estimate."""
        return self.lack <= 0


def search(
    job: TrainConfig, topology: Topology, *, frugal: bool = False, traces: Traces | None = None
) -> list[Candidate]:
    """For each mesh and remat the fewest microbatches that fit, else the most there can be; those
    that fit first, the fastest first, then those that lack least.

    Args:
        frugal: only what needs least memory: all split, all computed again.
        traces: see `Estimator`.

    Raises:
        UserError: no mesh fits the job.
    """
    estimator, found = Estimator(topology, traces), list[Candidate]()
    for partitions, between, fully_sharded in meshes(job, topology):
        if fully_sharded or not frugal:
            for remat in remats(job.model)[-1 if frugal else 0 :]:
                made = _least(estimator, job, topology, partitions, between, fully_sharded, remat)
                found += [] if made is None else [made]
    if not found:
        raise UserError(
            f"no mesh of {topology} fits a batch of {job.dataset.batch_size} rows: they have to "
            f"divide over its {topology.num_devices} devices, or over fewer where heads, hidden "
            f"units and vocabulary divide too: --gin.BATCH_SIZE={topology.num_devices}."
        )
    return ranked(found)


def fits_somehow(job: TrainConfig, topology: Topology) -> bool:
    """Whether what needs least memory fits, by estimate."""
    try:
        return search(job, topology, frugal=True)[0].fits
    except UserError:  # nothing divides
        return False


def ranked(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best first."""
    return sorted(
        candidates,
        key=lambda each: (max(each.lack, 0), each.estimate.step_seconds, each.estimate.peak),
    )


def _least(
    estimator: Estimator,
    job: TrainConfig,
    topology: Topology,
    partitions: int,
    between: Between,
    fully_sharded: bool,
    remat: RematChoice,
) -> Candidate | None:
    """More microbatches need less memory and never less time: kernels travel for each."""
    capacity = topology.chip.hbm_bytes // topology.chip.devices
    made = None
    for count in _tried(microbatches(job, topology, partitions)):
        choice = Choice(partitions, between, fully_sharded, remat, count, topology.slices)
        try:
            estimate = estimator.estimate(choice.applied(job))
        except UserError:
            # What else of this job does not divide, such as an adapter.
            return made
        made = Candidate(choice, estimate, capacity)
        if made.fits or estimate.parts[STATE] > capacity:
            return made
    return made


def _tried(counts: Sequence[int]) -> list[int]:
    """Each at least twice the last: what lies between is hardly better."""
    found: list[int] = []
    for count in counts:
        if not found or count >= 2 * found[-1] or count == counts[-1]:
            found.append(count)
    return found
