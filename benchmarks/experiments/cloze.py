"""Which sentence goes on? A true one and three of other articles, none of them trained on."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from benchmarks.experiments import corpora

NUM_QUESTIONS = 300
_NUM_WRONG = 3
_WORDS = (8, 25)  # of a sentence: three of them fit the rows that the model was trained on


@dataclasses.dataclass(frozen=True)
class Question:
    """Two sentences of an article, and four to go on with, the true one first."""

    context: str
    options: Sequence[str]


def questions(count: int, seed: int = 0) -> list[Question]:
    """Of so many different true sentences from the articles of the test split."""
    rng = np.random.default_rng(seed)
    articles = [_triples(each["targets"]) for each in corpora.articles("test")]
    places = [(own, triple) for own, triples in enumerate(articles) for triple in triples]
    found = []
    for place in rng.choice(len(places), count, replace=False):
        own, (first, second, true) = places[place]
        others = [i for i, triples in enumerate(articles) if triples and i != own]
        wrong = [
            articles[other][rng.integers(len(articles[other]))][2]
            for other in rng.choice(others, _NUM_WRONG, replace=False)
        ]
        found.append(Question(f"{first}{second}", [true, *wrong]))
    return found


def num_right(model_dir: pathlib.Path, asked: Sequence[Question]) -> int:
    """Questions of which a trained model prefers the true sentence, by its probability behind the
    context in relation to that behind nothing.
    """
    import t5x_lite

    model = t5x_lite.load(model_dir)
    options = [option for question in asked for option in question.options]
    contexts = [question.context for question in asked for _ in question.options]
    behind = np.subtract(model.score(contexts, options), model.score([""] * len(options), options))
    return int((behind.reshape(len(asked), -1).argmax(axis=1) == 0).sum())


def _triples(text: str) -> list[tuple[str, str, str]]:
    """Three sentences of one paragraph after another, each with the blank before it."""
    found = []
    for paragraph in text.split("\n"):
        whole = f"{paragraph} ".split(" . ")[:-1]
        sentences = [f" {sentence} ." for sentence in whole]
        for triple in zip(sentences, sentences[1:], sentences[2:]):
            if all(_WORDS[0] <= len(sentence.split()) <= _WORDS[1] for sentence in triple):
                found.append(triple)
    return found
