"""plan, which asks a compiler what a job would need on machines that are not at hand."""

import argparse

from t5x_lite import flags, jobs
from t5x_lite.errors import UsageError
from t5x_lite.inference.config import InferConfig
from t5x_lite.training.config import TrainConfig

_MOST_DOLLARS = 1_000_000
_MOST_COMPILED = 100


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "what a job needs and costs on TPUs that need not be there"
    command = flags.add_command(commands, "plan", _plan, summary)
    command.epilog = (
        "example:\n  t5x_lite plan --gin_file=models/t5_1_1/base.gin "
        "--gin_file=recipes/pretrain.gin \\\n    --gin.MODEL_DIR=run "
        "--gin.MIXTURE_OR_TASK_NAME=my_task --gin.TRAIN_STEPS=1000000 \\\n"
        "    --gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 114}\" --topology=v5e-16"
        "\n\nThe task is not looked up. TPUs need libtpu, pip install 't5x_lite[plan]', and no TPU."
        "\nWith recipes/infer.gin or infer_file.gin it plans the answers to a batch."
        "\nThe exit status is 2 if it does not fit."
    )
    flags.add_topology(command, required=True)
    command.add_argument(
        "--program",
        choices=("train", "eval", "decode", "all"),
        help="a training step, held-out batches, decoding while training (default: train; of an "
        "inference job decode, which is all it has)",
    )
    command.add_argument(
        "--json", type=flags.new_file, metavar="FILE", help="write all numbers, too"
    )
    command.add_argument(
        "--html", type=flags.new_file, metavar="FILE", help="write it as one page with charts, too"
    )
    command.add_argument(
        "--advise",
        action="store_true",
        help="search meshes, remat and microbatches for the fastest training step that fits",
    )
    command.add_argument(
        "--compile",
        type=flags.between(0, _MOST_COMPILED),
        default=3,
        metavar="N",
        help="of the search, compile the best N to choose among them (default: 3)",
    )
    command.add_argument(
        "--write", type=flags.new_file, metavar="FILE", help="write what the search finds as gin"
    )
    prices = command.add_mutually_exclusive_group()
    prices.add_argument(
        "--price_per_chip_hour",
        type=flags.between(0, _MOST_DOLLARS, float),
        metavar="DOLLARS",
        help="in place of the list price",
    )
    prices.add_argument(
        "--prices", type=flags.place, metavar="FILE", help='of your own: {"v5e": 0.84, "v5p": 2.94}'
    )
    flags.add_configuration(command, dry_run=False)
    flags.add_data(command)


def _plan(arguments: argparse.Namespace) -> int:
    _check_together(arguments)
    from t5x_lite.planning import prices, topologies

    topology = topologies.find(arguments.topology, slices=arguments.slices)
    price = prices.price_of(
        topology.chip, given=arguments.price_per_chip_hour, path=arguments.prices
    )
    files = {"json_file": arguments.json, "html_file": arguments.html}
    if jobs.is_of(InferConfig, arguments):
        asked = jobs.resolve(InferConfig, arguments).config
        from t5x_lite.planning import answers, run

        job = answers.answers_of(asked)
        return 0 if run.plan(job, topology, program="decode", price=price, **files) else 2
    training = jobs.resolve(TrainConfig, arguments).config
    if arguments.advise:
        from t5x_lite.planning import advise

        most, gin_file = arguments.compile, arguments.write
        return (
            0
            if advise.show(
                training, topology, most_compiled=most, price=price, gin_file=gin_file, **files
            )
            else 2
        )
    from t5x_lite.planning.run import plan

    program = arguments.program or "train"
    return 0 if plan(training, topology, program=program, price=price, **files) else 2


def _check_together(arguments: argparse.Namespace) -> None:
    """Refuses flags that mean nothing together."""
    if jobs.is_of(InferConfig, arguments):
        _check_inference(arguments)
    if not arguments.advise and arguments.write is not None:
        raise UsageError("--write is of what --advise finds: give that, too.")
    if arguments.advise and arguments.program not in (None, "train"):
        raise UsageError(
            f"--program={arguments.program} with --advise, which searches for training steps: "
            "leave one of them out."
        )
    if arguments.advise and not arguments.compile and (arguments.json or arguments.html):
        raise UsageError(
            "--json and --html are of compiled programs, and --compile=0 compiles none: give "
            "--compile=1."
        )


def _check_inference(arguments: argparse.Namespace) -> None:
    """An inference job answers batches and does nothing else."""
    asked = None if arguments.program in (None, "decode") else f"--program={arguments.program}"
    asked = "--advise" if arguments.advise else asked
    if asked is not None:
        raise UsageError(
            f"{asked} with the gin file of an inference job, whose only program is decode: leave "
            "it out, or give a training job, such as --gin_file=recipes/finetune.gin."
        )
