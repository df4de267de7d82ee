"""SQuAD 1.1 (Rajpurkar et al. 2016) as `squad_v010_allanswers`, scored against all answers.

`question: What is 2 ? context: ...` -> the first answer, with spaces around punctuation, so that
every answer is whole tokens of the context.
"""

from collections.abc import Mapping

import tensorflow as tf

from t5x_lite.metrics import squad as squad_metric
from t5x_lite.tasks.classification import NO_LABEL
from t5x_lite.tasks.original_files.squad import SQUAD_FILES
from t5x_lite.tasks.record import as_texts
from t5x_lite.tasks.registration import Example, add_task, each
from t5x_lite.tasks.sources import DownstreamSource


def to_text(example: Example) -> Example:
    """Question and context as inputs; `answers` keeps all answers for the metric."""
    answers = pad_punctuation(example["answers"]["text"])
    question, context = map(pad_punctuation, (example["question"], example["context"]))
    inputs = tf.strings.join(["question:", question, "context:", context], separator=" ")
    return {
        "inputs": _collapse_spaces(inputs),
        "targets": tf.concat([answers, [NO_LABEL]], axis=0)[0],
        "id": example["id"],
        "context": context,
        "question": question,
        "answers": answers,
    }


def pad_punctuation(text: tf.Tensor) -> tf.Tensor:
    """A space on both sides of every ASCII punctuation mark, and no run of spaces."""
    return _collapse_spaces(tf.strings.regex_replace(text, "([[:punct:]])", r" \1 "))


def _collapse_spaces(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.regex_replace(text, r"\s+", " ")


def postprocess(
    text: str, example: Mapping[str, object] | None = None, is_target: bool = False
) -> str | list[str]:
    """The answer; a target has all of them."""
    return as_texts(example["answers"]) if is_target and example else text


add_task(
    "squad_v010_allanswers",
    source=DownstreamSource("squad/v1.1:3.0.0", ("train", "validation"), SQUAD_FILES),
    preprocessors=[each(to_text)],
    metric_fns=[squad_metric.squad],
    postprocess_fn=postprocess,
)
