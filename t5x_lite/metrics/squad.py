"""Exact match and F1 of words as SQuAD 1.1 scores answers (Rajpurkar et al. 2016)."""

import collections
import re
import string
from collections.abc import Sequence

from t5x_lite.errors import UserError
from t5x_lite.metrics.means import MeanOverExamples

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """What of an answer counts: not case, punctuation, articles or how many spaces there are.

    >>> normalize_answer("The  blue-ish whale, a mammal.")
    'blueish whale mammal'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _score(answers: Sequence[str], prediction: str) -> dict[str, float]:
    if isinstance(answers, str):
        # Its letters would be the answers, and every prediction wrong.
        raise UserError(
            f"squad: a target is the text {answers!r}; needed is the list of all accepted answers, "
            f"such as [{answers!r}]. postprocess_fn makes it of an example."
        )
    if not answers:
        raise UserError(
            "A question without a single answer cannot be scored; is this a split without labels?"
        )
    normalized, given = normalize_answer(prediction), [normalize_answer(each) for each in answers]
    return {
        "em": 100.0 * (normalized in given),
        "f1": 100.0 * max(_f1(each.split(), normalized.split()) for each in given),
    }


def _f1(answer: Sequence[str], prediction: Sequence[str]) -> float:
    """Of two bags of words; 0 where both are empty, as in the official script."""
    same = (collections.Counter(answer) & collections.Counter(prediction)).total()
    return 2 * same / (len(answer) + len(prediction)) if same else 0.0


# Targets are lists of all accepted answers, predictions texts; the best answer counts.
squad = MeanOverExamples(_score)
