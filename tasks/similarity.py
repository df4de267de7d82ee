"""STS-B: a similarity of 0 to 5, written as one of 26 numbers in steps of 0.2 (T5, section 2.4)."""

import math

import tensorflow as tf

from t5x_lite.objectives.texts import FIRST, SECOND
from t5x_lite.tasks.classification import NO_LABEL, keyed_text
from t5x_lite.tasks.registration import Example

_STEPS_PER_POINT = 5
_NOT_A_NUMBER = -1.0


def to_text(example: Example) -> Example:
    """2.57 becomes `2.6`; halves of a step go to the even one: 3.25 becomes `3.2`."""
    score = tf.round(example["label"] * _STEPS_PER_POINT) / _STEPS_PER_POINT
    return {
        "inputs": keyed_text("stsb", {key: example[key] for key in ("sentence1", "sentence2")}),
        "targets": tf.where(score < 0, NO_LABEL, tf.strings.as_string(score, precision=1)),
        "idx": example["idx"],
    }


def as_texts(example: Example) -> Example:
    """Both sentences and the similarity as it is, for an encoder by itself."""
    return {
        FIRST: example["sentence1"],
        SECOND: example["sentence2"],
        "values": example["label"],
        "idx": example["idx"],
    }


def number(text: str, **_: object) -> float:
    """The number a text is; -1 for anything else, also for `nan`, which would void the metric."""
    try:
        value = float(text)
    except ValueError:
        return _NOT_A_NUMBER
    return value if math.isfinite(value) else _NOT_A_NUMBER
