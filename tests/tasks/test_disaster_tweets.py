"""Disaster tweets: the competition's CSV, whatever tweets hold, cleaned as asked, split fairly."""

import collections
import csv

import numpy as np
import pytest
import seqio

from t5x_lite.data.examples import evaluation_tasks
from t5x_lite.tasks import disaster_tweets
from t5x_lite.tasks.disaster_tweets import Cleaning

NASTY = (
    'Fire &amp; "smoke",\nsee http://t.co/aB1?x=2, via @Some_One: 5&gt;4 \u2019caf\u00e9\u2019 #wow'
)
COUNT = 200


@pytest.fixture(scope="module")
def rows():
    """Tweets of which three sevenths are of disasters, as they are there; one is there twice."""
    made = [
        (str(number), "wild%20fires", "Here, there", f"{NASTY} number {number}", number % 7 < 3)
        for number in range(COUNT)
    ]
    return [*made, ("900", "", "", made[3][3], True)]


@pytest.fixture
def folder(rows, tmp_path, read_from):
    """The files, as Python's csv writes them: quotes where they are needed."""
    place = tmp_path / "nlp-getting-started"
    place.mkdir()
    for name, count in (("train.csv", 5), ("test.csv", 4)):
        with open(place / name, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "keyword", "location", "text", "target"][:count])
            writer.writerows([*row[:4], int(row[4])][:count] for row in rows)
    read_from(tmp_path)
    return place


@pytest.mark.parametrize(
    ("cleaning", "text"),
    [
        (
            Cleaning(),
            'Fire & "smoke", see http://t.co/aB1?x=2, via @Some_One: '
            "5>4 \u2019caf\u00e9\u2019 #wow",
        ),
        (
            Cleaning(urls=False, handles=False),
            'Fire & "smoke", see via : 5>4 \u2019caf\u00e9\u2019 #wow',
        ),
        (
            Cleaning(punctuation=False, case=False),
            "fire smoke see http t co ab1 x 2 via some one 5 4 \u2019caf\u00e9\u2019 wow",
        ),
        (Cleaning(False, False, False, False), "fire smoke see via 5 4 \u2019caf\u00e9\u2019 wow"),
    ],
)
def test_what_stays_of_a_tweet(cleaning, text):
    """Entities are characters in any case, and blanks are one."""
    assert cleaning(NASTY, "wild%20fires") == text
    with_keyword = Cleaning(**{**vars(cleaning), "keyword": True})
    assert with_keyword(NASTY, "wild%20fires") == f"wild fires: {text}"
    assert with_keyword(NASTY, "") == text


def test_both_kinds_of_models_read_the_same_tweets(folder, formatted_split, rows):
    """Whatever quotes, line breaks and letters there are."""
    for split in disaster_tweets.SPLITS:
        text = formatted_split("disaster_tweets", split)
        twin = formatted_split("disaster_tweets_encoder", split)
        for one, other in zip(text, twin, strict=True):
            assert one["inputs"] == f"disaster tweet: {other['first']}"
            assert one["targets"] == disaster_tweets.LABELS[other["classes"]]
            assert one["id"] == other["id"]
    cleaned = formatted_split("disaster_tweets_keyword_encoder", "train")[0]["first"]
    assert cleaned.startswith("wild fires: Fire & ")
    task = seqio.TaskRegistry.get("disaster_tweets_encoder")
    assert task.output_features["classes"].vocabulary.labels == disaster_tweets.LABELS


def test_the_split_is_fair_and_always_the_same(folder, formatted_split, rows):
    """A tenth of each class in either held-out split; who is there twice is in one of them."""
    place_of = {}
    counts = collections.Counter()
    for split in disaster_tweets.SPLITS:
        for each in formatted_split("disaster_tweets_encoder", split):
            assert each["id"] not in place_of
            place_of[each["id"]] = split
            counts[split, int(each["classes"])] += each["id"] != "900"
    assert len(place_of) == len(rows)
    assert place_of["900"] == place_of["3"]
    total = collections.Counter(row[4] for row in rows if row[0] != "900")
    for split in ("validation", "test"):
        for label in (0, 1):
            assert abs(counts[split, label] - total[bool(label)] / 10) <= 1
    assert [place_of[str(number)] for number in range(12)] == EXPECTED


# So that nobody's numbers change: by a hash of the text alone.
EXPECTED = "train train train test train train train train train train train train".split()


def test_tweets_to_be_submitted_have_no_label(folder, formatted_split):
    """They are not scored either."""
    found = formatted_split("disaster_tweets_encoder", "submission")
    assert len(found) == COUNT + 1 and {int(each["classes"]) for each in found} == {-1}
    (task,) = evaluation_tasks("disaster_tweets", split="submission")
    assert not task.has_metrics


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,keyword,text,target\n1,a,b,0\n", "no column location; needed are id, keyword"),
        (b"", "no column id, keyword, location, text, target"),
        (b"id,keyword,location,text,target\n1,,,Fire,2\n", "line 2 has target='2'; needed is 0"),
        (b"id,keyword,location,text,target\n1,,,Fire, smoke,1\n", "without its quotes"),
        (b"id,keyword,location,text,target\n1,,,Fire\n", "4 fields or more for 5 columns"),
        (b'id,keyword,location,text,target\n1,,,"Fire,1\n', "needed is CSV with quotes"),
    ],
)
def test_files_that_are_none_are_refused(content, message, tmp_path, read_from):
    """With the line and what is needed."""
    (tmp_path / "train.csv").write_bytes(content)
    read_from(tmp_path)
    source = seqio.TaskRegistry.get("disaster_tweets").source
    with pytest.raises(ValueError, match=message):
        source.num_input_examples("train")


def test_bytes_that_are_no_text_are_said(tmp_path, read_from, caplog):
    """They are replaced, and a file is read all the same."""
    rows = b"id,keyword,location,text,target\n" + b"".join(
        b"%d,,,caf\xe9 %d,%d\n" % (number, number, number % 2) for number in range(20)
    )
    (tmp_path / "train.csv").write_bytes(rows)
    read_from(tmp_path)
    source = seqio.TaskRegistry.get("disaster_tweets").source
    counts = [source.num_input_examples(split) for split in disaster_tweets.SPLITS]
    assert sum(counts) == 20 and counts[1:] == [2, 2]
    assert "20 bytes or more that are no UTF-8" in caplog.text


def test_without_files_the_user_is_told_where_to_put_them(read_from):
    """TFDS has no such data set."""
    source = seqio.TaskRegistry.get("disaster_tweets").source
    with pytest.raises(FileNotFoundError, match="TFDS does not have .*TASK_FILES"):
        source.num_input_examples("train")
    assert np.all([name in source.splits for name in disaster_tweets.SPLITS])
