"""Training steps compiled for TPU pods that need not be there; libtpu is needed (make pods).

    python -m benchmarks.pods --grid                   # T5.1.1-XXL on 256 chips, beside T5X's rows
    python -m benchmarks.pods --rows 256x1_full_1      # some of them

What is compiled is not compiled again, so that a run that was killed goes on. The folder of the
output has programs.jsonl, a line for each program; remove lines to compile their programs again.
"""

import argparse
import pathlib
import sys

from benchmarks.pods import tables
from benchmarks.pods.grid import GRID
from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results, compiled
from t5x_lite.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(words: list[str] | None = None) -> int:
    """The exit status: 2 where a program could not be compiled."""
    arguments = _parser().parse_args(words)
    results = Results(arguments.output)
    names = list(GRID) if arguments.grid else arguments.rows
    is_complete = all([_compile(results, name, GRID[name].program) for name in names])
    rows = {name: results.find(GRID[name].program) for name in GRID}
    print(
        "\n".join(tables.grid_table(GRID, {name: found for name, found in rows.items() if found}))
    )
    return 0 if is_complete else 2


def _compile(results: Results, name: str, program: Program) -> bool:
    """Whether it is compiled, now or before."""
    if results.find(program) is not None:
        return True
    try:
        plan = compiled(program)
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr, flush=True)
        return False
    found = results.add(program, plan)
    print(f"{name}: compiled in {found['compile_seconds']:.0f} s", flush=True)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pods",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--grid", action="store_true", help="all rows of T5.1.1-XXL on 256 chips")
    which.add_argument(
        "--rows",
        type=lambda text: text.split(","),
        metavar="NAME,...",
        help=f"some of them: {', '.join(GRID)}",
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=_ROOT / "build" / "pods",
        metavar="DIR",
        help="results (default: build/pods)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
