"""inspect and vocab, which look at data, at text and at what checkpoints hold."""

import argparse
import functools
import os
from collections.abc import Callable, Iterable

from t5x_lite import errors, flags, own_files, registration
from t5x_lite.bounds import MAX_COUNT, MAX_VOCABULARY, SEED


def add(commands: flags.Commands) -> None:
    """Makes them known to the parser."""
    _add_inspect(commands)
    _add_vocab(commands)


def _add_inspect(commands: flags.Commands) -> None:
    summary = "show examples and statistics of a task or mixture, or what a checkpoint holds"
    command = flags.add_command(commands, "inspect", _inspect, summary)
    command.add_argument(
        "task",
        metavar="TASK_OR_MIXTURE",
        help="or the path of a checkpoint, a model directory (its newest) or a "
        "Hugging Face directory, which needs no other flag; `data` with --data=FILES",
    )
    command.add_argument("--split", default="train")
    command.add_argument(
        "--examples",
        type=flags.between(0, MAX_COUNT),
        metavar="N",
        help="shown of each task (default: 3 of a task, 1 of each task of a mixture)",
    )
    command.add_argument(
        "--sample",
        type=flags.between(0, MAX_COUNT),
        default=2000,
        metavar="N",
        help="examples of each task that are read for the numbers (default: 2000; 0: no numbers)",
    )
    command.add_argument(
        "--lengths",
        type=flags.lengths,
        metavar="inputs=64,targets=32",
        help="task feature lengths (default: 512 each)",
    )
    command.add_argument(
        "--sparsity",
        action="store_true",
        help="of a checkpoint: how many weights of each layer are 0, as is shown of one that was "
        "pruned",
    )
    command.add_argument("--ids", action="store_true", help="show ids below their text")
    command.add_argument(
        "--html", type=flags.new_file, metavar="FILE", help="write it as one page with charts, too"
    )
    command.add_argument("--seed", type=flags.between(*SEED), default=0, metavar="N")
    command.add_argument(
        "--vocabulary", type=flags.place, metavar="PATH", help="SentencePiece model or folder"
    )
    flags.add_task_files(command)
    flags.add_few_shot(command)
    flags.add_data(command)
    flags.add_own_files(command)


def _inspect(arguments: argparse.Namespace) -> None:
    # Names of tasks have no slash; a folder beside may have the name of one.
    is_path = "/" in arguments.task
    if is_path or os.path.isdir(arguments.task):
        from t5x_lite.checkpoints import inspect as checkpoint_inspect

        if is_path or checkpoint_inspect.is_inspectable(arguments.task):
            print(checkpoint_inspect.inspect_checkpoint(arguments.task))
            _show_zeros(arguments)
            return
    imports = registration.flag_imports(arguments)
    registration.refuse_missing(imports)
    registration.prepare_data(
        arguments,
        imports,
        arguments.vocabulary,
        task_files=arguments.task_files,
        few_shot=flags.few_shot_of(arguments),
        records=own_files.of_flags(arguments),
    )
    from t5x_lite.inspection.inspect import inspect_task

    inspect_task(
        arguments.task,
        split=arguments.split,
        num_examples=arguments.examples,
        max_sample=arguments.sample,
        task_feature_lengths=arguments.lengths,
        seed=arguments.seed,
        ids=arguments.ids,
        html=arguments.html,
    )


def _show_zeros(arguments: argparse.Namespace) -> None:
    from t5x_lite.compression import report

    if arguments.sparsity or report.was_pruned(arguments.task):
        print(f"\n{report.sparsity(arguments.task)}")


def _add_vocab(commands: flags.Commands) -> None:
    summary = "train a vocabulary on tasks or text files: SentencePiece, byte-level BPE, WordPiece"
    command = flags.add_command(commands, "vocab", _vocab, summary)
    command.add_argument(
        "--output",
        required=True,
        type=flags.place,
        metavar="PATH",
        help="the .model to write, of a bpe or wordpiece the folder",
    )
    command.add_argument(
        "--kind",
        choices=["sentencepiece", "bpe", "wordpiece"],
        default="sentencepiece",
        help="T5's, GPT-2's or BERT's (default: sentencepiece)",
    )
    command.add_argument(
        "--cased",
        action="store_true",
        help="of a wordpiece: capitals and accents count; others keep them in any case",
    )
    command.add_argument(
        "--size",
        type=flags.between(1, MAX_VOCABULARY),
        default=32_000,
        metavar="N",
        help="pieces, without the 100 sentinels of SentencePiece (default: 32000)",
    )
    command.add_argument(
        "--task", action="append", default=[], metavar="TASK", help="its text; repeatable"
    )
    command.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="GLOB",
        help="lines of text, or rows of csv, tsv, jsonl, parquet or arrow; repeatable",
    )
    command.add_argument(
        "--field",
        action="append",
        metavar="NAME",
        help="of the rows, the text; repeatable (default: text)",
    )
    command.add_argument(
        "--weights",
        type=flags.numbers,
        default=(),
        metavar="10,1,1",
        help="how many lines of each --file and then of each --task, in relation to the others",
    )
    command.add_argument(
        "--byte_fallback",
        action="store_true",
        help="of a sentencepiece: 256 of the pieces are bytes, of which all else is made",
    )
    command.add_argument("--split", default="train", help="of the tasks (default: train)")
    command.add_argument(
        "--max_lines",
        type=flags.between(1, MAX_COUNT),
        default=200_000,
        metavar="N",
        help="sample of each task or GLOB",
    )
    command.add_argument(
        "--seed", type=flags.between(*SEED), default=0, metavar="N", help="of the sample"
    )
    flags.add_task_files(command)
    flags.add_data(command)


def _vocab(arguments: argparse.Namespace) -> None:
    from t5x_lite.records.texts import field_texts
    from t5x_lite.text.byte_pair_training import train_byte_pair
    from t5x_lite.text.training import train_sentencepiece
    from t5x_lite.text.word_piece_training import train_word_piece

    if arguments.cased and arguments.kind != "wordpiece":
        raise errors.UsageError(
            f"--cased is for --kind=wordpiece; {arguments.kind} keeps capitals in any case"
        )
    if arguments.byte_fallback and arguments.kind != "sentencepiece":
        raise errors.UsageError(
            f"--byte_fallback is for --kind=sentencepiece; a {arguments.kind} "
            + ("is made of bytes already" if arguments.kind == "bpe" else "has none")
        )
    sources: dict[str, Iterable[str]] = {
        pattern: field_texts(pattern, arguments.field) for pattern in arguments.file
    }
    if arguments.task:
        imports = registration.flag_imports(arguments)
        registration.refuse_missing(imports)
        registration.prepare_data(arguments, imports, None, task_files=arguments.task_files)
        from t5x_lite.data.raw_text import task_texts

        sources |= {name: task_texts(name, split=arguments.split) for name in arguments.task}
    if not sources:
        raise errors.UsageError("t5x_lite vocab needs text: --task=NAME or --file=GLOB")
    trainers: dict[str, Callable[..., object]] = {
        "sentencepiece": functools.partial(
            train_sentencepiece, byte_fallback=arguments.byte_fallback
        ),
        "bpe": train_byte_pair,
        "wordpiece": functools.partial(train_word_piece, cased=arguments.cased),
    }
    report = trainers[arguments.kind](
        sources,
        arguments.output,
        vocab_size=arguments.size,
        max_lines_per_source=arguments.max_lines,
        seed=arguments.seed,
        weights=arguments.weights,
    )
    print(report)
