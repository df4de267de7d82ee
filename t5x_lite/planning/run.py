"""`t5x_lite plan`: compiles the programs of a job one after the other and shows what they need."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator, Sequence

from etils import epath

from t5x_lite.display.waiting import waiting
from t5x_lite.errors import UserError
from t5x_lite.planning import html_page, isolated, libtpu, report
from t5x_lite.planning.measure import Job, measure
from t5x_lite.planning.plan import Plan, make_plan
from t5x_lite.planning.plan_json import as_json
from t5x_lite.planning.programs import Kind
from t5x_lite.planning.topologies import Topology

ALL = "all"


def plan(
    job: Job,
    topology: Topology,
    *,
    program: str,
    price: float | None,
    json_file: str | None = None,
    html_file: str | None = None,
) -> bool:
    """Prints each plan when it is made; whether all programs fit.

    Args:
        program: a `Kind`, or all of them.
        price: dollars per chip and hour.

    Raises:
        UserError: the job is not for this topology, or its compiler is missing or crashes.
    """
    plans: list[Plan] = []
    for each in plans_of(job, topology, program=program, price=price):
        plans.append(each)
        # Before it is shown: who reads the output may have seen enough, and compiling takes long.
        write(plans, json_file=json_file, html_file=html_file)
        print(report.terminal(each), end="\n\n", flush=True)
    conclude(plans, json_file=json_file, html_file=html_file)
    return all(each.fits for each in plans)


def write(plans: Sequence[Plan], *, json_file: str | None, html_file: str | None) -> None:
    """The files that were asked for."""
    if json_file is not None:
        epath.Path(json_file).write_text(json.dumps(_object(plans), indent=2) + "\n")
    if html_file is not None:
        epath.Path(html_file).write_text(html_page.render(plans))


def conclude(plans: Sequence[Plan], *, json_file: str | None, html_file: str | None) -> None:
    """Prints what plans assume, and which files there are."""
    print("\n".join(["assumed", *(f"  - {each}" for each in report.assumed(plans))]))
    for file, what in ((json_file, "all numbers"), (html_file, "the same with charts")):
        if file is not None:
            print(f"{file}: {what}")


def plans_of(job: Job, topology: Topology, *, program: str, price: float | None) -> Iterator[Plan]:
    """The plans, each when it is asked for."""
    if not topology.chip.is_simulated:
        libtpu.check_installed()
    for kind in Kind if program == ALL else (Kind(program),):
        try:
            with waiting(f"compiling {report.TITLES[kind]} for {topology}"):
                measured = isolated.call(measure, job, topology, kind)
        except isolated.CrashError as error:
            raise UserError(
                f"the compiler crashed on {report.TITLES[kind]} for {topology}, {error}. "
                f"{_versions()} What may avoid it: a newer JAX with its libtpu, another mesh "
                "(--gin.NUM_PARTITIONS=..., --gin_file=meshes/standard.gin), or "
                "--gin.ComputeConfig.remat=..."
            ) from error
        yield make_plan(job, measured, price)


def _object(plans: Sequence[Plan]) -> dict:
    """The first plan; of several all of them, besides."""
    first, *others = map(as_json, plans)
    return first | ({"programs": [first, *others]} if others else {})


def _versions() -> str:
    names = [name for name in ("jax", "libtpu") if _has(name)]
    return (
        f"Here is {' with '.join(f'{each} {importlib.metadata.version(each)}' for each in names)}."
    )


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
