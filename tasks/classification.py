"""Classification as text (Raffel et al. 2020, section 2.4): `rte hypothesis: ... premise: ...`.

The name of the task, then each field as `key: text`; the target is the name of the label.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from t5x_lite.tasks.registration import Example

# The target where a test set keeps its labels to itself.
NO_LABEL = "<unk>"
# The id of a text that is no label, which therefore never equals a label.
NOT_A_LABEL = -1


@dataclasses.dataclass(frozen=True)
class Classification:
    """The format of a task, and the way back from the text that a model writes.

    `fields` are the keys in the order they are written, each with the feature that it shows.
    """

    name: str
    fields: Mapping[str, str]
    labels: Sequence[str]

    def __call__(self, example: Example) -> Example:
        """`label` is an index into `labels`, or -1."""
        return {
            "inputs": keyed_text(self.name, {k: example[f] for k, f in self.fields.items()}),
            "targets": label_name(example["label"], self.labels),
            "idx": example["idx"],
        }

    def label_id(self, text: str, example: object = None, is_target: bool = False) -> int | None:
        """The index of the label that `text` is, exactly; -1 for anything else.

        A target of which the label is not known is None, which no prediction equals.
        """
        del example
        if is_target and text == NO_LABEL:
            return None
        return list(self.labels).index(text) if text in self.labels else NOT_A_LABEL


def keyed_text(name: str, fields: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """`name key: text key: text`, with one space between."""
    parts = [part for key, text in fields.items() for part in (f"{key}:", text)]
    return tf.strings.join([name, *parts], separator=" ")


def label_name(label: tf.Tensor, labels: Sequence[str]) -> tf.Tensor:
    """The name of a label, or `<unk>` of -1."""
    return tf.gather(tf.constant([NO_LABEL, *labels]), tf.cast(label, tf.int32) + 1)
