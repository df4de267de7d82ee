"""cache, which makes the examples of tasks once for all jobs."""

import argparse
import functools
import os

from t5x_lite import flags, own_files, registration
from t5x_lite.bounds import MAX_COUNT, SEED

_MAX_SHARDS = 99_999  # five digits in the names of files
# Each holds a TensorFlow.
_MOST_WORKERS = 8


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "make the examples of tasks once, in SeqIO's layout, which all jobs then read"
    command = flags.add_command(commands, "cache", _cache, summary)
    command.add_argument(
        "task",
        nargs="+",
        metavar="TASK_OR_MIXTURE",
        help="with a CacheDatasetPlaceholder among its preprocessors; of a mixture each task",
    )
    command.add_argument(
        "--output_cache_dir",
        required=True,
        type=flags.place,
        metavar="DIR",
        help="each task gets a folder in it; the same command goes on where one was ended",
    )
    command.add_argument(
        "--split",
        type=flags.comma_list,
        default=[],
        metavar="NAME,NAME",
        help="(default: all that a task has)",
    )
    command.add_argument(
        "--num_shards",
        type=flags.between(1, _MAX_SHARDS),
        metavar="N",
        help="files of each split (default: as many as its source has, 16 to 1024); a source of "
        "fewer files is read more than once",
    )
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    command.add_argument(
        "--num_workers",
        type=flags.between(1, MAX_COUNT),
        default=workers,
        metavar="N",
        help="processes; the bytes that are written do not depend on it (default: as many as "
        f"cores, {_MOST_WORKERS} at most)",
    )
    command.add_argument(
        "--seed",
        type=flags.between(*SEED),
        default=0,
        metavar="N",
        help="of random preprocessors before the placeholder (default: 0)",
    )
    command.add_argument(
        "--vocabulary", type=flags.place, metavar="PATH", help="SentencePiece model or folder"
    )
    flags.add_task_files(command)
    flags.add_data(command)
    flags.add_own_files(command)


def _cache(arguments: argparse.Namespace) -> None:
    registration.refuse_missing(registration.flag_imports(arguments))
    _register(arguments)
    from t5x_lite.data.caching import cache_tasks

    cache_tasks(
        arguments.task,
        arguments.output_cache_dir,
        register=functools.partial(_register, arguments),
        num_workers=arguments.num_workers,
        splits=arguments.split,
        num_shards=arguments.num_shards,
        seed=arguments.seed,
    )


def _register(arguments: argparse.Namespace) -> None:
    """The tasks, in this process or in one that it starts."""
    registration.prepare_data(
        arguments,
        registration.flag_imports(arguments),
        arguments.vocabulary,
        task_files=arguments.task_files,
        records=own_files.of_flags(arguments),
    )
