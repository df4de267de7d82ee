"""Winograd schemas as text (T5, section 2.4): `wsc: ... *it* ...` to the noun `it` stands for.

SuperGLUE's WSC and the definite pronoun resolution set (DPR) train; WSC and GLUE's WNLI are
evaluated: is the noun that the model writes the one that the example proposes?
"""

from collections.abc import Mapping

import tensorflow as tf

from t5x_lite.tasks.registration import Example

PROMPT = "wsc:"
_DETERMINERS = frozenset(
    "a an few her his each every many much my our some that the their these this those which whose "
    "your".split()
)


def wsc_to_text(example: Example) -> Example:
    """The target is the proposed noun, whether it is the right one (`label`) or not."""
    text = star_word(example["text"], example["span2_index"], example["span2_text"])
    return {
        "inputs": tf.strings.join([PROMPT, text], separator=" "),
        "targets": example["span1_text"],
        "label": example["label"],
        "idx": example["idx"],
    }


def keep_true(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Training examples: a noun that the pronoun does not stand for is no answer."""
    return dataset.filter(lambda example: example["label"] == 1)


def star_word(text: tf.Tensor, index: tf.Tensor, pronoun: tf.Tensor) -> tf.Tensor:
    """Puts the pronoun at the word `index` between asterisks.

    Two examples of the data set have another word at their index. There the pronoun nearest to it
    is meant, which may be followed by punctuation: `"Good for him,"` to `"Good for *him* ,"`.
    """
    words = tf.strings.split(text, sep=" ")
    index = tf.cast(index, tf.int32)
    return tf.cond(
        tf.equal(words[index], pronoun),
        lambda: _join_around(words, index, tf.strings.join(["*", pronoun, "*"])),
        lambda: tf.strings.strip(_star_nearest(words, index, pronoun)),
    )


def _star_nearest(words: tf.Tensor, index: tf.Tensor, pronoun: tf.Tensor) -> tf.Tensor:
    stems = tf.strings.regex_replace(words, "[[:punct:]]*$", "")
    distance = tf.abs(tf.range(tf.size(words)) - index)
    far = tf.size(words)
    nearest = tf.argmin(tf.where(stems == pronoun, distance, far), output_type=tf.int32)
    # Where the pronoun is nowhere in the text, the index is all there is to go by.
    place = tf.where(stems[nearest] == pronoun, nearest, index)
    punctuation = tf.strings.regex_replace(words[place], "^.*?([[:punct:]]*)$", r"\1")
    starred = tf.strings.join(["*", stems[place], "* ", punctuation])
    return _join_around(words, place, tf.strings.strip(starred))


def _join_around(words: tf.Tensor, index: tf.Tensor, middle: tf.Tensor) -> tf.Tensor:
    parts = tf.concat([words[:index], middle[None], words[index + 1 :]], axis=0)
    return tf.strings.reduce_join(parts, separator=" ")


def dpr_to_text(example: Example) -> Example:
    """The first occurrence of the pronoun is the one to resolve."""
    pattern = tf.strings.join([" (", example["pronoun"], r")( |\.|,)"])
    text = tf.strings.regex_replace(example["sentence"], pattern, r" *\1*\2", replace_global=False)
    return {
        "inputs": tf.strings.join([PROMPT, text], separator=" "),
        "targets": example["candidates"][example["label"]],
    }


def names_the_referent(
    text: str, example: Mapping[str, object] | None = None, is_target: bool = False
) -> int | None:
    """Of a prediction: whether it is the proposed noun. Of a target: whether that is the right one.

    A prediction of nothing is -1, which is wrong whatever the label; so is any without an example.
    A target of which that is not known is None, which no prediction equals.
    """
    if example is None:
        return -1
    if is_target:
        label = int(example["label"])  # type: ignore[call-overload]
        return None if label < 0 else label
    prediction = _words(text)
    referent = _words(tf.compat.as_text(example["targets_pretokenized"]))
    if not prediction:
        return -1
    if not referent:
        return 0
    # Bob is not Bob's hat.
    if any("'" in word for word in prediction) != any("'" in word for word in referent):
        return 0
    return int(prediction <= referent or referent <= prediction)


def _words(text: str) -> set[str]:
    return set(text.strip().lower().split(" ")) - _DETERMINERS - {""}
