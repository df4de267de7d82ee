"""Multiple choice: the option that a model finds likeliest behind a prompt (Brown et al. 2020,
section 2.4).

What is summed are log-probabilities of the tokens that a forced decode of the option would write. A
sentinel in front of an option is given, not chosen, so it is not counted.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32

from t5x_lite.data.examples import EvaluationTask, Example, inputs_of
from t5x_lite.data.prompts import prompt_of
from t5x_lite.evaluation.config import OptionScore
from t5x_lite.inference.predictor import Predictor

Scores = Float[np.ndarray, " options"]


def has_options(examples: Sequence[Example]) -> bool:
    """Whether there is something to choose from in every example."""
    found = [prompt_of(example) for example in examples]
    return all(prompt is not None and prompt.options for prompt in found)


def option_scores(
    predictor: Predictor,
    task: EvaluationTask,
    examples: Sequence[Example],
    how: OptionScore,
    *,
    batch_size: int,
    label: str,
    after_batch: Callable[[], None] = lambda: None,
) -> list[Scores]:
    """A number for each option of each example; the largest is the model's choice."""
    every = [prompt for prompt in map(prompt_of, examples) if prompt is not None]
    options = [option for prompt in every for option in prompt.options]
    targets = task.encode("targets", options)
    counts = [len(prompt.options) for prompt in every]
    inputs = [ids for ids, count in zip(inputs_of(examples), counts) for _ in range(count)]
    found = predictor.score(
        inputs, targets, batch_size=batch_size, label=label, after_batch=after_batch
    )
    counted = [_chosen(*pair, task.sentinel_ids) for pair in zip(found, targets, strict=True)]
    values = [each.mean() if how is OptionScore.PER_TOKEN else each.sum() for each in counted]
    if how is OptionScore.NEUTRAL:
        values = np.subtract(values, _neutral(predictor, task, examples, targets, batch_size))
    return [np.asarray(each) for each in np.split(np.array(values), np.cumsum(counts)[:-1])]


def _neutral(
    predictor: Predictor,
    task: EvaluationTask,
    examples: Sequence[Example],
    targets: Sequence[list[int]],
    batch_size: int,
) -> Float[np.ndarray, " options"]:
    """The sums behind the neutral prompt, each pair of it and an option scored once."""
    every = [prompt for prompt in map(prompt_of, examples) if prompt is not None]
    texts = [prompt.neutral for prompt in every for _ in prompt.options]
    inputs = task.encode("inputs", texts)
    pairs = list(zip(map(tuple, inputs), map(tuple, targets), strict=True))
    distinct = list(dict.fromkeys(pairs))
    found = predictor.score(
        [list(given) for given, _ in distinct],
        [list(target) for _, target in distinct],
        batch_size=batch_size,
        label=f"{task.name}, neutral prompt",
    )
    sums = {
        pair: _chosen(each, pair[1], task.sentinel_ids).sum()
        for pair, each in zip(distinct, found, strict=True)
    }
    return np.array([sums[pair] for pair in pairs])


def _chosen(
    log_probs: Float32[np.ndarray, " _length"], target: Sequence[int], sentinels: range
) -> Float[np.ndarray, " _counted"]:
    """In double precision, so that sums of any length agree."""
    given = int(bool(target) and target[0] in sentinels)
    return log_probs[given:].astype(np.float64)
