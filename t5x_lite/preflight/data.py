"""What a job reads: tasks, vocabulary, lengths, and a real example of each task."""

import argparse
import contextlib
import functools
import textwrap
import time
from collections.abc import Iterator

import numpy as np
from etils import epath

from t5x_lite import config, jobs, registration
from t5x_lite.data.config import DatasetConfig
from t5x_lite.errors import UserError
from t5x_lite.model.config import ModelConfig
from t5x_lite.preflight import rows
from t5x_lite.preflight.findings import Check, Kind, Outcome
from t5x_lite.training.config import TrainConfig

_SHOWN_CHARACTERS = 80
_SHOWN_TASKS = 3
_SECONDS_FOR_EXAMPLES = 8.0


def checks(
    resolved: config.Resolved,
    arguments: argparse.Namespace,
    model: ModelConfig | None,
    *,
    readers: int = 1,
) -> Iterator[Check]:
    """Of all data sets of a job; `model` None leaves out what needs one.

    Args:
        readers: processes that read parts of their own of a training batch.
    """
    trains = isinstance(resolved.config, TrainConfig)
    vocabulary = _Vocabulary()
    yield Check("vocabulary", lambda: vocabulary.check(resolved.config))
    yield Check("tasks", lambda: _register(resolved, arguments, vocabulary.path))
    if (records := jobs.records_of(resolved.config)).paths is not None and trains:
        yield Check("rows", functools.partial(rows.check, records))
    for name, dataset in jobs.datasets(resolved.config).items():
        fits = functools.partial(
            _fits,
            dataset,
            model,
            vocabulary_is_there=not vocabulary.is_missing,
            readers=readers if trains else 1,
            is_decoded=not trains or name == "decoded",
        )
        yield Check(f"data, {name}", fits, needs=("tasks",))
        example = functools.partial(
            _examples,
            dataset,
            model,
            shown=_SHOWN_TASKS if name in ("train", "examples") else 0,
            may_lack_some=name != "train",
        )
        yield Check(f"example, {name}", example, needs=("tasks", "vocabulary", f"data, {name}"))


class _Vocabulary:
    """The vocabulary that a job names, or that its checkpoint brings along."""

    path: str | None = None
    is_missing = False

    def check(self, job: jobs.Job) -> Iterator[Outcome]:
        """Whether it is there."""
        try:
            named = jobs.vocabulary_of(job)
        except (ValueError, OSError):
            named = None  # The checkpoint it would come from is a finding of its own.
        if named is None:
            yield Kind.OK, "none is named: each task has its own"
            return
        self.is_missing = not epath.Path(named).exists()
        if self.is_missing:
            raise registration.no_such_vocabulary("--gin.VOCABULARY", named)
        self.path = named
        yield Kind.OK, named


def _register(
    resolved: config.Resolved, arguments: argparse.Namespace, vocabulary: str | None
) -> Iterator[Outcome]:
    imports = jobs.imports_of(resolved)
    registration.prepare_data(
        arguments,
        imports,
        vocabulary,
        task_files=jobs.task_files_of(resolved.config),
        few_shot=jobs.few_shot_of(resolved.config),
        records=jobs.records_of(resolved.config),
    )
    modules = ", ".join(dict.fromkeys(each.module for each in imports))
    yield Kind.OK, f"imported {modules}" if modules else "no module was named to import"


def _fits(
    dataset: DatasetConfig,
    model: ModelConfig | None,
    *,
    vocabulary_is_there: bool,
    readers: int,
    is_decoded: bool,
) -> Iterator[Outcome]:
    """Name, split, lengths, special ids, ids, shards."""
    from t5x_lite.data import checks as data_checks

    problems = data_checks.problems(
        dataset,
        model.features if model is not None else None,
        vocab_size=model.vocab_size if model is not None and vocabulary_is_there else None,
        process_count=readers,
        is_decoded=is_decoded,
    )
    for problem in problems:
        yield Kind.FIX, problem
    if not problems:
        lengths = dataset.task_feature_lengths
        shown = "as long as they are" if lengths is None else f"lengths {dict(lengths)}"
        yield Kind.OK, f"{dataset.mixture_or_task_name}, split {dataset.split!r}, {shown}"


def _examples(
    dataset: DatasetConfig, model: ModelConfig | None, *, shown: int, may_lack_some: bool
) -> Iterator[Outcome]:
    """The first example of each task, decoded; ids that no embedding has are refused.

    Args:
        may_lack_some: a task that has none is left out, as long as others have.
    """
    from t5x_lite.data import examples

    began, read = time.monotonic(), 0
    tasks = examples.evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    empty: list[str] = []
    for task in tasks:
        if read and time.monotonic() - began > _SECONDS_FOR_EXAMPLES:
            unread = len(tasks) - read - len(empty)
            yield Kind.NOTE, f"{unread} of {len(tasks)} tasks were not read, for time"
            break
        example = task.first_example(dataset)
        if example is None:
            empty.append(task.name)
            continue
        read += 1
        lines = [task.name]
        for feature in ("inputs", "targets"):
            if feature in example:
                ids = np.asarray(example[feature])
                if model is not None:
                    _check_ids(task.name, feature, ids, model.vocab_size)
                lines.append(f"{feature:<7} {ids.size:>4} ids: {_short(task.decode(ids))}")
        if read <= shown:
            yield Kind.OK, "\n".join(lines)
    if empty and not (read and may_lack_some):
        raise examples.without_examples(empty, dataset.split)
    if empty:
        yield Kind.NOTE, f"left out: {', '.join(empty)}, whose split has no examples"
    if not shown or read > shown:
        yield Kind.OK, f"{read} {'task' if read == 1 else 'tasks'} read, an example of each"


def _check_ids(task: str, feature: str, ids: np.ndarray, vocab_size: int) -> None:
    if not ids.size:
        raise UserError(
            f"{task}: the first example has no {feature}. Look at more of them: t5x_lite inspect "
            f"{task}"
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise UserError(
            f"{task}: {feature} are {ids.dtype}, needed are ids: is a tokenizing preprocessor "
            "missing, such as seqio.preprocessors.tokenize?"
        )
    low, high = int(ids.min()), int(ids.max())
    if low < 0 or high >= vocab_size:
        raise UserError(
            f"{task}: {feature} has ids from {low} to {high}, but the model embeds 0 to "
            f"{vocab_size - 1}: does a preprocessor make ids by itself? Look at them: t5x_lite "
            f"inspect {task}"
        )


def same_vocabulary(dataset: DatasetConfig, folder: epath.Path | None) -> Iterator[Outcome]:
    """Whether the tasks use the vocabulary that a checkpoint was trained with."""
    from t5x_lite.data.vocabulary_files import vocabulary_files
    from t5x_lite.text.tokenizer import load_tokenizer, what_decides_ids

    ours, theirs = vocabulary_files(dataset.mixture_or_task_name), None
    if folder is not None:
        with contextlib.suppress(FileNotFoundError):
            theirs = load_tokenizer(folder).files()
    if not ours or theirs is None:
        yield Kind.NOTE, "it is not known whether the tasks use the vocabulary of the checkpoint"
    elif what_decides_ids(ours) != what_decides_ids(theirs):
        yield (
            Kind.FIX,
            f"{dataset.mixture_or_task_name} has another vocabulary than the checkpoint was "
            f"trained with, so its ids mean other words: that one is in {folder}. Tasks of "
            "t5x_lite.tasks and DefaultVocabulary() take it where no --gin.VOCABULARY is given.",
        )
    else:
        yield Kind.OK, "the same as the checkpoint's"


def positions(job: TrainConfig, folder: epath.Path, *, readers: int) -> Iterator[Outcome]:
    """Whether the data goes on where the checkpoint left it."""
    from t5x_lite.data.batches import check_restore

    check_restore(job.dataset, job.model.features, folder, process_count=readers)
    yield Kind.OK, f"goes on at the positions in {folder}"


def restartable(job: TrainConfig) -> Iterator[Outcome]:
    """Which tasks a restart has to read from their beginning."""
    from t5x_lite.data import unsaveable

    if costly := unsaveable.explain(job.dataset):
        yield Kind.NOTE, costly.replace("WARNING: ", "")
    else:
        yield Kind.OK, "the position of the data can be saved, so none reads it again"


def _short(text: str) -> str:
    return textwrap.shorten(text, _SHOWN_CHARACTERS, placeholder="...")
