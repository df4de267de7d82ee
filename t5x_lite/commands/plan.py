"""plan, which asks a compiler what a job would need on machines that are not at hand."""

import argparse

from t5x_lite import flags, jobs
from t5x_lite.training.config import TrainConfig

_MOST_DOLLARS = 1_000_000


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "what a training job needs and costs on TPUs that need not be there"
    command = flags.add_command(commands, "plan", _plan, summary)
    command.epilog = (
        "example:\n  t5x_lite plan --gin_file=models/t5_1_1/base.gin "
        "--gin_file=recipes/pretrain.gin \\\n    --gin.MODEL_DIR=run "
        "--gin.MIXTURE_OR_TASK_NAME=my_task --gin.TRAIN_STEPS=1000000 \\\n"
        "    --gin.TASK_FEATURE_LENGTHS=\"{'inputs': 512, 'targets': 114}\" --topology=v5e-16"
        "\n\nThe task is not looked up. TPUs need libtpu, pip install 't5x_lite[plan]', and no TPU."
        "\nThe exit status is 2 if it does not fit."
    )
    flags.add_topology(command, required=True)
    command.add_argument(
        "--program",
        choices=("train", "eval", "decode", "all"),
        default="train",
        help="a training step, held-out batches, decoding while training (default: train)",
    )
    command.add_argument(
        "--json", type=flags.new_file, metavar="FILE", help="write all numbers, too"
    )
    command.add_argument(
        "--html", type=flags.new_file, metavar="FILE", help="write it as one page with charts, too"
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
    from t5x_lite.planning import prices, topologies

    topology = topologies.find(arguments.topology, slices=arguments.slices)
    price = prices.price_of(
        topology.chip, given=arguments.price_per_chip_hour, path=arguments.prices
    )
    job = jobs.resolve(TrainConfig, arguments).config
    from t5x_lite.planning.run import plan

    fits = plan(
        job,
        topology,
        program=arguments.program,
        price=price,
        json_file=arguments.json,
        html_file=arguments.html,
    )
    return 0 if fits else 2
