"""Tweets that tell of a disaster, or only use its words (Ojo et al.'s comparison; the data of a
public competition, read through TASK_FILES).

| task                           | inputs                          | targets                |
|--------------------------------|---------------------------------|------------------------|
| disaster_tweets                | `disaster tweet: ` and the text | disaster, not_disaster |
| disaster_tweets_no_urls        | without addresses               | the same               |
| disaster_tweets_no_handles     | without `@names`                |                        |
| disaster_tweets_no_punctuation | letters, digits and blanks      |                        |
| disaster_tweets_lower_case     | in small letters                |                        |
| disaster_tweets_keyword        | the row's keyword in front      |                        |
| disaster_tweets_clean          | all but the keyword             |                        |

Each has a twin for encoders by themselves, `disaster_tweets_encoder` and so on. HTML entities are
characters in all of them. Another combination:

    add("my_tweets", Cleaning(urls=False, keyword=True))
"""

import dataclasses
import functools
import html
import re
import string
import urllib.parse
from collections.abc import Mapping
from typing import Any

from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.classification import f1_score_with_invalid
from t5x_lite.tasks.classification import Classification, add_classification
from t5x_lite.tasks.original_files.disaster_tweets import DISASTER_TWEETS, SPLITS, SUBMISSION, load
from t5x_lite.tasks.original_files.examples import ExampleFiles
from t5x_lite.tasks.original_files.folders import Folders
from t5x_lite.tasks.sources import DownstreamSource

LABELS = ("not_disaster", "disaster")
_URL = re.compile(r"(https?://|www\.)\S+")
_HANDLE = re.compile(r"(?<!\w)@\w+")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))


@dataclasses.dataclass(frozen=True)
class Cleaning:
    """What stays of a tweet, and whether its keyword stands in front: `wild fires: ...`."""

    urls: bool = True
    handles: bool = True
    punctuation: bool = True
    case: bool = True
    keyword: bool = False

    def __call__(self, text: str, keyword: str = "") -> str:
        """The text as a model reads it, with one blank between words.

        >>> Cleaning(urls=False, keyword=True)("Fire &amp; smoke http://t.co/x", "wild%20fires")
        'wild fires: Fire & smoke'
        """
        text = html.unescape(text)
        if not self.urls:
            text = _URL.sub(" ", text)
        if not self.handles:
            text = _HANDLE.sub(" ", text)
        if not self.punctuation:
            text = text.translate(_PUNCTUATION)
        if not self.case:
            text = text.lower()
        text = " ".join(text.split())
        name = urllib.parse.unquote(keyword).strip()
        return f"{name}: {text}" if self.keyword and name else text


CLEANINGS: Mapping[str, Cleaning] = {
    "disaster_tweets": Cleaning(),
    "disaster_tweets_no_urls": Cleaning(urls=False),
    "disaster_tweets_no_handles": Cleaning(handles=False),
    "disaster_tweets_no_punctuation": Cleaning(punctuation=False),
    "disaster_tweets_lower_case": Cleaning(case=False),
    "disaster_tweets_keyword": Cleaning(keyword=True),
    "disaster_tweets_clean": Cleaning(urls=False, handles=False, punctuation=False, case=False),
}


def add(name: str, cleaning: Cleaning) -> None:
    """Registers the task under this name, and its twin for encoders."""
    files = ExampleFiles(DISASTER_TWEETS.features, functools.partial(_cleaned, cleaning))
    add_classification(
        name,
        Classification("disaster", {"tweet": "text"}, LABELS, index="id"),
        source=DownstreamSource(
            None, (*SPLITS, SUBMISSION), files, splits_without_labels=[SUBMISSION]
        ),
        read_by_encoders=["text"],
        metric_fns=[accuracy, f1_score_with_invalid],
    )


def _cleaned(cleaning: Cleaning, folders: Folders, split: str) -> list[dict[str, Any]]:
    return [
        {**tweet, "text": cleaning(tweet["text"], tweet["keyword"])}
        for tweet in load(folders, split)
    ]


for _name, _cleaning in CLEANINGS.items():
    add(_name, _cleaning)
