"""WNLI as Winograd schemas (T5, section 2.4): which noun does the hypothesis put for a pronoun?

    The fish ate the worm. It was tasty. / The worm was tasty.
    -> wsc: The fish ate the worm. *It* was tasty. / The worm

The hypothesis repeats the words around the pronoun, so the pronoun is the one with the most words
around it in the hypothesis, and the noun is what stands between those. A heuristic, for evaluation
only; in plain Python, which is why training on it could not be resumed.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from t5x_lite.tasks.registration import Example
from t5x_lite.tasks.winograd import PROMPT

_PRONOUNS = frozenset("he she they it her his their them him".split())
_ARTICLES = ("a", "an", "the")
_PUNCTUATION = ".,?!"


def to_text(example: Example) -> Example:
    """`label` says whether the recovered noun is the right one."""
    inputs, targets = tf.numpy_function(
        _recover, [example["sentence1"], example["sentence2"]], [tf.string, tf.string]
    )
    return {
        "inputs": tf.ensure_shape(inputs, ()),
        "targets": tf.ensure_shape(targets, ()),
        "premise": example["sentence1"],
        "hypothesis": example["sentence2"],
        "label": example["label"],
        "idx": example["idx"],
    }


def _recover(premise: bytes, hypothesis: bytes) -> tuple[bytes, bytes]:
    inputs, targets = recover(premise.decode(), hypothesis.decode())
    return inputs.encode(), targets.encode()


def recover(premise: str, hypothesis: str) -> tuple[str, str]:
    """The premise with a pronoun between asterisks, and the noun that the hypothesis has for it.

    Where there is no pronoun nothing is marked; where no noun is found it is empty, which no
    prediction matches.
    """
    words, said = _clean_words(premise), _clean_words(hypothesis)
    places = [place for place, word in enumerate(words) if word in _PRONOUNS]
    if not places:
        return f"{PROMPT} {premise}", ""
    # The first of equals: max keeps it.
    best = max((_match(words, place, said) for place in places), key=lambda match: match.size)
    noun = _as_written(_from_article(best.noun), hypothesis)
    return f"{PROMPT} {_star(premise, best.place)}", noun


class _Match(NamedTuple):
    """How many words around the pronoun at `place` the hypothesis repeats; what it has between."""

    size: int
    place: int
    noun: str


def _match(words: Sequence[str], place: int, said: Sequence[str]) -> _Match:
    before, after = words[:place], words[place + 1 :]
    num_before = _repeated(before[::-1], said[::-1])
    num_after = _repeated(after, said)
    size = num_before + num_after
    if not size:
        return _Match(0, place, "")
    # Without words before it, all of them are asked for, so that the noun begins the hypothesis.
    left = list(map(re.escape, before[-num_before:] if num_before else before))
    right = list(map(re.escape, after[:num_after]))
    patterns = ([*left, "(.+)", *right], ["^(.+)", *right], [*left, "(.+)$"])
    for pattern in patterns:
        if found := re.search(" ".join(pattern), " ".join(said)):
            return _Match(size, place, found[1])
    return _Match(size, place, "")


def _repeated(words: Sequence[str], said: Sequence[str]) -> int:
    """How many of the first `words` stand together somewhere in what is said."""
    text = " ".join(said)
    for size in range(len(words)):
        if " ".join(words[: size + 1]) not in text:
            return size
    return len(words)


def _clean_words(text: str) -> list[str]:
    """Lower case, without a punctuation mark at the end of a word."""
    words = (re.sub(f"[{_PUNCTUATION}]$", "", word) for word in text.lower().split(" "))
    return [word for word in words if word]


def _star(premise: str, place: int) -> str:
    """Marks the word at `place`, counted as `_clean_words` does; punctuation stays outside."""
    words = premise.split(" ")
    kept = [index for index, word in enumerate(words) if _clean_words(word)]
    word = words[kept[place]]
    stem = word.rstrip(_PUNCTUATION)
    mark = word[len(stem) :]
    words[kept[place]] = f"*{stem}* {mark}" if mark else f"*{stem}*"
    return " ".join(words)


def _from_article(noun: str) -> str:
    """What was taken too early ends where an article begins the noun."""
    words = noun.split(" ")
    return " ".join(words[max((words.index(a) for a in _ARTICLES if a in words), default=0) :])


def _as_written(noun: str, hypothesis: str) -> str:
    """The noun with its capitals, without a final mark and without a possessive ending."""
    words = [rf"{re.escape(word)}[{_PUNCTUATION}]?" for word in noun.split(" ")]
    found = re.search(" ".join(words), hypothesis, re.IGNORECASE)
    if found is None:
        return ""
    written = re.sub(f"[{_PUNCTUATION}]$", "", found[0])
    return re.sub("'s?$", "", written)
