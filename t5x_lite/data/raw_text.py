"""The strings a task would tokenize, without a vocabulary: to train one on."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import seqio

from t5x_lite.data import checks
from t5x_lite.errors import UserError
from t5x_lite.objectives import documents, sentences, spans, texts

# What tokenizes, and the features whose texts it reads: None is for those of the task.
_TOKENIZERS: dict[Callable[..., Any], tuple[str, ...] | None] = {
    seqio.preprocessors.tokenize: None,
    seqio.preprocessors.tokenize_and_append_eos: None,
    documents.tokenize: None,
    sentences.tokenize: ("targets",),
    texts.tokenize: (texts.FIRST, texts.SECOND),
    spans.tokenize: (spans.QUESTION, spans.WORDS),
}


def task_texts(name: str, *, split: str = "train", feature: str | None = None) -> Iterator[str]:
    """Inputs and targets of every example of a task, or of all tasks of a mixture; of an encoder's
    tasks all that is read.

    Args:
        feature: one of both alone.
    """
    checks.check_mixture_or_task(name)
    checks.check_split(name, split, instead="--split=...")
    for task in seqio.get_subtasks(seqio.get_mixture_or_task(name)):
        if split in task.splits:
            yield from _texts(task, split, feature)


def has_texts(task: seqio.Task) -> bool:
    """Whether `task_texts` finds them: a source may give ids already."""
    return any(_function(step) in _TOKENIZERS for step in task.preprocessors)


def _texts(task: seqio.Task, split: str, feature: str | None) -> Iterator[str]:
    steps = list(task.preprocessors)
    places = [place for place, step in enumerate(steps) if _function(step) in _TOKENIZERS]
    if not places:
        raise UserError(
            f"Task {task.name} has no seqio.preprocessors.tokenize among its preprocessors, so its "
            "text cannot be told from its tokens; train the vocabulary on text files: --file=..."
        )
    before = [s for s in steps[: places[0]] if not isinstance(s, seqio.CacheDatasetPlaceholder)]
    names = _TOKENIZERS[_function(steps[places[0]])] or tuple(task.output_features)
    # Text, not yet the ids that the task promises; SeqIO checks what it knows of, nothing.
    text_task = task.replace(preprocessors=before, output_features={})
    dataset = text_task.get_dataset(split=split, shuffle=False, seed=0, try_in_mem_cache=False)
    for example in dataset.as_numpy_iterator():
        for name in names:
            if name in example and feature in (None, name):
                parts = np.atleast_1d(example[name]).tolist()
                yield b" ".join(parts).decode("utf-8", errors="replace")


def _function(step: Any) -> Any:
    while isinstance(step, functools.partial):
        step = step.func
    return step
