"""ReCoRD: fill the `@placeholder` of a query with an entity of the passage."""

from collections.abc import Mapping

import tensorflow as tf

from t5x_lite.tasks.classification import NO_LABEL, keyed_text
from t5x_lite.tasks.registration import Example

# Passages end with the highlights of the article, each on a line of its own after this line.
_HIGHLIGHT = r"\n@highlight\n"


def to_text(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """One example for each answer, or a single one with the target `<unk>` where there is none."""
    return dataset.flat_map(tf.autograph.experimental.do_not_convert(_each_answer))


def _each_answer(example: Example) -> tf.data.Dataset:
    answers = example["answers"]
    targets = tf.cond(tf.size(answers) > 0, lambda: answers, lambda: tf.constant([NO_LABEL]))
    formatted = {
        "inputs": keyed_text(
            "record",
            {
                "query": example["query"],
                "entities": tf.strings.reduce_join(example["entities"], separator=", "),
                "passage": _in_one_line(example["passage"]),
            },
        ),
        "answers": answers,
        **{f"idx/{name}": example["idx"][name] for name in ("passage", "query")},
    }
    return tf.data.Dataset.from_tensor_slices(targets).map(
        lambda target: {**formatted, "targets": target}
    )


def _in_one_line(passage: tf.Tensor) -> tf.Tensor:
    """A highlight becomes a sentence: after a full stop, unless the text before ends with one."""
    passage = tf.strings.regex_replace(passage, rf"""([.?!"']){_HIGHLIGHT}""", r"\1 ")
    return tf.strings.regex_replace(passage, _HIGHLIGHT, ". ")


def postprocess(
    text: str, example: Mapping[str, object] | None = None, is_target: bool = False
) -> dict[str, object]:
    """The answer as `value`; a target has all answers, and by `group` the query they answer."""
    if not is_target or example is None:
        return {"value": text}
    return {
        "value": as_texts(example["answers"]),
        "group": (example["idx/passage"], example["idx/query"]),
    }


def as_texts(values: object) -> list[str]:
    """Strings, which are bytes where they come from TensorFlow directly."""
    return [tf.compat.as_text(value) for value in values]  # type: ignore[attr-defined]
