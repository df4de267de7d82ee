"""SQuAD 1.1 (Rajpurkar et al. 2016) as `squad_v010_allanswers`, scored against all answers.

`question: What is 2 ? context: ...` -> the first answer, with spaces around punctuation, so that
every answer is whole tokens of the context. `squad_v010_allanswers_encoder` is for encoders by
themselves, which find the first and the last of those tokens.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from t5x_lite.metrics import squad as squad_metric
from t5x_lite.objectives import spans
from t5x_lite.tasks.classification import NO_LABEL
from t5x_lite.tasks.original_files.squad import SQUAD_FILES
from t5x_lite.tasks.record import as_texts
from t5x_lite.tasks.registration import Example, add_spans_task, add_task, each
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


def as_words(example: Example) -> Example:
    """The question, the words of the context, and which of them are the first answer."""
    context, answers = example["context"], example["answers"]
    starts = tf.concat([tf.cast(answers["answer_start"], tf.int32), [-1]], axis=0)
    answer, start = tf.concat([answers["text"], [""]], axis=0)[0], starts[0]
    before = tf.strings.substr(context, 0, tf.maximum(start, 0), unit="UTF8_CHAR")
    # A word that begins before an answer, or ends behind it, is a word of the answer.
    with_answer = num_words(tf.strings.join([before, answer]))
    is_split = num_words(before) + num_words(answer) > with_answer
    first = num_words(before) - tf.cast(is_split, tf.int32)
    return {
        spans.QUESTION: example["question"],
        spans.WORDS: words(context),
        spans.ANSWER: tf.where(start >= 0, tf.stack([first, with_answer - 1]), -1),
        "id": example["id"],
        "answers": pad_punctuation(answers["text"]),
    }


def words(text: tf.Tensor) -> tf.Tensor:
    """Punctuation marks and what stands between them and blanks."""
    return tf.strings.split(pad_punctuation(text))


def num_words(text: tf.Tensor) -> tf.Tensor:
    """How many there are."""
    return tf.size(words(text))


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


_SOURCE = DownstreamSource("squad/v1.1:3.0.0", ("train", "validation"), SQUAD_FILES)
_SCORED: Any = {"metric_fns": [squad_metric.squad], "postprocess_fn": postprocess}
add_task("squad_v010_allanswers", source=_SOURCE, preprocessors=[each(to_text)], **_SCORED)
add_spans_task("squad_v010_allanswers", source=_SOURCE, preprocessors=[each(as_words)], **_SCORED)
