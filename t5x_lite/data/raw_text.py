"""The strings a task would tokenize, without a vocabulary: to train one on."""

import functools
from collections.abc import Iterator

import seqio
import tensorflow as tf

from t5x_lite.data import checks
from t5x_lite.errors import UserError
from t5x_lite.objectives import documents


def task_texts(name: str, *, split: str = "train") -> Iterator[str]:
    """Inputs and targets of every example of a task, or of all tasks of a mixture."""
    checks.check_mixture_or_task(name)
    checks.check_split(name, split)
    for task in seqio.get_subtasks(seqio.get_mixture_or_task(name)):
        if split in task.splits:
            yield from _texts(task, split)


def has_texts(task: seqio.Task) -> bool:
    """Whether `task_texts` finds them: a source may give ids already."""
    return any(_tokenizes(step) for step in task.preprocessors)


def _texts(task: seqio.Task, split: str) -> Iterator[str]:
    steps = list(task.preprocessors)
    places = [place for place, step in enumerate(steps) if _tokenizes(step)]
    if not places:
        raise UserError(
            f"Task {task.name} has no seqio.preprocessors.tokenize among its preprocessors, so its "
            "text cannot be told from its tokens; train the vocabulary on text files: --file=..."
        )
    before = [s for s in steps[: places[0]] if not isinstance(s, seqio.CacheDatasetPlaceholder)]
    features = task.output_features
    text_task = task.replace(
        preprocessors=before,
        # Text, not yet the ids that the task promises.
        output_features={
            name: seqio.Feature(
                vocabulary=seqio.PassThroughVocabulary(0), required=False, dtype=tf.string, rank=0
            )
            for name in features
        },
    )
    dataset = text_task.get_dataset(split=split, shuffle=False, seed=0, try_in_mem_cache=False)
    for example in dataset.as_numpy_iterator():
        for name in features:
            if name in example:
                yield example[name].decode("utf-8", errors="replace")


def _tokenizes(step: object) -> bool:
    while isinstance(step, functools.partial):
        step = step.func
    return step in (
        seqio.preprocessors.tokenize,
        seqio.preprocessors.tokenize_and_append_eos,
        documents.tokenize,
    )
