"""The tweets: the competition's files where they were given, else sentences of SST-2 in their form,
so that the same tasks read them; and what needs no model to tell them.
"""

import collections
import csv
import os
import pathlib
from collections.abc import Sequence

from etils import epath

from benchmarks.experiments import corpora
from benchmarks.experiments.lab import Lab

TASK = "disaster_tweets"
CLEANINGS = ("no_urls", "no_handles", "no_punctuation", "lower_case", "keyword", "clean")
SENTENCES = 4_000
MAJORITY, TF_IDF = "majority class", "TF-IDF, logistic regression"
_COLUMNS = ("id", "keyword", "location", "text", "target")


def folder(lab: Lab) -> pathlib.Path:
    """What TASK_FILES names; the stand-in is written when it is first needed."""
    if lab.given.data is not None:
        return lab.given.data.resolve()
    place = lab.output / "tweets_stand_in"
    if not (place / "train.csv").exists():
        _write_stand_in(place)
    return place


def _write_stand_in(place: pathlib.Path) -> None:
    """Sentences that are positive stand for tweets of a disaster."""
    place.mkdir(parents=True, exist_ok=True)
    partial = place / "train.csv.partial"
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for number, each in enumerate(corpora.sentiments("train", SENTENCES)):
            writer.writerow([number, "", "", each["sentence"], int(each["label"] == "positive")])
    os.replace(partial, place / "train.csv")


def labelled(lab: Lab, split: str, task: str = TASK) -> tuple[list[str], list[int]]:
    """Texts as a task cleans them, and whether each tells of a disaster.

    Raises:
        FileNotFoundError, UserError: the file is absent or damaged.
    """
    from t5x_lite.tasks import disaster_tweets
    from t5x_lite.tasks.original_files import disaster_tweets as files

    tweets = files.load((epath.Path(folder(lab)),), split)
    texts = [disaster_tweets.CLEANINGS[task](tweet["text"], tweet["keyword"]) for tweet in tweets]
    return texts, [tweet["label"] for tweet in tweets]


def described(lab: Lab) -> str:
    """For a reader who is to judge the numbers."""
    counts = {split: len(labelled(lab, split)[1]) for split in ("train", "validation", "test")}
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    if lab.given.data is not None:
        return f"The tweets are those of {lab.given.data}: {sizes}."
    return (
        f"The competition's tweets were not at hand: in their place stand {SENTENCES:,} sentences "
        f"of SST-2's training set, a positive one for a tweet of a disaster ({sizes})."
    )


def cleanings(lab: Lab) -> list[str]:
    """The tasks whose texts differ from those of `TASK`, and from those of each other."""
    known = [labelled(lab, "train")[0]]
    found = []
    for task in (f"{TASK}_{name}" for name in CLEANINGS):
        texts = labelled(lab, "train", task)[0]
        if texts not in known:
            known.append(texts)
            found.append(task)
    return found


def balanced(lab: Lab) -> tuple[float, ...]:
    """The weights with which both classes count alike, 1 on average over the examples."""
    labels = labelled(lab, "train")[1]
    counts = collections.Counter(labels)
    return tuple(len(labels) / (2 * counts[label]) for label in (0, 1))


def majority(lab: Lab) -> dict[str, float]:
    """Scores on the test split of the class that is the most frequent in training."""
    (answer, _), *_ = collections.Counter(labelled(lab, "train")[1]).most_common()
    true = labelled(lab, "test")[1]
    return scores(true, [answer] * len(true))


def tf_idf(lab: Lab) -> dict[str, float]:
    """Those of scikit-learn's logistic regression of how often words occur."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1_000))
    model.fit(*labelled(lab, "train"))
    texts, true = labelled(lab, "test")
    return scores(true, model.predict(texts).tolist())


def scores(true: Sequence[int], told: Sequence[int]) -> dict[str, float]:
    """As evaluation has them, and of how many examples."""
    from t5x_lite.metrics.accuracy import accuracy
    from t5x_lite.metrics.classification import f1_score_with_invalid

    found = accuracy(true, told) | f1_score_with_invalid(true, told)
    return {name: float(value) for name, value in found.items()} | {"examples": len(true)}
