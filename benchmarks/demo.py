"""The demo with several seeds: how long it takes, and whether pre-training helps each time.

    python -m benchmarks.demo                      # seeds 0, 1, 2, into build/demo/<seed>
    python -m benchmarks.demo --publish=docs       # and the table into docs/RESULTS.md

A seed that has run is not run again: remove build/demo/<seed>.json. Seconds mean little without the
machine, so its speed is measured before and after each run: the median rate of float32 matrix
products of 2,048 x 2,048.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.experiments import report, statistics, tables

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_SIZE, _PRODUCTS = 2048, 9
# In a process of its own, which leaves the cores when it has measured.
_PEAK = f"""
import statistics, time, jax, jax.numpy as jnp
a = jnp.ones(({_SIZE}, {_SIZE}), jnp.float32)
product = jax.jit(jnp.matmul)
product(a, a).block_until_ready()
rates = []
for _ in range({_PRODUCTS}):
    began = time.perf_counter()
    product(a, a).block_until_ready()
    rates.append(2 * {_SIZE}**3 / (time.perf_counter() - began) / 1e9)
print(statistics.median(rates))
"""


@dataclasses.dataclass(frozen=True)
class Measured:
    """A demo's summary.json, and the machine's GFLOP/s before and after it."""

    seed: int
    seconds: int
    tasks: Mapping[str, Mapping[str, Any]]
    peaks: Sequence[float]
    date: str
    python: str
    jax: str


def matrix_product_gflops() -> float:
    """10^9 floating point operations a second."""
    done = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(seed: int, output: pathlib.Path) -> Measured:
    """Runs the demo, unless it has run; what it prints goes into a log."""
    record, log = output / f"{seed}.json", output / f"{seed}.log"
    if record.exists():
        return Measured(**json.loads(record.read_text()))
    peak = matrix_product_gflops()
    tools = pathlib.Path(sys.executable).parent
    environment = os.environ | {
        "DEMO_DIR": str(output / str(seed)),
        "DEMO_SEED": str(seed),
        "DEMO_FLAGS": "",
        "PYTHON": sys.executable,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }
    print(f"seed {seed}: {log}", flush=True)
    with log.open("w") as file:
        command = ["bash", str(_ROOT / "launch/local/demo.sh")]
        status = subprocess.run(command, env=environment, stdout=file, stderr=file, check=False)
    if status.returncode:
        raise SystemExit(f"the demo with seed {seed} ended with {status.returncode}; see {log}")
    found = Measured(
        seed=seed,
        peaks=(peak, matrix_product_gflops()),
        date=datetime.date.today().isoformat(),
        python=sys.version.split()[0],
        jax=importlib.metadata.version("jax"),
        **json.loads((output / str(seed) / "summary.json").read_text()),
    )
    record.write_text(json.dumps(dataclasses.asdict(found), indent=2) + "\n")
    return found


def scores_table(found: Sequence[Measured]) -> list[str]:
    """A row for each task and seed, and for each task the mean difference and its spread."""
    rows = []
    for task in found[0].tasks:
        for each in found:
            row = each.tasks[task]
            mean, low, high = row["difference"]
            scores = [f"{row[arm]:.1f}" for arm in ("scratch", "pretrained")]
            interval = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
            rows.append([task, str(each.seed), row["metric"], *scores, interval])
        spread = statistics.spread([each.tasks[task]["difference"][0] for each in found])
        rows.append([f"**{task}**", "all", "", "", "", f"**{spread}**"])
    head = ["task, held out", "seed", "metric", "without", "pre-trained"]
    return tables.table([*head, "difference [paired 95 %]"], rows)


def runs_table(found: Sequence[Measured]) -> list[str]:
    """How long each took, and on what."""
    head = ["seed", "seconds after set-up", "matrix products, GFLOP/s", "date", "Python", "jax"]
    rows = [
        [
            str(each.seed),
            str(each.seconds),
            " to ".join(f"{peak:.0f}" for peak in sorted(each.peaks)),
            each.date,
            each.python,
            each.jax,
        ]
        for each in found
    ]
    return tables.table(head, rows)


def main(words: Sequence[str] | None = None) -> None:
    """Runs what is asked for, one after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--output", type=pathlib.Path, default=_ROOT / "build/demo", metavar="DIR")
    parser.add_argument(
        "--publish", type=pathlib.Path, metavar="DOCS", help="a folder with RESULTS.md"
    )
    arguments = parser.parse_args(words)
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    found = [measure(seed, output) for seed in arguments.seeds]
    machine = (
        f"`python -m benchmarks.demo`, {os.cpu_count()} CPU cores; the spread is the standard "
    )
    lines = [*scores_table(found), "", f"{machine}deviation between seeds.", "", *runs_table(found)]
    print("\n".join(lines))
    if arguments.publish:
        page = arguments.publish / "RESULTS.md"
        page.write_text(report.replaced(page.read_text(), "demo", "\n".join(lines)))


if __name__ == "__main__":
    main()
