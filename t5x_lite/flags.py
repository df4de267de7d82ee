"""The flags that commands share: groups of them, and the values that they take."""

import argparse
import ast
import contextlib
import os
from collections.abc import Callable
from typing import NoReturn, TypeAlias, TypeVar

from t5x_lite import errors
from t5x_lite.bounds import MAX_COUNT, SEED
from t5x_lite.data.config import FewShotConfig
from t5x_lite.places import problem_of
from t5x_lite.records.config import BadRows

Number = TypeVar("Number", int, float)

GIN = "--gin."
_SECONDS_A_DAY = 24 * 3600


class Parser(argparse.ArgumentParser):
    """A command line whose mistakes are said as all other mistakes are."""

    def error(self, message: str) -> NoReturn:
        """One line, as for all other mistakes, in place of a page of usage."""
        raise errors.UsageError(f"{message} (see {self.prog} --help)")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    summary: str,
) -> argparse.ArgumentParser:
    """A command and the function that it runs."""
    command = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=run)
    return command


def add_topology(command: argparse.ArgumentParser, *, required: bool) -> None:
    """The machine that a plan is for."""
    command.add_argument(
        "--topology",
        required=required,
        metavar="NAME",
        help="plan for a slice: v5e-256, v6e-256, v4-64, v5p-128, tpu7x-128, v5e:16x16, or cpu:8",
    )
    command.add_argument(
        "--slices",
        type=between(1, MAX_COUNT),
        default=1,
        metavar="N",
        help="so many of them (default: 1)",
    )


def add_job(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int | None],
    summary: str,
) -> argparse.ArgumentParser:
    """A command whose job is configured by gin files and flags."""
    command = add_command(commands, name, run, summary)
    example = "--gin_file=models/t5_1_1/small.gin --gin_file=recipes/pretrain.gin"
    if name in ("eval", "infer"):
        example = "--gin.CHECKPOINT_PATH=/runs/one"
    dry_run = "" if name == "check" else " --dry_run"
    command.epilog = (
        f"example:\n  t5x_lite {name} {example} --gin.MIXTURE_OR_TASK_NAME=my_task{dry_run}"
    )
    if name in ("eval", "infer"):
        command.epilog += (
            f"\n\nWithout a recipe it is recipes/{name}.gin, and what is not given is what the "
            "checkpoint\nsays of its run: task, lengths, modules, directory."
        )
    add_configuration(command, dry_run=name != "check")
    add_data(command)
    if name != "train":
        add_no_imports(command)
    add_devices(command)
    return command


# Values.


def override(text: str) -> tuple[str, str]:
    """(flag as the user knows it, NAME=VALUE)."""
    if text.startswith(GIN):
        if "=" not in text:
            raise argparse.ArgumentTypeError(f"needed is {text}=VALUE, without a space")
        return text.partition("=")[0], text.removeprefix(GIN)
    return "--gin_bindings", text


def comma_list(text: str) -> list[str]:
    """Parts between commas."""
    return [part for part in text.split(",") if part]


def layers(text: str) -> tuple[int, ...]:
    """Numbers of layers between commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        message = f"{text!r}: needed are whole numbers between commas, such as 1,3,5"
        raise argparse.ArgumentTypeError(message) from error


def place(text: str) -> str:
    """A path, of files that may be there."""
    if problem := problem_of(text):
        raise argparse.ArgumentTypeError(f"{text!r}: {problem}")
    return text


def new_file(text: str) -> str:
    """The path of a file that will be written when the work is done."""
    if "://" in place(text):
        return text
    folder = os.path.dirname(os.path.abspath(text))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: {folder} is no folder to write into")
    if os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; needed is the name of a file")
    return text


def folders(text: str) -> list[str]:
    """Folders that are there, separated by commas."""
    found = [place(part) for part in comma_list(text)]
    if missing := [folder for folder in found if "://" not in folder and not os.path.isdir(folder)]:
        raise argparse.ArgumentTypeError(f"{', '.join(missing)}: there is no such folder")
    return found


def between(
    least: float | int, most: float | int, kind: type[Number] = int
) -> Callable[[str], Number]:
    """Numbers within bounds, both included."""

    def number(text: str) -> Number:
        with contextlib.suppress(ValueError):
            if least <= (value := kind(text)) <= most:
                return value
        needed = f"needed is a number from {least:,} to {most:,}; given {text!r}"
        raise argparse.ArgumentTypeError(needed)

    return number


def numbers(text: str) -> tuple[float, ...]:
    """Positive numbers between commas."""
    return tuple(between(0.001, 1_000_000, float)(part) for part in comma_list(text))


def lengths(text: str) -> dict[str, int]:
    """`inputs=64,targets=32`, or the mapping that gin wants."""
    try:
        if text.startswith("{"):
            return {str(name): int(length) for name, length in ast.literal_eval(text).items()}
        pairs = [part.split("=") for part in comma_list(text)]
        return {name: int(length) for name, length in pairs}
    except (ValueError, SyntaxError):
        message = f"needed is inputs=64,targets=32; given {text!r}"
        raise argparse.ArgumentTypeError(message) from None


def places(text: str) -> str:
    """Paths between commas, of files that may be there."""
    return ",".join(place(part) for part in comma_list(text))


def held_out(text: str) -> float | str:
    """A share, or paths."""
    try:
        return float(text)
    except ValueError:
        return places(text)


# Groups of flags.


def add_configuration(command: argparse.ArgumentParser, *, dry_run: bool) -> None:
    """Gin files and what overrides them."""
    gin = command.add_argument_group("configuration")
    gin.add_argument(
        "--gin_file",
        action="append",
        default=[],
        metavar="FILE",
        help="repeatable; a later one overrides; those of t5x_lite are found by themselves",
    )
    gin.add_argument(
        "--gin_bindings",
        action="append",
        default=[],
        type=override,
        metavar="NAME=VALUE",
        help="the same as --gin.NAME=VALUE: overrides all files, needs no quotes",
    )
    gin.add_argument(
        "--gin_search_paths",
        type=folders,
        default=["."],
        metavar="DIR,DIR",
        help="where gin files are looked for (default: the working directory)",
    )
    if dry_run:
        gin.add_argument(
            "--dry_run",
            action="store_true",
            help="check and print the configuration, start nothing",
        )


def add_model_and_output(command: argparse.ArgumentParser) -> None:
    """A trained model that is read, and the folder that something made of it is written into."""
    command.add_argument(
        "path",
        type=place,
        metavar="CHECKPOINT",
        help="or a model directory (its newest), or a Hugging Face directory",
    )
    command.add_argument(
        "--output",
        required=True,
        type=place,
        metavar="DIR",
        help="a new directory, or an empty one",
    )
    command.add_argument(
        "--vocabulary",
        type=place,
        metavar="PATH",
        help="SentencePiece model, folder or 'bytes', if the checkpoint has none",
    )


def measure_as_eval(command: argparse.ArgumentParser) -> None:
    """What a command measures by is a job of `eval` on the devices of one process."""
    command.set_defaults(
        job="eval",
        dry_run=False,
        cpu_devices=None,
        coordinator_address=None,
        process_count=1,
        process_index=None,
        initialization_timeout=0,
    )


def add_data(command: argparse.ArgumentParser) -> None:
    """Where tasks and their data come from."""
    data = command.add_argument_group("data")
    data.add_argument(
        "--module_import",
        action="append",
        default=[],
        metavar="MODULE",
        help="module that registers tasks, found from the working directory; repeatable",
    )
    data.add_argument(
        "--tfds_data_dir", type=place, metavar="DIR", help="where TFDS keeps its data sets"
    )
    data.add_argument(
        "--seqio_additional_cache_dirs",
        type=comma_list,
        default=[],
        metavar="DIR,DIR",
        help="where cached tasks are",
    )


def add_own_files(command: argparse.ArgumentParser) -> None:
    """The files, and what is made of their rows."""
    group = command.add_argument_group("files of your own, in place of a task")
    group.add_argument(
        "--data",
        type=places,
        metavar="PATHS",
        help="txt, tsv, csv, jsonl, parquet or arrow, also .gz and .zst: files, folders or quoted "
        "patterns between commas; the task is named `data`",
    )
    group.add_argument("--field", metavar="NAME", help="the text of each row (default: text)")
    group.add_argument(
        "--objective", metavar="NAME", help="makes examples of it (default: span_corruption)"
    )
    group.add_argument("--inputs", metavar="NAME", help="or rows are pairs: the field to read")
    group.add_argument("--targets", metavar="NAME", help="and the one to write or to tell")
    group.add_argument("--prefix", metavar="TEXT", help="in front of inputs, with a blank behind")
    group.add_argument(
        "--labels", type=comma_list, metavar="NAME,NAME", help="all that targets may be"
    )
    group.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="accuracy (default), bleu, matthews, pearson, rouge, sequence_accuracy, spearman",
    )
    group.add_argument(
        "--held_out",
        type=held_out,
        metavar="SHARE",
        help="of the rows, for validation (default: 0.02), or other files that are",
    )
    group.add_argument(
        "--on_bad_row",
        choices=[each.value for each in BadRows],
        help="a row that cannot be used ends the job (default), or is left out and counted",
    )


def add_task_files(command: argparse.ArgumentParser) -> None:
    """What jobs are told by TASK_FILES."""
    command.add_argument(
        "--task_files",
        type=place,
        metavar="DIR,DIR",
        help="read downstream tasks of t5x_lite from the original files in these folders",
    )


def add_few_shot(command: argparse.ArgumentParser) -> None:
    """What jobs are told by FEW_SHOT_K, FEW_SHOT_SEED and FEW_SHOT_SHARED."""
    group = command.add_argument_group("prompts of t5x_lite.tasks.few_shot")
    group.add_argument(
        "--few_shot_k", type=between(0, MAX_COUNT), default=0, metavar="K", help="demonstrations"
    )
    group.add_argument(
        "--few_shot_seed", type=between(*SEED), default=0, metavar="N", help="of their draw"
    )
    group.add_argument("--few_shot_shared", action="store_true", help="the same for all items")


def few_shot_of(arguments: argparse.Namespace) -> FewShotConfig:
    """What these flags say."""
    return FewShotConfig(
        k=arguments.few_shot_k, seed=arguments.few_shot_seed, shared=arguments.few_shot_shared
    )


def add_no_imports(command: argparse.ArgumentParser) -> None:
    """Whether what a checkpoint names is imported."""
    command.add_argument(
        "--no_checkpoint_imports",
        action="store_true",
        help="refuse to import modules because a checkpoint says that its run did",
    )


def add_devices(command: argparse.ArgumentParser) -> None:
    """Which devices and processes there are."""
    devices = command.add_argument_group("devices and processes")
    devices.add_argument("--cpu_devices", type=int, metavar="N", help="simulate N devices on CPU")
    devices.add_argument(
        "--coordinator_address",
        metavar="HOST:PORT",
        help="of process 0, if there are several; TPU VMs and SLURM need none of these three",
    )
    devices.add_argument(
        "--process_count",
        type=int,
        metavar="N",
        help="1: alone, though a launcher started several",
    )
    devices.add_argument("--process_index", type=int, metavar="I")
    devices.add_argument(
        "--initialization_timeout",
        type=between(1, _SECONDS_A_DAY, float),
        default=300,
        metavar="SECONDS",
        help="how long to wait for the other processes (default: 300)",
    )
    devices.add_argument(
        "--multiprocess_gpu",
        action="store_true",
        help="as in T5X; here the three flags above are enough",
    )
    devices.add_argument("--logtostderr", action="store_true", help=argparse.SUPPRESS)


def add_shard(command: argparse.ArgumentParser) -> None:
    """Which part of the work is this job's."""
    command.add_argument(
        "--shard_id", type=int, metavar="I", help="this job's shard of NUM_SHARDS (SHARD_ID)"
    )
