"""MultiRC: is this an answer to that question? Scored over all answers and by whole questions."""

from collections.abc import Mapping

import tensorflow as tf

from t5x_lite.tasks.classification import Classification
from t5x_lite.tasks.registration import Example

_FORMAT = Classification(
    "multirc",
    fields={key: key for key in ("question", "answer", "paragraph")},
    labels=("False", "True"),
)
_INDICES = ("paragraph", "question", "answer")


def to_text(example: Example) -> Example:
    """Line breaks of the markup become spaces, bold is dropped."""
    formatted = _FORMAT(example)
    text = tf.strings.regex_replace(formatted["inputs"], "<br>", " ")
    indices = {f"idx/{name}": example["idx"][name] for name in _INDICES}
    return {
        "inputs": tf.strings.regex_replace(text, "</?b>", ""),
        "targets": formatted["targets"],
        **indices,
    }


def postprocess(
    text: str, example: Mapping[str, object] | None = None, is_target: bool = False
) -> dict[str, object]:
    """The label as `value`; a target also says by `group` to which question it belongs."""
    value = {"value": _FORMAT.label_id(text, is_target=is_target)}
    return {**value, "group": example["idx/question"]} if is_target and example else value
