"""`t5x_lite plan --advise`: the fastest way to compute a job's step that fits a topology.

All ways are estimated, the best few compiled, and of these the fastest that fits wins.
"""

import contextlib
import dataclasses
from collections.abc import Sequence

from etils import epath

from t5x_lite.display.waiting import waiting
from t5x_lite.planning import advice, isolated, libtpu, report, run, topologies
from t5x_lite.planning.plan import Plan
from t5x_lite.planning.programs import Kind
from t5x_lite.planning.search import Candidate, fits_somehow, search
from t5x_lite.planning.topologies import Topology
from t5x_lite.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Advice:
    """All candidates, the best first by estimate, and the plans of those that were compiled."""

    candidates: Sequence[Candidate]
    plans: Sequence[tuple[Candidate, Plan]]

    @property
    def winner(self) -> Candidate | None:
        """The fastest that fits: of the compiled ones, if there are any, by their plans."""
        if not self.plans:
            return next((each for each in self.candidates if each.fits), None)
        fitting = [pair for pair in self.plans if pair[1].fits]
        best = min(fitting, key=lambda pair: pair[1].step_seconds or 0.0, default=None)
        return None if best is None else best[0]


def advise(
    job: TrainConfig, topology: Topology, *, most_compiled: int, price: float | None
) -> Advice:
    """Searches and compiles, which takes a minute, and minutes for each of `most_compiled`.

    Raises:
        UserError: no mesh fits the job, or its compiler is missing.
    """
    if not topology.chip.is_simulated:
        libtpu.check_installed()
    with waiting(f"estimating meshes, remat and microbatches on {topology}"):
        candidates: list[Candidate] = isolated.call(search, job, topology)
    plans = []
    for candidate in [each for each in candidates if each.fits][:most_compiled]:
        with contextlib.suppress(isolated.CrashError):  # such a mesh is no advice
            chosen = candidate.choice.applied(job)
            (plan,) = run.plans_of(chosen, topology, program=Kind.TRAIN.value, price=price)
            plans.append((candidate, plan))
    return Advice(candidates, plans)


def changes(job: TrainConfig, topology: Topology) -> list[str]:
    """The smallest changes with which a job fits that does not: of its batch, of the machine."""
    rows = job.dataset.batch_size
    smaller = (
        (f"--gin.BATCH_SIZE={rows // part}", _with_rows(job, rows // part), topology)
        for part in (2, 4, 8, 16)
        if rows % part == 0
    )
    larger = ((f"--topology={each.name}", job, each) for each in topologies.larger(topology))
    # Each in a process of its own, which has the devices of one topology.
    firsts = (
        next((flag for flag, *asked in ways if isolated.call(fits_somehow, *asked)), None)
        for ways in (smaller, larger)
    )
    return [flag for flag in firsts if flag is not None]


def _with_rows(job: TrainConfig, rows: int) -> TrainConfig:
    return dataclasses.replace(
        job, dataset=dataclasses.replace(job.dataset, batch_size=rows, batch_ramp=None)
    )


def show(
    job: TrainConfig,
    topology: Topology,
    *,
    most_compiled: int,
    price: float | None,
    gin_file: str | None = None,
    json_file: str | None = None,
    html_file: str | None = None,
) -> bool:
    """Prints what wins and why others lose, or what would fit, and the winner's plan if it was
    compiled; writes its gin file; whether anything fits.

    Raises:
        UserError: see `advise`.
    """
    found = advise(job, topology, most_compiled=most_compiled, price=price)
    winner = found.winner
    if winner is None:
        with waiting("looking for what would fit"):
            fixes = changes(job, topology)
        print(advice.nothing_fits(found.candidates[0], topology, fixes))
        return False
    print(advice.table(found.candidates, winner, found.plans, topology))
    text = advice.gin_file(winner, topology)
    print(f"\n{text}")
    if gin_file is not None:
        epath.Path(gin_file).write_text(text)
        print(f"{gin_file}: the same, for --gin_file={gin_file} behind all others")
    if plans := [plan for each, plan in found.plans if each is winner]:
        run.write(plans, json_file=json_file, html_file=html_file)
        print(f"\n{report.terminal(plans[0])}\n")
        run.conclude(plans, json_file=json_file, html_file=html_file)
    return True
