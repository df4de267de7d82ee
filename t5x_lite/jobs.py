"""From parsed flags to a job that is ready to run: checked, tasks registered, processes met.

What can be wrong is found in the order of its price: gin files and flags in a fraction of a second,
then tasks and vocabularies, and only then are other processes waited for. Heavy imports stand
inside the functions, so that a mistake in a gin file does not wait for them.
"""

import argparse
import shlex
from collections.abc import Sequence
from typing import TypeVar

from etils import epath

from t5x_lite import config
from t5x_lite.data.config import DatasetConfig
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.config import InferConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.training.config import TrainConfig

Job = TypeVar("Job", TrainConfig, EvalConfig, InferConfig)


class UsageError(ValueError):
    """A command line that cannot be understood."""


def start(
    root: type[Job], arguments: argparse.Namespace, function: str
) -> config.Resolved[Job] | None:
    """The checked configuration, all that it needs at hand; None if --dry_run only shows it."""
    if not arguments.gin_file:
        recipe = f"--gin_file=recipes/{arguments.command}.gin"
        needed = f"a recipe, such as {recipe}"  # the model is the checkpoint's own
        if root is TrainConfig:
            recipe = "--gin_file=recipes/pretrain.gin"
            needed = f"a model and a recipe, such as --gin_file=models/t5_1_1/small.gin {recipe}"
        raise UsageError(f"t5x_lite {arguments.command} needs {needed}")
    resolved: config.Resolved[Job] = config.resolve(
        root,
        arguments.gin_file,
        overrides=arguments.gin_bindings,
        search_paths=arguments.gin_search_paths,
        imports=flag_imports(arguments),
    )
    job = resolved.config
    datasets = [] if job.dataset is None else [job.dataset]
    if isinstance(job, TrainConfig) and job.eval_dataset is not None:
        datasets.append(job.eval_dataset)
    modules = dict.fromkeys(each.module for each in datasets if each.module is not None)
    imports: list[config.Import] = [
        config.named_by_flag(name, "MIXTURE_OR_TASK_MODULE") for name in modules
    ]
    refuse_missing(imports)
    if arguments.dry_run:
        # What is printed is itself a gin file that gives this configuration.
        words = shlex.join(["t5x_lite", *arguments.words]).replace("\n", " ")
        print(f"# Complete: {words}")
        print(f"# would call {function}.")
        print(f"# Read, each overridden by the next: {', '.join(resolved.files)}")
        print(resolved.operative_config, end="")
        return None
    if arguments.cpu_devices is not None:
        from t5x_lite.partitioning.devices import simulate_cpu_devices

        simulate_cpu_devices(arguments.cpu_devices)
    if job.dataset is not None:  # else a file is read: no task, so no TensorFlow
        vocabulary = job.dataset.vocabulary or _vocabulary_of_initial_model(job)
        prepare_data(arguments, [*resolved.imports, *imports], vocabulary, flag="--gin.VOCABULARY")
        if job.model is not None:
            _check_datasets(job.model, job, datasets, arguments.process_count or 1)
    _join_processes(arguments)
    return resolved


def _vocabulary_of_initial_model(job: Job) -> str | None:
    """The SentencePiece model of the checkpoint that a job starts from, if it carries one."""
    path = job.restore.path if isinstance(job, TrainConfig) else job.checkpoint_path
    if path is None or not epath.Path(path).exists():
        return None
    from t5x_lite.checkpoints import huggingface, manager

    if huggingface.is_huggingface_directory(path):
        found = huggingface.vocabulary_path(path)
    else:
        found = manager.find(path) / "vocabulary" / "sentencepiece.model"
    return str(found) if found is not None and found.is_file() else None


def _check_datasets(
    model: ModelConfig, job: Job, datasets: Sequence[DatasetConfig], process_count: int
) -> None:
    """Unknown tasks, splits, lengths and vocabularies, before anything is compiled."""
    from t5x_lite.data.checks import check_dataset
    from t5x_lite.training.layout import layout_of

    trains = isinstance(job, TrainConfig)
    for dataset in datasets:
        check_dataset(
            dataset,
            layout_of(model),
            vocab_size=model.vocab_size,
            process_count=process_count if trains else 1,
            lengths_required=trains,
        )


def _join_processes(arguments: argparse.Namespace) -> None:
    from t5x_lite.partitioning import processes

    processes.initialize(
        arguments.coordinator_address,
        arguments.process_count,
        arguments.process_index,
        timeout_s=arguments.initialization_timeout,
    )


def flag_imports(arguments: argparse.Namespace) -> list[config.Import]:
    """The modules that --module_import names."""
    return [config.named_by_flag(name, "--module_import") for name in arguments.module_import]


def refuse_missing(imports: Sequence[config.Import]) -> None:
    """An error that names every module that cannot be found, before any is imported."""
    problems = config.missing_modules(imports)
    if problems:
        raise config.ConfigError(problems)


def prepare_data(
    arguments: argparse.Namespace,
    imports: Sequence[config.Import],
    vocabulary: str | None,
    *,
    flag: str = "--vocabulary",
) -> None:
    """Directories, the default vocabulary, then the modules that register tasks."""
    from t5x_lite.data.silence import silence_tensorflow
    from t5x_lite.text.default_vocabulary import set_default_vocabulary

    silence_tensorflow()
    if vocabulary is not None:
        if not epath.Path(vocabulary).exists():
            raise UsageError(
                f"{flag}={vocabulary}: there is no such file; needed is a SentencePiece model "
                "(t5x_lite vocab trains one)"
            )
        set_default_vocabulary(vocabulary)
    if arguments.tfds_data_dir or arguments.seqio_additional_cache_dirs:
        from t5x_lite.data.directories import set_directories

        set_directories(
            tfds_data_dir=arguments.tfds_data_dir,
            cache_dirs=arguments.seqio_additional_cache_dirs,
        )
    config.import_modules(imports)
