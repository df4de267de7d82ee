"""Shows what a model would read: the first examples of a task as text and as ids."""

from collections.abc import Mapping

import numpy as np
import rich.console
import rich.table
import rich.text
import seqio

from t5x_lite.data import examples

_DEFAULT_LENGTH = 512


def inspect_task(
    name: str,
    *,
    split: str = "train",
    num_examples: int = 3,
    task_feature_lengths: Mapping[str, int] | None = None,
    seed: int = 0,
    console: rich.console.Console | None = None,
) -> None:
    """Prints `num_examples` of each task of `name`; sentinels are highlighted.

    Args:
        task_feature_lengths: None shows each feature up to 512 ids.
    """
    console = console or rich.console.Console()
    for task in examples.evaluation_tasks(name, split=split):
        features = seqio.get_mixture_or_task(task.name).output_features
        lengths = task_feature_lengths or dict.fromkeys(features, _DEFAULT_LENGTH)
        shown = task.examples(
            split=split, task_feature_lengths=lengths, num_examples=num_examples, seed=seed
        )
        vocabulary = features["targets"].vocabulary
        console.print(
            f"[bold]{task.name}[/bold]  split {split}, {_count(task.name, split)} source examples, "
            f"lengths {dict(lengths)}, vocabulary of {vocabulary.vocab_size:,} ids"
        )
        for index, example in enumerate(shown):
            console.print(_table(index, example, features, lengths))


def _count(name: str, split: str) -> str:
    try:
        count = seqio.get_mixture_or_task(name).num_input_examples(split)
    except KeyError:  # The source counts other splits only.
        count = None
    return "an unknown number of" if count is None else f"{count:,}"


def _table(
    index: int,
    example: examples.Example,
    features: Mapping[str, seqio.Feature],
    lengths: Mapping[str, int],
) -> rich.table.Table:
    table = rich.table.Table(title=f"example {index}", title_justify="left", show_header=False)
    for name in sorted(features):
        if name in example:
            ids = example[name]
            label = f"{name}\n{len(ids)} of {lengths[name]}"
            table.add_row(label, _text(ids, features[name].vocabulary))
            table.add_row("", " ".join(map(str, ids)), end_section=True)
    for name in sorted(set(example) - set(features)):
        table.add_row(name, str(example[name]))
    return table


def _text(ids: np.ndarray, vocabulary: seqio.Vocabulary) -> rich.text.Text:
    """Decoded, with sentinels and the end token visible."""
    first_sentinel = vocabulary.vocab_size - vocabulary.extra_ids
    text = rich.text.Text()
    pending: list[int] = []

    def flush() -> None:
        if pending:
            text.append(vocabulary.decode(pending) + " ")
            pending.clear()

    for i in map(int, ids):
        if i >= first_sentinel:
            flush()
            text.append(f"<extra_id_{vocabulary.vocab_size - 1 - i}> ", style="bold magenta")
        elif i == vocabulary.eos_id:
            flush()
            text.append("</s>", style="dim")
        else:
            pending.append(i)
    flush()
    return text
