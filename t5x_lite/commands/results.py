"""compare, report and replay, which read what runs left."""

import argparse

from t5x_lite import flags, jobs, registration
from t5x_lite.bounds import SEED


def add(commands: flags.Commands) -> None:
    """Makes them known to the parser."""
    _add_compare(commands)
    _add_report(commands)
    _add_replay(commands)


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
