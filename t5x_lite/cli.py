"""The command line: flags -> a checked configuration -> one function call.

A new command is one `_add_...` function, listed in `_parser`, and the function it runs; flags.py
has what several share. Heavy imports stand inside those, so that `--help` and a mistake in a gin
file show at once.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from t5x_lite import errors, flags, jobs, registration, storage
from t5x_lite.bounds import MAX_COUNT, MAX_VOCABULARY, SEED
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.config.errors import did_you_mean
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.stability.errors import Unhealthy
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.errors import Interrupted
from t5x_lite.training.signals import Signals

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
        print(f"t5x_lite: error: {errors.message(error)}", file=sys.stderr)
        if isinstance(error, ModelMismatchError):
            print(jobs.fitting_gin_file(error.stored_model), file=sys.stderr)
        return _wait_for_no_one(2)
    except KeyboardInterrupt:
        print("t5x_lite: interrupted", file=sys.stderr)
        return _wait_for_no_one(130)
    except Exception as error:
        if show_traceback or not errors.is_out_of_memory(error):
            _wait_for_no_one(1, is_expected=False)
            raise
        print(f"t5x_lite: error: {errors.OUT_OF_MEMORY} ({_first_line(error)})", file=sys.stderr)
        return _wait_for_no_one(2)
    except BaseException:
        _wait_for_no_one(1, is_expected=False)
        raise


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
        known = commands[arguments.command]._option_string_actions
        messages = []
        for word in unknown:
            flag = word.partition("=")[0]
            hint = did_you_mean(flag, known)
            if flag.startswith("--") and flag[2:].replace("_", "").isupper():
                hint = f"; did you mean {flags.GIN}{word[2:]}?"
            messages.append(f"{word}{hint}")
        raise errors.UsageError(f"t5x_lite {arguments.command} does not know {', '.join(messages)}")
    arguments.words = words
    return arguments


def _parser() -> tuple[argparse.ArgumentParser, Commands]:
    parser = flags.Parser(
        prog="t5x_lite", description="Text-to-text transfer learning in JAX.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    flags.add_job(commands, "train", _train, "train a model on a task or mixture")
    flags.add_job(commands, "eval", _eval, "metrics of a checkpoint on each task of a mixture")
    _add_infer(commands)
    _add_check(commands)
    _add_inspect(commands)
    _add_vocab(commands)
    _add_compare(commands)
    _add_report(commands)
    _add_replay(commands)
    for command in commands.choices.values():
        command.add_argument("--traceback", action="store_true", help="show where an error arose")
    return parser, commands.choices


def _add_infer(commands: flags.Commands) -> None:
    summary = "what a checkpoint generates for a task or a file, or their scores or embeddings"
    flags.add_shard(flags.add_job(commands, "infer", _infer, summary))


def _add_check(commands: flags.Commands) -> None:
    summary = "all that can be wrong with a job, each with its fix, before a device is held"
    command = flags.add_job(commands, "check", _check, summary)
    command.add_argument(
        "--job",
        choices=("train", "eval", "infer"),
        default="train",
        help="whose flags the others are (default: train)",
    )
    flags.add_shard(command)


# Jobs: train, eval, infer.


def _train(arguments: argparse.Namespace) -> None:
    signals = Signals(may_exit=True)
    with signals.listening():
        job = jobs.start(TrainConfig, arguments, "t5x_lite.training.loop.train")
        if job is not None:
            from t5x_lite.evaluation import during_training
            from t5x_lite.training.loop import train

            train(
                job.config,
                job.operative_config,
                hook_makers=[during_training.make_hook],
                signals=signals,
            )


def _eval(arguments: argparse.Namespace) -> None:
    job = jobs.start(EvalConfig, arguments, "t5x_lite.evaluation.evaluate.evaluate")
    if job is not None:
        from t5x_lite.evaluation.evaluate import evaluate

        evaluate(job.config, job.operative_config)


def _infer(arguments: argparse.Namespace) -> None:
    _bind_shard(arguments)
    job = jobs.start(InferConfig, arguments, "t5x_lite.inference.infer.infer")
    if job is not None:
        from t5x_lite.inference.infer import infer

        infer(job.config, job.operative_config)


def _bind_shard(arguments: argparse.Namespace) -> None:
    if arguments.shard_id is not None:
        flag = f"--shard_id={arguments.shard_id}"
        arguments.gin_bindings.append((flag, f"InferConfig.shard_id={arguments.shard_id}"))


def _check(arguments: argparse.Namespace) -> int:
    _bind_shard(arguments)
    from t5x_lite.preflight.check import check

    return 0 if check(arguments) else 2


# Commands around data.


def _add_inspect(commands: flags.Commands) -> None:
    summary = "show examples and statistics of a task or mixture, or what a checkpoint holds"
    command = flags.add_command(commands, "inspect", _inspect, summary)
    command.add_argument(
        "task",
        metavar="TASK_OR_MIXTURE",
        help="or the path of a checkpoint, a model directory (its newest) or a "
        "Hugging Face directory, which needs no other flag",
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
    command.add_argument("--ids", action="store_true", help="show ids below their text")
    command.add_argument(
        "--html", type=flags.new_file, metavar="FILE", help="write it as one page with charts, too"
    )
    command.add_argument("--seed", type=flags.between(*SEED), default=0, metavar="N")
    command.add_argument(
        "--vocabulary", type=flags.place, metavar="FILE", help="SentencePiece model"
    )
    flags.add_task_files(command)
    flags.add_data(command)


def _inspect(arguments: argparse.Namespace) -> None:
    # Names of tasks have no slash; a folder beside may have the name of one.
    is_path = "/" in arguments.task
    if is_path or os.path.isdir(arguments.task):
        from t5x_lite.checkpoints import inspect as checkpoint_inspect

        if is_path or checkpoint_inspect.is_inspectable(arguments.task):
            print(checkpoint_inspect.inspect_checkpoint(arguments.task))
            return
    imports = registration.flag_imports(arguments)
    registration.refuse_missing(imports)
    registration.prepare_data(
        arguments, imports, arguments.vocabulary, task_files=arguments.task_files
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


def _add_vocab(commands: flags.Commands) -> None:
    summary = "train a vocabulary on tasks or text files: SentencePiece's or GPT-2's byte-level BPE"
    command = flags.add_command(commands, "vocab", _vocab, summary)
    command.add_argument(
        "--output",
        required=True,
        type=flags.place,
        metavar="PATH",
        help="the .model to write, of a bpe the folder",
    )
    command.add_argument(
        "--kind",
        choices=["sentencepiece", "bpe"],
        default="sentencepiece",
        help="T5's or GPT-2's (default: sentencepiece)",
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
        "--file", action="append", default=[], metavar="GLOB", help="lines of text; repeatable"
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
    from t5x_lite.text.byte_pair_training import train_byte_pair
    from t5x_lite.text.training import train_sentencepiece
    from t5x_lite.text.training_lines import file_texts

    sources = {pattern: file_texts([pattern]) for pattern in arguments.file}
    if arguments.task:
        imports = registration.flag_imports(arguments)
        registration.refuse_missing(imports)
        registration.prepare_data(arguments, imports, None, task_files=arguments.task_files)
        from t5x_lite.data.raw_text import task_texts

        sources |= {name: task_texts(name, split=arguments.split) for name in arguments.task}
    if not sources:
        raise errors.UsageError("t5x_lite vocab needs text: --task=NAME or --file=GLOB")
    train = {"sentencepiece": train_sentencepiece, "bpe": train_byte_pair}[arguments.kind]
    report = train(
        sources,
        arguments.output,
        vocab_size=arguments.size,
        max_lines_per_source=arguments.max_lines,
        seed=arguments.seed,
    )
    print(report)


def _add_compare(commands: flags.Commands) -> None:
    summary = "two evaluated models on the same examples: differences, intervals, p-values"
    command = flags.add_command(commands, "compare", _compare, summary)
    for name, shown in (("first", "A"), ("second", "B")):
        command.add_argument(
            name,
            type=flags.place,
            metavar=shown,
            help="MODEL_DIR, EVAL_OUTPUT_DIR or MODEL_DIR/checkpoint_<step>",
        )
    command.add_argument("--num_resamples", type=int, default=1000, metavar="N")
    command.add_argument(
        "--seed", type=flags.between(*SEED), default=0, metavar="N", help="of the resamples"
    )
    command.add_argument(
        "--output",
        type=flags.new_file,
        metavar="FILE",
        help="the same as JSON, a line for each task and metric",
    )
    flags.add_data(command)
    flags.add_no_imports(command)


def _compare(arguments: argparse.Namespace) -> None:
    paths = (arguments.first, arguments.second)
    recorded = [each for path in paths for each in registration.recorded_imports(path)]
    registration.announce_imports(
        [each.module for each in recorded], " and ".join(paths), arguments
    )
    imports = [*recorded, *registration.flag_imports(arguments)]
    registration.refuse_missing(imports)
    registration.prepare_data(arguments, imports, None)
    from t5x_lite.evaluation.compare import print_comparison
    from t5x_lite.evaluation.config import StatisticsConfig

    config = StatisticsConfig(num_resamples=arguments.num_resamples, seed=arguments.seed)
    print_comparison(paths, config, arguments.output)


def _add_report(commands: flags.Commands) -> None:
    summary = "scores, curves, predictions and configuration of model directories, as one page"
    command = flags.add_command(commands, "report", _report, summary)
    command.add_argument(
        "model_dirs",
        nargs="+",
        type=flags.place,
        metavar="MODEL_DIR",
        help="what train and eval wrote into; report.html (and report.md) goes to the first",
    )


def _report(arguments: argparse.Namespace) -> None:
    from t5x_lite.evaluation.report import report

    report(arguments.model_dirs)


def _add_replay(commands: flags.Commands) -> None:
    summary = "run the step again at which training became unhealthy"
    command = flags.add_command(commands, "replay", _replay, summary)
    command.add_argument(
        "autopsy",
        type=flags.place,
        metavar="AUTOPSY_DIR",
        help="MODEL_DIR/autopsy_<step>, left there by train",
    )
    command.add_argument(
        "--gin_bindings",
        action="append",
        default=[],
        type=flags.override,
        metavar="NAME=VALUE",
        help="or --gin.NAME=VALUE: what to change, such as NUM_PARTITIONS or ACTIVATION_DTYPE",
    )
    flags.add_devices(command)


def _replay(arguments: argparse.Namespace) -> None:
    job = jobs.of_autopsy(arguments)
    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.stability.replay import replay
    from t5x_lite.training.state import make_factory
    from t5x_lite.training.step import make_step_of

    states = make_factory(job, make_partitioner(job.partitioning))
    replay(
        arguments.autopsy,
        states,
        loss=job.loss,
        seed=job.random_seed,
        make_step=lambda initial_step: make_step_of(job, states, initial_step=initial_step),
    )
