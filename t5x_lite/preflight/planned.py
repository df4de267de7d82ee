"""The plan's verdict on a job, as one of its checks."""

from collections.abc import Iterator

from t5x_lite.planning import report, run, topologies
from t5x_lite.planning.programs import Kind as Program
from t5x_lite.preflight.findings import Kind, Outcome
from t5x_lite.training.config import TrainConfig


def check(job: TrainConfig, topology: str, *, slices: int) -> Iterator[Outcome]:
    """Whether the training step fits a topology, by its compiler.

    Raises:
        UserError: there is no such topology, the job is not for it, or its compiler is missing.
    """
    found = topologies.find(topology, slices=slices)
    (plan,) = run.plans_of(job, found, program=Program.TRAIN.value, price=None)
    verdict = f"{report.title(plan)}: {report.verdict(plan)}"
    if not plan.fits:
        yield Kind.FIX, f"{verdict}. t5x_lite plan --advise looks for what would."
        return
    assert plan.step_seconds is not None, "what fits was compiled"
    yield Kind.OK, f"{verdict}; a step takes at least {plan.step_seconds:.3g} s, by estimate"
