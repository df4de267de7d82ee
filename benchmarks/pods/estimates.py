"""What `t5x_lite plan --advise` estimates of programs, beside what the compiler made of them."""

import dataclasses
import pathlib
import statistics
from collections.abc import Iterable, Mapping

from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results
from t5x_lite import json_lines
from t5x_lite.errors import UserError
from t5x_lite.planning.estimate import Estimator


@dataclasses.dataclass(frozen=True)
class Pair:
    """Of the same program: bytes at the peak and seconds of a step, each estimated and compiled."""

    estimated_peak: float
    peak: float
    estimated_seconds: float
    seconds: float


def add(folder: pathlib.Path, programs: Mapping[str, Program], results: Results) -> None:
    """Estimates each program that was compiled, which takes seconds, and writes all of them anew.

    Raises:
        UserError: nothing is compiled with the versions that are installed, or no libtpu is, whose
            devices meshes are made of; what was written stays.
    """
    known = {name: results.find(program) for name, program in programs.items()}
    lines = []
    for name, plan in known.items():
        if plan is None or plan["compiled_flops"] is None:
            continue
        found = Estimator(programs[name].machine).estimate(programs[name].job)
        pair = Pair(
            found.peak, plan["hbm_peak_bytes"], found.step_seconds, plan["step_seconds_estimate"]
        )
        print(f"{name}: estimated {pair.estimated_peak / 1e9:.2f} GB of {pair.peak / 1e9:.2f}")
        lines.append({"name": name, **dataclasses.asdict(pair)})
    if not lines:
        raise UserError(
            f"{folder} holds no program that was compiled with the installed jax and libtpu, so "
            "there is nothing to estimate: --grid and --scaling compile them."
        )
    json_lines.write_lines(_file(folder), lines)


def read(folder: pathlib.Path) -> dict[str, Pair]:
    """Those of a folder, by the names of programs."""
    file = _file(folder)
    lines = json_lines.read_lines(file) if file.exists() else []
    return {line.pop("name"): Pair(**line) for line in lines}


def summary(pairs: Iterable[Pair]) -> str:
    """How far estimates are off: in the middle, and at most."""
    peaks, seconds = zip(*(_off(each) for each in pairs), strict=True)
    return (
        f"Of {len(peaks)} programs the peak is off by {statistics.median(peaks):.1%} in the "
        f"middle and {max(peaks):.1%} at most, the time of a step by "
        f"{statistics.median(seconds):.0%} and {max(seconds):.0%}."
    )


def _off(pair: Pair) -> tuple[float, float]:
    return (
        abs(pair.estimated_peak / pair.peak - 1),
        abs(pair.estimated_seconds / pair.seconds - 1),
    )


def _file(folder: pathlib.Path) -> pathlib.Path:
    return folder / "estimates.jsonl"
