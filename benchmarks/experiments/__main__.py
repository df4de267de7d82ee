"""Small real experiments, one command each.

    python -m benchmarks.experiments M-3               # runs what is missing, shows the result
    python -m benchmarks.experiments all
    python -m benchmarks.experiments M-3 --publish=docs  # and puts it into docs/RESULTS.md
    python -m benchmarks.experiments tweets --data=DIR   # all whose names begin so

What is finished is not run again, and what was killed goes on where it was: start the same command
again. The data is found in T5X_LITE_TEST_DATA (default: ../shared/data).
"""

import argparse
import pathlib
import shlex
import sys
import time
from collections.abc import Callable

from benchmarks.experiments import charts, given, report, results
from benchmarks.experiments.catalogue import EXPERIMENTS, chosen
from benchmarks.experiments.experiment import Experiment
from benchmarks.experiments.given import Given
from benchmarks.experiments.lab import FULL, MINIATURE, Lab, share_compilations

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(words: list[str] | None = None) -> int:
    """The exit status."""
    arguments = _parser().parse_args(words)
    try:
        experiments = chosen(arguments.experiments)
        scale = MINIATURE if arguments.miniature else FULL
        share_compilations(arguments.output / "compilation_cache")
        models = given.models(arguments.models) if arguments.models else {}
        lab = Lab(arguments.output, scale, say=_say(), given=Given(arguments.data, models))
        for experiment in experiments:
            _run(experiment.of(lab), lab, arguments)
    except (ValueError, FileNotFoundError) as error:
        print(f"experiments: error: {error}", file=sys.stderr)
        return 2
    return 0


def _say() -> Callable[[str], None]:
    """Prints to where the terminal is now: while a command runs, its output goes into its log."""
    terminal = sys.stdout
    return lambda text: print(text, file=terminal, flush=True)


def _run(experiment: Experiment, lab: Lab, arguments: argparse.Namespace) -> None:
    print(f"== {experiment.key} {experiment.title}", flush=True)
    file = lab.output / "results" / f"{experiment.key}.jsonl"
    found = results.read(file) if file.exists() else None
    if found is None or found.circumstances.get("setup") != experiment.setup:
        found = _measured(experiment, lab)
        results.write(file, found)
    picture = charts.png(experiment.title, experiment.chart, found.records)
    file.with_suffix(".png").write_bytes(picture)
    print("\n".join(report.summary(experiment, found)), flush=True)
    print(f"results: {file}; remove it to measure again", flush=True)
    if arguments.publish:
        report.publish(experiment, found, arguments.publish)


def _measured(experiment: Experiment, lab: Lab) -> results.Results:
    records, began, worked = [], time.monotonic(), time.process_time()
    for record in experiment.measure(lab, range(lab.scale.num_seeds)):
        shown = ", ".join(f"{name} {value:.3f}" for name, value in record.scores.items())
        print(f"{experiment.key}  {record.arm}  seed {record.seed}: {shown}", flush=True)
        records.append(record)
    here = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - worked}
    # The one is more where runs were made before, the other where something is measured here.
    spent = {name: max(seconds, here[name]) for name, seconds in lab.spent().items()}
    words = ["python", "-m", "benchmarks.experiments", experiment.key, *lab.given.flags]
    command = shlex.join(words)
    return results.Results(results.circumstances(experiment, command, spent), records)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "experiments", nargs="+", metavar="NAME", help=f"all, or of {', '.join(EXPERIMENTS)}"
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=_ROOT / "build" / "experiments",
        metavar="DIR",
        help="runs and results (default: build/experiments)",
    )
    parser.add_argument(
        "--miniature", action="store_true", help="a few steps of everything: shows that it works"
    )
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        metavar="DIR",
        help="of tweets: the competition's files (default: a stand-in of the same form)",
    )
    parser.add_argument(
        "--models",
        metavar="NAME=DIR,...",
        help="of tweets: Hugging Face directories in place of what is pre-trained",
    )
    parser.add_argument(
        "--publish",
        type=pathlib.Path,
        metavar="DOCS",
        help="a folder with RESULTS.md to write into",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
