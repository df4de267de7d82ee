"""train, eval, infer, and check, which looks at such a job before it runs."""

import argparse

from t5x_lite import flags, jobs
from t5x_lite.errors import UsageError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.signals import Signals


def add(commands: flags.Commands) -> None:
    """Makes them known to the parser."""
    flags.add_own_files(
        flags.add_job(commands, "train", _train, "train a model on a task or mixture")
    )
    flags.add_own_files(
        flags.add_job(commands, "eval", _eval, "metrics of a checkpoint on each task of a mixture")
    )
    _add_infer(commands)
    _add_check(commands)


def _add_infer(commands: flags.Commands) -> None:
    summary = "what a checkpoint generates for a task or a file, or their scores or embeddings"
    command = flags.add_job(commands, "infer", _infer, summary)
    flags.add_own_files(command)
    flags.add_shard(command)


def _add_check(commands: flags.Commands) -> None:
    summary = "all that can be wrong with a job, each with its fix, before a device is held"
    command = flags.add_job(commands, "check", _check, summary)
    command.add_argument(
        "--job",
        choices=("train", "eval", "infer"),
        default="train",
        help="whose flags the others are (default: train)",
    )
    flags.add_own_files(command)
    flags.add_shard(command)
    flags.add_topology(command, required=False)


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
    if arguments.topology is not None and arguments.job != "train":
        raise UsageError(
            f"--topology={arguments.topology} with --job={arguments.job}: what is planned is a "
            "training step; leave one of them out."
        )
    _bind_shard(arguments)
    from t5x_lite.preflight.check import check

    return 0 if check(arguments) else 2
