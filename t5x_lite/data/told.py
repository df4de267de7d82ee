"""What an encoder by itself tells of an example, as the text that metrics are given: the name of a
class, a number, or the words of an answer.

A task asks for it by a feature: `classes`, `values`, `spans`.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import seqio
from jaxtyping import Float, Float32

from t5x_lite.features.layouts import Layout, layout_of
from t5x_lite.objectives import spans

Example = Mapping[str, Any]
Outputs = Float32[np.ndarray, "..."]
Reduced = Float[np.ndarray, " _numbers"]
Vocabulary: TypeAlias = seqio.Vocabulary


def _alone(example: Example) -> Sequence[Example]:
    return (example,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Told:
    """A kind of answer: the head that gives it, at the first position or at all; the few numbers
    that are kept of its outputs, and the text that they are; the text that an example wants.

    Where several examples of a task have one answer, `joined` makes one of them, and `parts` are
    those that are read for it; outputs are of each part.
    """

    feature: str
    head: str
    of_each_token: bool = False
    joined: Callable[[Iterable[Example]], Iterator[Example]] = iter
    parts: Callable[[Example], Sequence[Example]] = _alone
    reduce: Callable[[Sequence[Outputs], Example], Reduced]
    text: Callable[[Reduced, Example, Vocabulary], str]
    target: Callable[[Example, Vocabulary], str]
    probabilities: Callable[[Reduced, Vocabulary], dict[str, float]] | None = None


def told_of(output_features: Mapping[str, seqio.Feature]) -> Told | None:
    """What a task with these features asks for; None where a text is to be written, or nothing of
    the kind is asked.
    """
    if layout_of(output_features) is not Layout.ENCODER:
        return None
    return next((each for each in _TOLD if each.feature in output_features), None)


def _name_of_class(logits: Reduced, example: Example, vocabulary: Vocabulary) -> str:
    return str(vocabulary.decode([int(np.argmax(logits))]))


def _wanted_class(example: Example, vocabulary: Vocabulary) -> str:
    return str(vocabulary.decode([int(example["classes"][0])]))


def _class_probabilities(logits: Reduced, vocabulary: Vocabulary) -> dict[str, float]:
    powers = np.exp(logits - logits.max())
    shares = (powers / powers.sum()).tolist()
    return {str(vocabulary.decode([number])): share for number, share in enumerate(shares)}


def _number(value: Reduced, example: Example, vocabulary: Vocabulary) -> str:
    return f"{float(value[0]):.6g}"


def _wanted_number(example: Example, vocabulary: Vocabulary) -> str:
    return f"{float(example['values'][0]):.6g}"


def _answer(span: Reduced, example: Example, vocabulary: Vocabulary) -> str:
    window, first, last = map(int, span)
    return spans.words_between(_windows(example)[window], first, last)


def _wanted_answer(example: Example, vocabulary: Vocabulary) -> str:
    first, last = map(int, example[spans.ANSWER])
    return " ".join(list(example[spans.WORDS])[first : last + 1]) if first >= 0 else ""


def _windows(example: Example) -> Sequence[Example]:
    found: Sequence[Example] = example[spans.WINDOWS]
    return found


def _as_it_is(outputs: Sequence[Outputs], example: Example) -> Reduced:
    (only,) = outputs
    return np.asarray(only, np.float64)


def _best_span(outputs: Sequence[Outputs], example: Example) -> Reduced:
    return np.array(spans.best(outputs, _windows(example)), np.float64)


_TOLD = (
    Told(
        feature="classes",
        head="classes",
        reduce=_as_it_is,
        text=_name_of_class,
        target=_wanted_class,
        probabilities=_class_probabilities,
    ),
    Told(
        feature="values",
        head="regression",
        reduce=_as_it_is,
        text=_number,
        target=_wanted_number,
    ),
    Told(
        feature="spans",
        head="span",
        of_each_token=True,
        joined=spans.questions,
        parts=_windows,
        reduce=_best_span,
        text=_answer,
        target=_wanted_answer,
    ),
)
