"""What int8 costs: held-out loss and the task's metrics of both models, side by side, on one card.

Both read and answer the same examples of an evaluation job. What is compared is the loss in nats
per target token, or of the class that an encoder tells, and BLEU where a task has it; other metrics
are shown.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.data import checks
from t5x_lite.data.examples import (
    EvaluationTask,
    Example,
    evaluation_tasks,
    tasks_with_examples,
)
from t5x_lite.data.vocabulary_files import first_sentinel
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation.answers import read_examples
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.predictor import kept_of
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import make_partitioner

MOST_NATS, MOST_BLEU = 0.01, 0.5
_LOSS, _LOSS_OF_CLASSES = "loss, nats per token", "loss, nats per example"


@dataclasses.dataclass(frozen=True)
class Row:
    """A number of both models; int8 is `worse` by so much, and may be by `most`, if that is set. Of
    metrics less counts as worse.
    """

    task: str
    name: str
    num_examples: int
    float32: float
    int8: float
    worse: float
    most: float | None

    @property
    def is_too_much(self) -> bool:
        """Whether int8 loses more than it may; also where a loss is no number."""
        return self.most is not None and not self.worse <= self.most


def measure(
    config: EvalConfig,
    full: tuple[ModelConfig, Mapping[str, Any]],
    small: tuple[ModelConfig, Mapping[str, Any]],
) -> list[Row]:
    """Rows of each task of the job that has examples.

    Raises:
        UserError: the task, its split or its lengths do not fit the model; none has an example.
    """
    dataset, model = config.dataset, full[0]
    checks.check_dataset(dataset, model.features, vocab_size=model.vocab_size, is_decoded=True)
    partitioner = make_partitioner(config.partitioning)
    sentinel = first_sentinel(dataset.mixture_or_task_name)
    engines = [
        Engine(
            Ensemble((own,)),
            [place_parameters(parameters, abstract_parameters(own, partitioner))],
            partitioner,
            first_sentinel=sentinel,
        )
        for own, parameters in (full, small)
    ]
    tasks, empty = tasks_with_examples(
        evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split), dataset
    )
    if empty:
        say(empty)
    return [row for task in tasks for row in _rows(task, config, engines)]


def _rows(task: EvaluationTask, config: EvalConfig, engines: Sequence[Engine]) -> list[Row]:
    examples = read_examples(task, config.dataset, config.num_examples)
    count = len(examples)
    said = _told if task.told is not None else _written
    full, small = (said(engine, task, examples, config) for engine in engines)
    rows = []
    for name in full.losses:
        before, after = full.losses[name], small.losses[name]
        rows.append(Row(task.name, name, count, before, after, after - before, MOST_NATS))
    for name in full.scores:
        most = MOST_BLEU if "bleu" in name.lower() else None
        before, after = full.scores[name], small.scores[name]
        rows.append(Row(task.name, name, count, before, after, before - after, most))
    for row in rows:
        say(f"{row.task} {row.name}: {row.float32:.4f} in float32, {row.int8:.4f} in int8")
    return rows


class _Said(NamedTuple):
    """Numbers of one model by their names; of losses less is better."""

    losses: dict[str, float]
    scores: dict[str, float]


def _written(
    engine: Engine, task: EvaluationTask, examples: Sequence[Example], config: EvalConfig
) -> _Said:
    """The mean loss of all target tokens, as training counts it, and the metrics of answers."""
    targets = [np.asarray(example["targets"], np.int32) for example in examples]
    size = config.dataset.batch_size
    log_probs = engine.score(_inputs(examples), targets, batch_size=size)
    losses = {_LOSS: -float(np.mean(np.concatenate(log_probs), dtype=np.float64))}
    if not task.has_metrics:
        return _Said(losses, {})
    found = engine.generate(_inputs(examples), config.decoding, batch_size=size)
    texts = [task.decode(each.ids()) for each in found]
    return _Said(losses, _scores(task, texts, examples))


def _told(
    engine: Engine, task: EvaluationTask, examples: Sequence[Example], config: EvalConfig
) -> _Said:
    """The mean loss of classes, if they are told, and the metrics of what a head tells."""
    told = task.told
    assert told is not None, "asked of such a task"
    tell = functools.partial(engine.tell, what=told.head, batch_size=config.dataset.batch_size)
    kept = kept_of(tell, told, examples)
    losses = {}
    if told.feature == "classes":
        wanted = [int(example["classes"][0]) for example in examples]
        losses[_LOSS_OF_CLASSES] = _loss_of_classes(kept, wanted)
    texts = [task.told_text(row, example) for row, example in zip(kept, examples, strict=True)]
    return _Said(losses, _scores(task, texts, examples) if task.has_metrics else {})


def _loss_of_classes(logits: Float[np.ndarray, "examples classes"], wanted: Sequence[int]) -> float:
    largest = logits.max(axis=1)
    whole = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return float(np.mean(whole - logits[np.arange(len(wanted)), wanted]))


def _scores(
    task: EvaluationTask, texts: Sequence[str], examples: Sequence[Example]
) -> dict[str, float]:
    predictions = [task.prediction(text, own) for text, own in zip(texts, examples, strict=True)]
    return task.score([task.target(example) for example in examples], predictions)


def _inputs(examples: Sequence[Example]) -> list[np.ndarray]:
    """Of a language model's tasks some have none."""
    return [np.asarray(example.get("inputs", ()), np.int32) for example in examples]


def card(
    rows: Sequence[Row],
    config: EvalConfig,
    small: ModelConfig,
    *,
    step: int,
    sizes: tuple[int, int],
    accepted: bool,
) -> str:
    """One page of Markdown.

    Args:
        small: the model with int8.
        sizes: bytes of the parameters in float32 and with int8.
        accepted: whether the user took what is too much.
    """
    bytes_full, bytes_small = sizes
    lines = [
        "# Quality of int8",
        "",
        f"{_what_is_rounded(small)} of {config.checkpoint_path}, step {step}. Parameters take "
        f"{bytes_small / 1e6:,.1f} MB in place of {bytes_full / 1e6:,.1f} "
        f"({100 * bytes_small / bytes_full:.0f} %).",
        "",
        f"Measured on the split {config.dataset.split!r}; {config.decoding.describe()}.",
        "",
        "| task | | examples | float32 | int8 | int8 is worse by | at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        most = "-" if row.most is None else f"{row.most:g}"
        lines.append(
            f"| {row.task} | {row.name} | {row.num_examples:,} | {row.float32:.4f} | "
            f"{row.int8:.4f} | {row.worse:+.4f} | {most} |"
        )
    wrong = too_much(rows)
    verdict = "It is within both bounds."
    if wrong:
        verdict = f"**It is not within the bounds: {'; '.join(wrong)}.**"
        if accepted:
            verdict += " It was written because `--accept_gap` asked for it."
    return "\n".join([*lines, "", verdict, ""])


def _what_is_rounded(model: ModelConfig) -> str:
    given = model.quantization
    if given is None:
        return (
            "Weights in int8 with a scale for each channel, but for the feed-forward kernels `wo` "
            "and the head,"
        )
    kernels = "All kernels of layers"
    if given.float_kernels:
        kernels += f" but {', '.join(given.float_kernels)}"
    if given.embedding:
        kernels += " and the vectors of tokens"
    return (
        f"{kernels} in int8 with a scale for each {given.granularity.value}, multiplied with 8 "
        "bits of what they read,"
    )


def too_much(rows: Sequence[Row]) -> list[str]:
    """A phrase for each row in which int8 loses more than it may."""
    return [
        f"{row.name} of {row.task} is worse by {row.worse:.4f}, and may be by {row.most:g}"
        for row in rows
        if row.is_too_much
    ]


def refuse(rows: Sequence[Row]) -> None:
    """Refuses an int8 model that is too much worse.

    Raises:
        UserError: with what is, and how to take it all the same.
    """
    if wrong := too_much(rows):
        raise UserError(
            f"int8 is not written: {'; '.join(wrong)}. Use float32, or take it as it is: "
            "--accept_gap, which the card will say."
        )
