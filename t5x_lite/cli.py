"""The command line: words -> parsed flags -> one command, and how its mistakes are shown.

The commands are in commands/, a group of them a file; flags.py has what several share. Heavy
imports stand inside the functions that they run, so that `--help` and a mistake in a gin file show
at once.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from t5x_lite import errors, flags, jobs, storage
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.commands import (
    augment,
    cache,
    corpus,
    data,
    export,
    plan,
    results,
    run,
    sizes,
    trim,
)
from t5x_lite.config.errors import did_you_mean
from t5x_lite.errors import UserError
from t5x_lite.stability.errors import Unhealthy
from t5x_lite.training.errors import Interrupted

Commands = Mapping[str, argparse.ArgumentParser]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; its exit status: 0, 2 for what the user can put right, 3 for training that
    became unhealthy, 75 for training that was asked to stop and has nothing unsaved, 130 after
    Ctrl-C.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    show_traceback = "--traceback" in words
    try:
        arguments = _parse(words)
        with storage.os_errors():
            return arguments.run(arguments) or 0
    except (Unhealthy, Interrupted) as error:  # of all processes
        if show_traceback:
            raise
        print(f"t5x_lite: error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        # Who read the output has seen enough (`| head`); Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        if show_traceback:
            _wait_for_no_one(1)
            raise
        return _say(error)
    except KeyboardInterrupt:
        print("t5x_lite: interrupted", file=sys.stderr)
        return _wait_for_no_one(130)
    except Exception as error:
        if not show_traceback and (behind := errors.behind(error)) is not error:
            return _say(behind)
        if show_traceback or not errors.is_out_of_memory(error):
            _wait_for_no_one(1, is_expected=False)
            raise
        print(f"t5x_lite: error: {errors.OUT_OF_MEMORY} ({_first_line(error)})", file=sys.stderr)
        return _wait_for_no_one(2)
    except BaseException:
        _wait_for_no_one(1, is_expected=False)
        raise


def _say(error: Exception) -> int:
    print(f"t5x_lite: error: {errors.message(error)}", file=sys.stderr)
    if isinstance(error, ModelMismatchError):
        print(jobs.fitting_gin_file(error.stored_model), file=sys.stderr)
    return _wait_for_no_one(2)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]


def _wait_for_no_one(status: int, *, is_expected: bool = True) -> int:
    """The exit status; an error may be of this process alone, if it is one of several."""
    processes = sys.modules.get("t5x_lite.partitioning.processes")
    if processes is not None:
        processes.leave_soon(status, is_expected=is_expected)
    return status


# Parsing.


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser, commands = _parser()
    for word in words:
        if word.endswith("=--"):  # argparse gives an empty list in place of such a value
            raise errors.UsageError(f"{word}: -- is no value")
    # --gin.NAME=VALUE is --gin_bindings with a shorter name; the value tells which it was.
    rewritten = [f"--gin_bindings={word}" if word.startswith(flags.GIN) else word for word in words]
    arguments, unknown = parser.parse_known_args(rewritten)
    if unknown:
        name = " ".join(filter(None, (arguments.command, getattr(arguments, "action", None))))
        known = commands[name]._option_string_actions
        messages = []
        for word in unknown:
            flag = word.partition("=")[0]
            hint = did_you_mean(flag, known)
            if flag.startswith("--") and flag[2:].replace("_", "").isupper():
                hint = f"; did you mean {flags.GIN}{word[2:]}?"
            messages.append(f"{word}{hint}")
        raise errors.UsageError(f"t5x_lite {name} does not know {', '.join(messages)}")
    arguments.words = words
    return arguments


def _parser() -> tuple[argparse.ArgumentParser, Commands]:
    parser = flags.Parser(
        prog="t5x_lite", description="Text-to-text transfer learning in JAX.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (run, plan, data, cache, corpus, results, export, trim, sizes, augment):
        group.add(commands)
    known = _named(commands)
    for command in known.values():
        command.add_argument("--traceback", action="store_true", help="show where an error arose")
    return parser, known


def _named(commands: flags.Commands, before: str = "") -> dict[str, argparse.ArgumentParser]:
    """All that can be run, such as `train` and `corpus build`."""
    found: dict[str, argparse.ArgumentParser] = {}
    for name, command in commands.choices.items():
        inner = [each for each in command._actions if isinstance(each, argparse._SubParsersAction)]
        if inner:
            found |= _named(inner[0], f"{before}{name} ")
        else:
            found[before + name] = command
    return found
