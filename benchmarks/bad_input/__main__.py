"""Bad input by the thousand: gin files, flags, vocabularies, models, checkpoints, lines, tasks.

    python -m benchmarks.bad_input --cases=2000 --seed=1

Valid files and flags are mutated by hypothesis, and each case is tried in this process as a user
would: a command that stops before work begins, or the function that reads the file. A case is taken
or ends in one clear error; a traceback, or half a minute without an end, is a defect, shown with
what gave it. Each kind has a process of its own: should one die, that is a defect as well.
"""

import argparse
import collections
import pathlib
import sys
import tempfile
import time
from collections.abc import Mapping

from benchmarks.bad_input import kinds
from benchmarks.bad_input.campaign import in_a_process
from benchmarks.bad_input.outcomes import Outcome


def main(words: list[str] | None = None) -> int:
    """The exit status: 1 if any case was a defect."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", action="append", default=[], help="only this one; repeatable")
    arguments = parser.parse_args(words)
    print("| kind | cases | taken | clear errors | tracebacks | no end | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    began = time.monotonic()
    total: collections.Counter[Outcome] = collections.Counter()
    defects: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.kind or kinds.NAMES:
            kind_began = time.monotonic()
            counts, shown = in_a_process(
                name, arguments.cases, arguments.seed, pathlib.Path(folder)
            )
            print(_row(name, counts, time.monotonic() - kind_began), flush=True)
            total += collections.Counter(counts)
            defects += shown
    print(_row("all", total, time.monotonic() - began))
    print("\n".join(defects))
    return 1 if defects else 0


def _row(name: str, counts: Mapping[Outcome, int], seconds: float) -> str:
    cells = [sum(counts.values()), *(counts.get(outcome, 0) for outcome in Outcome)]
    return f"| {name} | {' | '.join(f'{cell:,}' for cell in cells)} | {seconds:,.0f} |"


if __name__ == "__main__":
    sys.exit(main())
