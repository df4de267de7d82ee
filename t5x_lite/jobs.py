"""From parsed flags to a job that is ready to run: checked, tasks registered, processes met.

What can be wrong is found in the order of its price: gin files and flags in a fraction of a second,
then tasks and vocabularies, and only then are other processes waited for. Heavy imports stand
inside the functions, so that a mistake in a gin file does not wait for them.
"""

import argparse
import shlex
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

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


def resolve(root: type[Job], arguments: argparse.Namespace) -> config.Resolved[Job]:
    """The configuration that flags and gin files make, and all modules it names found."""
    if not arguments.gin_file:
        kind = getattr(arguments, "job", arguments.command)
        recipe = f"--gin_file=recipes/{kind}.gin"
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
    refuse_missing(_task_modules(resolved.config))
    return resolved


def start(
    root: type[Job], arguments: argparse.Namespace, function: str
) -> config.Resolved[Job] | None:
    """The checked configuration, all that it needs at hand; None if --dry_run only shows it."""
    resolved = resolve(root, arguments)
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
    if datasets(resolved.config):  # else a file is read: no task, so no TensorFlow
        prepare_job_data(resolved, arguments)
        if resolved.config.model is not None:
            _check_datasets(
                resolved.config, resolved.config.model, process_count=arguments.process_count or 1
            )
    _join_processes(arguments)
    return resolved


def datasets(job: Job) -> dict[str, DatasetConfig]:
    """What a job reads, by what it is for."""
    if not isinstance(job, TrainConfig):
        return {} if job.dataset is None else {"examples": job.dataset}
    found = {
        "train": job.dataset,
        "held out": job.eval_dataset,
        "decoded": job.infer_eval_dataset,
    }
    return {name: dataset for name, dataset in found.items() if dataset is not None}


def prepare_job_data(resolved: config.Resolved[Job], arguments: argparse.Namespace) -> None:
    """`prepare_data` with what a job's configuration says."""
    vocabulary = vocabulary_of(resolved.config)
    prepare_data(arguments, imports_of(resolved), vocabulary, flag="--gin.VOCABULARY")


def imports_of(resolved: config.Resolved[Job]) -> list[config.Import]:
    """The modules that register a job's tasks."""
    return [*resolved.imports, *_task_modules(resolved.config)]


def vocabulary_of(job: Job) -> str | None:
    """The SentencePiece model that a job names, else the one its checkpoint carries."""
    first = next(iter(datasets(job).values()))
    return first.vocabulary or _vocabulary_of_initial_model(job)


def _task_modules(job: Job) -> list[config.Import]:
    modules = dict.fromkeys(dataset.module for dataset in datasets(job).values())
    return [
        config.named_by_flag(name, "MIXTURE_OR_TASK_MODULE") for name in modules if name is not None
    ]


def of_autopsy(arguments: argparse.Namespace) -> TrainConfig:
    """The job of an autopsy's step, devices and processes at hand; no task is registered."""
    file = epath.Path(arguments.autopsy) / "config.gin"
    if not file.exists():
        raise UsageError(
            f"{arguments.autopsy} is no autopsy: it has no config.gin. Needed is a folder "
            "MODEL_DIR/autopsy_<step>, which training leaves at a step that did not count."
        )
    resolved: config.Resolved[TrainConfig] = config.resolve(
        TrainConfig, [str(file)], overrides=arguments.gin_bindings
    )
    if arguments.cpu_devices is not None:
        from t5x_lite.partitioning.devices import simulate_cpu_devices

        simulate_cpu_devices(arguments.cpu_devices)
    _join_processes(arguments)
    return resolved.config


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


def fitting_gin_file(stored_model: Mapping[str, Any]) -> str:
    """A line about the model file of ours that gives this model, or that none does."""
    from t5x_lite.checkpoints import codec
    from t5x_lite.checkpoints.description import differences

    wanted = codec.from_json(ModelConfig, stored_model)
    root = config.packaged_root()
    for path in sorted((root / "models").glob("*/*.gin")):
        name = str(path.relative_to(root))
        try:
            model = config.resolve(ModelConfig, [name]).config
        except config.ConfigError:
            continue  # a part of a model, such as an architecture
        if not differences(model, wanted):
            return f"The config that fits: --gin_file={name}"
    return (
        "No model file of t5x_lite fits; t5x_lite inspect CHECKPOINT shows the macros of the run "
        "that wrote it."
    )


def _check_datasets(job: Job, model: ModelConfig, *, process_count: int) -> None:
    """Unknown tasks, splits, lengths and vocabularies, before anything is compiled."""
    from t5x_lite.data.checks import check_dataset
    from t5x_lite.training.layout import layout_of

    trains = isinstance(job, TrainConfig)
    for dataset in datasets(job).values():
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


def recorded_imports(directory: str) -> list[config.Import]:
    """The modules that the jobs imported which wrote into a directory: they register its tasks."""
    path = epath.Path(directory)
    files = [
        folder / name
        for folder in (path, path.parent)
        for name in ("eval_config.gin", "config.gin")
    ]
    return [each for file in files if file.is_file() for each in config.imports_of(str(file))]


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
            raise no_such_vocabulary(flag, vocabulary)
        set_default_vocabulary(vocabulary)
    if arguments.tfds_data_dir or arguments.seqio_additional_cache_dirs:
        from t5x_lite.data.directories import set_directories

        set_directories(
            tfds_data_dir=arguments.tfds_data_dir,
            cache_dirs=arguments.seqio_additional_cache_dirs,
        )
    config.import_modules(imports)


def no_such_vocabulary(flag: str, vocabulary: str) -> UsageError:
    """The error about a vocabulary that is not there."""
    return UsageError(
        f"{flag}={vocabulary}: there is no such file; needed is a SentencePiece model "
        "(t5x_lite vocab trains one)"
    )


def is_for_the_user(error: Exception) -> bool:
    """Whether a message says it all: raised by our own code, or about a file.

    Anything that comes from deeper down is a bug, ours or of a task, and needs its traceback; JAX
    removes its own frames from one, and notes that it did.
    """
    if isinstance(error, OSError):
        return True
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = frames[-1][0].f_globals.get("__name__", "")
    is_filtered = any("JAX" in note for note in getattr(error, "__notes__", ()))
    return raised_in.partition(".")[0] == "t5x_lite" and not is_filtered


def message(error: Exception) -> str:
    """What to show of an error; that of a KeyError without the quotes Python adds."""
    if type(error) is KeyError and len(error.args) == 1:
        return str(error.args[0])
    return str(error) or type(error).__name__
