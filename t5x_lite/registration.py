"""What registers tasks: modules of the user and of the runs before, and the data they read.

Heavy imports stand inside the functions, so that a mistake in a name does not wait for them.
"""

import argparse
from collections.abc import Sequence

from etils import epath

from t5x_lite import config, own_files
from t5x_lite.data.config import FewShotConfig
from t5x_lite.data.few_shot import set_few_shot
from t5x_lite.errors import UsageError
from t5x_lite.records.config import RecordsConfig


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
    task_files: str | None = None,
    few_shot: FewShotConfig | None = None,
    records: RecordsConfig | None = None,
) -> None:
    """Directories, the default vocabulary, then the modules that register tasks, and the task that
    reads files of one's own.
    """
    from t5x_lite.data.silence import silence_tensorflow
    from t5x_lite.text.default_vocabulary import set_default_vocabulary

    silence_tensorflow()
    if vocabulary is not None:
        if not epath.Path(vocabulary).exists():
            raise no_such_vocabulary(flag, vocabulary)
        set_default_vocabulary(vocabulary)
    if task_files is not None:
        from t5x_lite.data.task_files import set_task_files

        set_task_files(task_files)
    set_few_shot(few_shot or FewShotConfig())
    if arguments.tfds_data_dir or arguments.seqio_additional_cache_dirs:
        from t5x_lite.data.directories import set_directories

        set_directories(
            tfds_data_dir=arguments.tfds_data_dir,
            cache_dirs=arguments.seqio_additional_cache_dirs,
        )
    config.import_modules(imports)
    if records is not None and records.paths is not None:
        _register_files(records)


def _register_files(records: RecordsConfig) -> None:
    from t5x_lite.tasks.files import add_files_task, remove

    # Another job of this process may have read other files.
    for name in (own_files.TASK, own_files.ENCODER_TASK):
        remove(name)
    add_files_task(own_files.TASK, records)


def no_such_vocabulary(flag: str, vocabulary: str) -> UsageError:
    """The error about a vocabulary that is not there."""
    return UsageError(
        f"{flag}={vocabulary}: there is no such file; needed is a SentencePiece model or "
        "a folder with a vocabulary (t5x_lite vocab trains one)"
    )


def announce_imports(
    modules: Sequence[str | None], whence: str, arguments: argparse.Namespace
) -> None:
    """Says which modules of others what was stored has imported, before any is.

    Raises:
        UsageError: --no_checkpoint_imports, and --module_import does not name them.
    """
    wanted = dict.fromkeys(
        each for each in modules if each is not None and each.partition(".")[0] != "t5x_lite"
    )
    unnamed = [each for each in wanted if each not in arguments.module_import]
    if not unnamed:
        return
    if arguments.no_checkpoint_imports:
        flags = " ".join(f"--module_import={each}" for each in unnamed)
        raise UsageError(
            f"{whence} was written by a run that imported {', '.join(unnamed)}, which "
            f"--no_checkpoint_imports refuses: give {flags} if you trust what is found under such "
            "a name from here, or leave the flag out."
        )
    if not getattr(arguments, "process_index", None):
        comment = "# " if getattr(arguments, "dry_run", False) else ""
        print(
            f"{comment}As the run of {whence} did, imports {', '.join(unnamed)}, found from here "
            "(--no_checkpoint_imports refuses)",
            flush=True,
        )
