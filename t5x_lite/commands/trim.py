"""trim-vocabulary, which leaves out what a corpus does not use."""

import argparse
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from t5x_lite import flags, own_files, registration
from t5x_lite.bounds import MAX_COUNT, MAX_VOCABULARY
from t5x_lite.compression.vocabulary_config import TrimVocabularyConfig
from t5x_lite.errors import UsageError

if TYPE_CHECKING:
    from t5x_lite.exporting.trim_vocabulary import Corpus

_COUNTS = {
    "min_count": (1, MAX_COUNT, "how often the corpus has to have a piece"),
    "answers": (0, MAX_COUNT, "inputs whose greedy answers are kept and compared"),
    "multiple_of": (1, MAX_VOCABULARY, "rows of the embedding; those of unused pieces fill it"),
}


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "a model without the pieces of its vocabulary that a corpus does not use"
    command = flags.add_command(commands, "trim-vocabulary", _trim, summary)
    command.epilog = (
        "example:\n  t5x_lite trim-vocabulary google/mt5-small --output=mt5_de \\\n"
        "      --data=pairs.tsv --inputs=en --targets=de --prefix='translate English to German:'"
        "\n\nSpecial tokens, sentinels and bytes stay. Each text of the corpus is cut again, and "
        "nothing is\nwritten where one has other pieces than before."
    )
    flags.add_model_and_output(command)
    command.add_argument(
        "--task", action="append", default=[], metavar="TASK", help="its texts; repeatable"
    )
    command.add_argument(
        "--split",
        type=flags.comma_list,
        default=["train"],
        metavar="NAME,NAME",
        help="of the tasks (default: train)",
    )
    command.add_argument(
        "--keep_characters",
        action="store_true",
        help="keep all pieces of one character, for texts unlike the corpus",
    )
    for name, (least, most, what) in _COUNTS.items():
        default = getattr(TrimVocabularyConfig, name)
        command.add_argument(
            f"--{name}",
            type=flags.between(least, most),
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    flags.add_own_files(command)
    flags.add_task_files(command)
    flags.add_data(command)


def _trim(arguments: argparse.Namespace) -> None:
    config = TrimVocabularyConfig(
        path=arguments.path,
        output=arguments.output,
        vocabulary=arguments.vocabulary,
        keep_characters=arguments.keep_characters,
        **{name: getattr(arguments, name) for name in _COUNTS},
    )
    corpus = _corpus(arguments)
    from t5x_lite.exporting.trim_vocabulary import trim_vocabulary

    trim_vocabulary(config, corpus)


def _corpus(arguments: argparse.Namespace) -> "Corpus":
    """The rows of all files, held out or not, and the texts of tasks."""
    if arguments.data is None and not arguments.task:
        raise UsageError(
            "t5x_lite trim-vocabulary needs a corpus of what the model is to read and write: "
            "--data=FILES or --task=NAME"
        )
    if arguments.task:
        imports = registration.flag_imports(arguments)
        registration.refuse_missing(imports)
        registration.prepare_data(arguments, imports, None, task_files=arguments.task_files)
    from t5x_lite.exporting.trim_vocabulary import Corpus

    return Corpus(
        texts=lambda: itertools.chain(_of_files(arguments), _of_tasks(arguments)),
        inputs=lambda: itertools.chain(
            _of_files(arguments, "inputs"), _of_tasks(arguments, "inputs")
        ),
    )


def _of_files(arguments: argparse.Namespace, feature: str | None = None) -> Iterator[str]:
    from t5x_lite.records.examples import ALL, VALIDATION, rows_of

    records = own_files.of_flags(arguments)
    splits = [] if records.paths is None else [ALL]
    if splits and isinstance(records.held_out, str):
        splits.append(VALIDATION)
    for example in itertools.chain.from_iterable(rows_of(records, split) for split in splits):
        texts = example if feature is None else (getattr(example, feature),)
        yield from filter(None, texts)


def _of_tasks(arguments: argparse.Namespace, feature: str | None = None) -> Iterator[str]:
    if not arguments.task:
        return
    from t5x_lite.data.raw_text import task_texts

    for name, split in itertools.product(arguments.task, arguments.split):
        yield from task_texts(name, split=split, feature=feature)
