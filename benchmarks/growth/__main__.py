"""How costs grow: time and memory of training, data, checkpoints, decoding by what is varied.

    python -m benchmarks.growth                                   # all curves, into build/growth
    python -m benchmarks.growth length decoded                    # some of them
    python -m benchmarks.growth --output=docs/growth --publish=docs         # docs/growth.md anew

Each point is measured in a process of its own, its curve from small to large, and kept as a line of
measured.jsonl in the folder of the output. Leave the machine alone meanwhile.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.growth import page, points
from benchmarks.growth.curves import CURVES
from t5x_lite.errors import UserError

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 2 for what cannot be run as it was asked for."""
    asked = _parser().parse_args(words)
    try:
        for name in asked.curves or CURVES:
            found = points.measure(name, say=lambda line: print(line, flush=True))
            points.keep(asked.output, name, found)
        if asked.publish:
            page.publish(asked.output, asked.publish)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    curves = "; ".join(f"{name}: {curve.title}" for name, curve in CURVES.items())
    parser.add_argument("curves", nargs="*", type=_curve, metavar="CURVE", help=curves)
    parser.add_argument(
        "--output", type=pathlib.Path, default=_ROOT / "build" / "growth", metavar="DIR"
    )
    parser.add_argument("--publish", type=pathlib.Path, metavar="DIR", help="where growth.md lies")
    return parser


def _curve(name: str) -> str:
    if name not in CURVES:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(CURVES)}")
    return name


if __name__ == "__main__":
    sys.exit(main())
