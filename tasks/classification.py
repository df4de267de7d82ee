"""Classification as text (Raffel et al. 2020, section 2.4): `rte hypothesis: ... premise: ...`.

The name of the task, then each field as `key: text`; the target is the name of the label. Encoders
by themselves read one or two of the fields as they are, and tell a class.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import seqio
import tensorflow as tf

from t5x_lite.objectives.texts import FIRST, SECOND
from t5x_lite.tasks.registration import Example, add_classes_task, add_task, each
from t5x_lite.text.label_vocabulary import NO_LABEL

# The id of a text that is no label, which therefore never equals a label.
NOT_A_LABEL = -1


@dataclasses.dataclass(frozen=True)
class Classification:
    """The format of a task, and the way back from the text that a model writes.

    `fields` are the keys in the order they are written, each with the feature that it shows;
    `index` is the feature that names an example.
    """

    name: str
    fields: Mapping[str, str]
    labels: Sequence[str]
    index: str = "idx"

    def __call__(self, example: Example) -> Example:
        """`label` is an index into `labels`, or -1."""
        return {
            "inputs": keyed_text(self.name, {k: example[f] for k, f in self.fields.items()}),
            "targets": label_name(example["label"], self.labels),
            self.index: example[self.index],
        }

    def as_texts(self, example: Example, read: Sequence[str]) -> Example:
        """The features that are `read`, one or two, as they are."""
        texts = dict(zip((FIRST, SECOND), [example[feature] for feature in read]))
        return {**texts, "classes": example["label"], self.index: example[self.index]}

    def label_id(self, text: str, example: object = None, is_target: bool = False) -> int | None:
        """The index of the label that `text` is, exactly; -1 for anything else.

        A target of which the label is not known is None, which no prediction equals.
        """
        del example
        if is_target and text == NO_LABEL:
            return None
        return list(self.labels).index(text) if text in self.labels else NOT_A_LABEL


def add_classification(
    name: str,
    classification: Classification,
    *,
    source: seqio.DataSource,
    read_by_encoders: Sequence[str] | None = None,
    metric_fns: Sequence[Callable[..., Any]] = (),
) -> None:
    """Registers a classification as text and, where an encoder by itself `read`s one or two of its
    features, as `<name>_encoder` too: both are scored by the same metrics.
    """
    scored: Any = {"metric_fns": metric_fns, "postprocess_fn": classification.label_id}
    add_task(name, source=source, preprocessors=[each(classification)], **scored)
    if read_by_encoders is not None:
        as_texts = functools.partial(classification.as_texts, read=read_by_encoders)
        add_classes_task(
            name,
            source=source,
            preprocessors=[each(as_texts)],
            labels=classification.labels,
            **scored,
        )


def keyed_text(name: str, fields: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """`name key: text key: text`, with one space between."""
    parts = [part for key, text in fields.items() for part in (f"{key}:", text)]
    return tf.strings.join([name, *parts], separator=" ")


def label_name(label: tf.Tensor, labels: Sequence[str]) -> tf.Tensor:
    """The name of a label, or `<unk>` of -1."""
    return tf.gather(tf.constant([NO_LABEL, *labels]), tf.cast(label, tf.int32) + 1)
