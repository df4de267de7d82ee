"""Training steps compiled for TPU pods that need not be there; libtpu is needed (make pods).

    python -m benchmarks.pods --grid                   # T5.1.1-XXL on 256 chips, beside T5X's rows
    python -m benchmarks.pods --scaling                # every size and chip, 4 to 1,024 chips
    python -m benchmarks.pods --rows=256x1_full_1,weak_16
    python -m benchmarks.pods --estimates              # of what is compiled, by plan --advise
    python -m benchmarks.pods --output=docs/pods --publish=docs     # docs/pods.md of what is known

What is compiled is not compiled again, so that a run that was killed goes on. The folder of the
output has programs.jsonl, a line for each program; remove lines to compile their programs again.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping

from benchmarks.pods import estimates, page, tables
from benchmarks.pods.grid import GRID
from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results, compiled
from benchmarks.pods.scaling import SCALING
from t5x_lite.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS: Mapping[str, Program] = {
    **{name: row.program for name, row in GRID.items()},
    **SCALING,
}


def main(words: list[str] | None = None) -> int:
    """The exit status: 2 where a program could not be compiled."""
    arguments = _parser().parse_args(words)
    results = Results(arguments.output)
    names = [
        *(GRID if arguments.grid else ()),
        *(SCALING if arguments.scaling else ()),
        *arguments.rows,
    ]
    is_complete = all([_compile(results, name, PROGRAMS[name]) for name in names])
    if arguments.estimates:
        try:
            estimates.add(arguments.output, PROGRAMS, results)
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
    known = estimates.read(arguments.output)
    for name, lines in tables.all_tables(results, known).items():
        print("\n".join(["", name, *lines]))
    if arguments.publish:
        page.publish(results, known, arguments.publish)
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
    parser.add_argument("--grid", action="store_true", help="T5.1.1-XXL on 256 chips")
    parser.add_argument("--scaling", action="store_true", help="sizes, chips, lengths")
    parser.add_argument(
        "--estimates", action="store_true", help="what --advise says of all that is compiled"
    )
    parser.add_argument(
        "--rows", type=_names, default=(), metavar="NAME,...", help=f"of {', '.join(PROGRAMS)}"
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=_ROOT / "build" / "pods",
        metavar="DIR",
        help="results (default: build/pods)",
    )
    parser.add_argument(
        "--publish", type=pathlib.Path, metavar="DOCS", help="a folder with pods.md to write into"
    )
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PROGRAMS:
            raise argparse.ArgumentTypeError(
                f"{name!r} is no program; there are {', '.join(PROGRAMS)}"
            )
    return names


if __name__ == "__main__":
    sys.exit(main())
