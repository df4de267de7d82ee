"""sizes, which puts models side by side."""

import argparse
import copy
from typing import TYPE_CHECKING

from t5x_lite import flags, jobs
from t5x_lite.bounds import MAX_BATCH, MAX_COUNT, MAX_LENGTH, SEED
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.evaluation.sizes_config import SizesConfig

if TYPE_CHECKING:
    from t5x_lite.evaluation.sizes_quality import JobOf

_NUMBERS = {
    "inputs_length": (1, MAX_LENGTH, "tokens that a model reads"),
    "targets_length": (1, MAX_LENGTH, "tokens that a decoder writes"),
    "rounds": (1, MAX_COUNT, "in each of which every model has a turn"),
    "seed": (*SEED, "of the tokens"),
}
_MACROS = {
    "task": "MIXTURE_OR_TASK_NAME",
    "split": "SPLIT",
    "num_examples": "NUM_EXAMPLES",
}


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "parameters, bytes, latency and quality of models, side by side"
    command = flags.add_command(commands, "sizes", _sizes, summary)
    command.epilog = (
        "example:\n  t5x_lite sizes runs/full runs/pruned google-bert/bert-base-uncased\n"
        "  t5x_lite sizes runs/full runs/small --data=val.tsv --inputs=en --targets=de "
        "--metric=bleu \\\n      --num_examples=200 --output=sizes.html"
        "\n\nModels read and, with a decoder, write always as many tokens. Quality is measured "
        "where a task or\nfiles are named, as by `eval`, whose flags are the others; differences "
        "are from the first model,\non the same examples."
    )
    command.add_argument(
        "paths",
        nargs="+",
        type=flags.place,
        metavar="MODEL",
        help="checkpoint, model directory (its newest) or Hugging Face directory",
    )
    command.add_argument(
        "--batch_sizes",
        type=_batch_sizes,
        default=SizesConfig.batch_sizes,
        metavar="N,N",
        help="default: 1,32",
    )
    for name, (least, most, what) in _NUMBERS.items():
        default = getattr(SizesConfig, name)
        command.add_argument(
            f"--{name}",
            type=flags.between(least, most),
            default=default,
            metavar="N",
            help=f"{what} (default: {default})",
        )
    command.add_argument(
        "--output", type=flags.new_file, metavar="FILE", help="the same as a page, with charts"
    )
    _add_quality(command)
    flags.add_configuration(command, dry_run=False)
    flags.add_data(command)
    flags.add_own_files(command)
    flags.add_no_imports(command)
    flags.measure_as_eval(command)


def _add_quality(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("quality")
    group.add_argument("--task", metavar="TASK", help="or a mixture: what is answered and scored")
    group.add_argument("--split", metavar="NAME", help="default: as `eval` takes it")
    group.add_argument(
        "--num_examples", type=flags.between(1, MAX_COUNT), metavar="N", help="default: all"
    )


def _batch_sizes(text: str) -> tuple[int, ...]:
    number = flags.between(1, MAX_BATCH)
    sizes = tuple(number(part) for part in flags.comma_list(text))
    if not sizes:
        raise argparse.ArgumentTypeError(f"needed are numbers such as 1,32; given {text!r}")
    return sizes


def _sizes(arguments: argparse.Namespace) -> None:
    config = SizesConfig(
        paths=tuple(arguments.paths),
        batch_sizes=arguments.batch_sizes,
        output=arguments.output,
        **{name: getattr(arguments, name) for name in _NUMBERS},
    )
    job_of = _job_of(arguments)
    from t5x_lite.evaluation.sizes_report import report_sizes

    report_sizes(config, job_of)


def _job_of(arguments: argparse.Namespace) -> "JobOf | None":
    """Evaluations by the flags given; None where they say nothing of one."""
    named = {name: getattr(arguments, name) for name in _MACROS}
    given = [(f"--{k}", f"{_MACROS[k]}={v!r}") for k, v in named.items() if v is not None]
    if not (given or arguments.data or arguments.gin_file or arguments.gin_bindings):
        return None

    def job_of(path: str, output: str) -> EvalConfig:
        own = copy.copy(arguments)
        places = {"CHECKPOINT_PATH": path, "EVAL_OUTPUT_DIR": output, "COMPILATION_CACHE": False}
        asked = [("MODEL", f"{name}={value!r}") for name, value in places.items()]
        own.gin_bindings = [*asked, *given, *arguments.gin_bindings]
        job = jobs.start(EvalConfig, own, "")
        assert job is not None, "there is no --dry_run"
        return job.config

    return job_of
