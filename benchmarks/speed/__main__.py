"""How long it takes here and with peers, in turns in one run, and how far the machine's limit is.

    python -m benchmarks.speed train greedy beam                # all arms; docs/speed.md has more
    python -m benchmarks.speed train --arms=ours,torch_eager --json=train.json
    python -m benchmarks.speed greedy --size=base --batch=32 --repeats=3
    python -m benchmarks.speed train greedy beam score --size=gpt2/small
    python -m benchmarks.speed --output=docs/speed --publish=docs       # docs/speed.md anew

Peers come with `pip install -e '.[speed]'`. All arms run the same model with the same number of
threads, each in a process of its own that waits while others run; before times are taken, losses or
tokens are compared. The file of --json is {arm: {"median": seconds, "all": [of each round]}}; the
folder of the output has measured.jsonl with all that is known of each run. Leave the machine alone
meanwhile: threads of PyTorch that wait for each other on busy cores take many times as long.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence

from benchmarks.speed import page, rounds, table, tables
from benchmarks.speed.checks import Disagreement
from benchmarks.speed.results import Results
from benchmarks.speed.settings import Settings
from benchmarks.speed.table import COMMANDS
from t5x_lite.errors import UserError

_COUNTS = ("batch", "inputs", "targets", "repeats", "examples")
_PATHS = ("folder", "t5", "tfds_data_dir", "vocabulary")
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 2 for what cannot be run as it was asked for, 1 where arms do not agree."""
    try:
        _run(_parser().parse_args(words))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except Disagreement as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(asked: argparse.Namespace) -> None:
    results = Results(asked.output)
    if asked.json and len(asked.commands) != 1:
        raise UserError(f"--json={asked.json} holds one command: given are {len(asked.commands)}.")
    table.check_size(asked.commands, asked.size or Settings.size)
    for command in asked.commands:
        measured = rounds.measure(command, asked.arms, _settings(command, asked))
        results.add(measured)
        print("\n".join(tables.command_table([measured])), flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(measured.as_json(), indent=2) + "\n")
    if asked.publish:
        page.publish(results, asked.publish)


def _settings(command: str, asked: argparse.Namespace) -> Settings:
    """What was given, else the command's own, else everyone's."""
    names = ("size", *_COUNTS, *_PATHS)
    given = {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}
    return Settings(**{**COMMANDS[command].settings, **given})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known, build = Settings(), _ROOT / "build" / "speed"
    parser.add_argument(
        "commands",
        nargs="*",
        type=_command,
        metavar="COMMAND",
        help="; ".join(f"{name}: {each.what}" for name, each in COMMANDS.items()),
    )
    parser.add_argument(
        "--arms", type=_names, metavar="ARM,...", help="default: all that there are"
    )
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="of one command")
    parser.add_argument(
        "--size", help="of gin/models/t5_1_1 (default: small), or gpt2/ and one of gin/models/gpt2"
    )
    for name in _COUNTS:
        default = getattr(known, name)
        parser.add_argument(f"--{name}", type=_count, help=f"default: {default}; of input others")
    parser.add_argument("--folder", default=str(build), help="of models and logs (build/speed)")
    for name in _PATHS[1:]:
        parser.add_argument(f"--{name}", metavar="PATH", help="what input reads")
    parser.add_argument(
        "--output", type=pathlib.Path, default=build, help="of measured.jsonl (build/speed)"
    )
    parser.add_argument(
        "--publish", type=pathlib.Path, metavar="DOCS", help="a folder with speed.md to write into"
    )
    return parser


def _command(text: str) -> str:
    if text not in COMMANDS:
        raise argparse.ArgumentTypeError(f"{text!r} is none; there are {', '.join(COMMANDS)}")
    return text


def _names(text: str) -> list[str]:
    return text.split(",")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: needed is a number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
