"""What one accelerator does: our training, decoding and attention, and transformers beside them.

    python -m benchmarks.accelerator --output=DIR                # all, within ten minutes
    python -m benchmarks.accelerator --output=DIR --budget=240   # goes on with what is missing
    python -m benchmarks.accelerator --output=DIR --parts=machine,decode --sizes=xl
    python -m benchmarks.accelerator --output=DIR --budget=0 --publish=docs   # docs/speed.md anew

Everything runs in a process of its own, one at a time; each result is a line of accelerator.jsonl
in the folder of the output as soon as it is there. Nothing is read but this checkout: batches and
weights are random, and neither TensorFlow nor SeqIO is needed. Without PyTorch and transformers
their arms are left out.
"""

import argparse
import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.accelerator import page, plan, runner, tables
from benchmarks.accelerator.results import Results
from t5x_lite.errors import UserError


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 2 for what cannot be run as it was asked for."""
    asked = _parser().parse_args(words)
    try:
        _run(asked)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(asked: argparse.Namespace) -> None:
    if importlib.util.find_spec("gin") is None:
        raise UserError("gin is not installed, which reads models: pip install gin-config.")
    shapes = plan.TINY if asked.tiny else plan.WHOLE
    sizes = _chosen("sizes", asked.sizes, list(shapes.sizes))
    parts = _chosen("parts", asked.parts, plan.PARTS)
    results = Results(asked.output)
    if asked.budget:
        asks = plan.asks(shapes, sizes, parts)
        runner.run(asks, results, asked.budget, lambda line: print(line, flush=True))
    print("\n".join(["", *tables.all_tables(results)]), flush=True)
    if asked.publish:
        page.publish(results, asked.publish)


def _chosen(flag: str, given: str | None, known: Sequence[str]) -> list[str]:
    """Those that are named, all that there are for None."""
    names = list(known) if given is None else given.split(",")
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"--{flag}={given}: there is no {', '.join(unknown)}; needed are some of "
            f"{','.join(known)}."
        )
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accelerator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output", type=pathlib.Path, required=True, metavar="DIR", help="of accelerator.jsonl"
    )
    parser.add_argument(
        "--budget", type=_seconds, default=600.0, help="seconds in all (600); 0 measures nothing"
    )
    parser.add_argument("--sizes", metavar="SIZE,...", help="default: large,xl")
    parser.add_argument("--parts", metavar="PART,...", help=f"default: {','.join(plan.PARTS)}")
    parser.add_argument(
        "--tiny", action="store_true", help="a tiny model, on whatever is there: that it runs"
    )
    parser.add_argument(
        "--publish", type=pathlib.Path, metavar="DOCS", help="a folder with speed.md to write into"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: needed is a number of seconds, 0 or more")
    return value


if __name__ == "__main__":
    sys.exit(main())
