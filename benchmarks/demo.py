"""The demo with several seeds: how long it takes, and whether pre-training helps each time.

    python benchmarks/demo.py                      # seeds 0, 1, 2, into build/demo/<seed>
    python benchmarks/demo.py --publish=docs       # and the table into docs/RESULTS.md

A seed that has run is not run again: remove its folder. Seconds mean little without the machine, so
its speed is measured between the runs: the median rate of float32 matrix products of 2,048 x 2,048.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_BEGIN, _END = "<!-- demo seeds -->", "<!-- end of demo seeds -->"
_SIZE, _PRODUCTS = 2048, 9
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


def matrix_product_gflops() -> float:
    """10^9 floating point operations a second, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _PEAK], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def run(seed: int, output: pathlib.Path, flags: str) -> dict:
    """The summary.json of a demo; its output goes into a log."""
    folder = output / str(seed)
    summary = folder / "summary.json"
    if summary.exists():
        return json.loads(summary.read_text())
    tools = pathlib.Path(sys.executable).parent
    environment = os.environ | {
        "DEMO_DIR": str(folder),
        "DEMO_SEED": str(seed),
        "DEMO_FLAGS": flags,
        "PYTHON": sys.executable,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }
    log = output / f"{seed}.log"
    with log.open("w") as file:
        command = ["bash", str(_ROOT / "launch/local/demo.sh")]
        status = subprocess.run(command, env=environment, stdout=file, stderr=file, check=False)
    if status.returncode:
        raise SystemExit(f"the demo with seed {seed} ended with {status.returncode}; see {log}")
    return json.loads(summary.read_text())


def table(found: dict[int, dict]) -> list[str]:
    """A row for each task and seed, and for each task the mean and the spread of the difference."""
    lines = [
        "| task, held out | seed | metric | pre-trained | without | difference [paired 95 %] |",
        "|---|---|---|---|---|---|",
    ]
    for task in next(iter(found.values()))["tasks"]:
        means = []
        for seed, summary in found.items():
            row = summary["tasks"][task]
            mean, low, high = row["difference"]
            means.append(mean)
            cells = [task, seed, row["metric"], f"{row['pretrained']:.1f}", f"{row['scratch']:.1f}"]
            interval = f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"
            lines.append(f"| {' | '.join(map(str, [*cells, interval]))} |")
        if len(means) > 1:
            spread = (
                f"{statistics.mean(means):+.1f} \N{PLUS-MINUS SIGN} {statistics.stdev(means):.1f}"
            )
            lines.append(f"| **{task}** | all | | | | **{spread}** |")
    return lines


def circumstances(found: dict[int, dict], rates: list[float]) -> str:
    """When, where and how long."""
    seconds = ", ".join(str(summary["seconds"]) for summary in found.values())
    return (
        f"`python benchmarks/demo.py`, {datetime.date.today().isoformat()}, {os.cpu_count()} CPU "
        f"cores with a matrix-product peak of {min(rates):.0f} to {max(rates):.0f} GFLOP/s "
        f"(float32), Python {sys.version.split()[0]}, jax {importlib.metadata.version('jax')}: "
        f"{seconds} s after set-up. The spread is the standard deviation between seeds."
    )


def publish(lines: list[str], docs: pathlib.Path) -> None:
    """Puts the table between two comments of RESULTS.md."""
    page = docs / "RESULTS.md"
    text, count = re.subn(
        f"{_BEGIN}.*?{_END}",
        lambda match: "\n".join([_BEGIN, *lines, _END]),
        page.read_text(),
        flags=re.DOTALL,
    )
    if not count:
        raise SystemExit(f"{page} has no place for it: needed are the lines {_BEGIN} and {_END}.")
    page.write_text(text)


def main() -> None:
    """Runs what is asked for, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N")
    parser.add_argument("--output", type=pathlib.Path, default=_ROOT / "build/demo", metavar="DIR")
    parser.add_argument("--flags", default="", help="for both arms, such as --gin.DROPOUT_RATE=0.2")
    parser.add_argument("--publish", type=pathlib.Path, metavar="DOCS")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    found, rates = {}, [matrix_product_gflops()]
    for seed in arguments.seeds:
        began = time.monotonic()
        found[seed] = run(seed, arguments.output, arguments.flags)
        rates.append(matrix_product_gflops())
        print(f"seed {seed}: {time.monotonic() - began:.0f} s, peak {rates[-1]:.0f} GFLOP/s")
    lines = [*table(found), "", circumstances(found, rates)]
    print("\n".join(lines))
    if arguments.publish:
        publish(lines, arguments.publish)


if __name__ == "__main__":
    main()
