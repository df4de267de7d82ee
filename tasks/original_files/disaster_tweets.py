"""The public competition's CSV files: `train.csv` with id, keyword, location, text, target, and
`test.csv` without the last.

Only `train.csv` has labels, so it is split, the same for everybody: 10 % of each class are for the
test, 10 % for validation, chosen by a hash of the text; a text that is there twice is in one split.
`submission` is `test.csv`.
"""

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.examples import LABEL, TEXT, Example, ExampleFiles
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.tasks.splits import digest
from t5x_lite.text_files import read_bytes

SPLITS = ("train", "validation", "test")
SUBMISSION = "submission"
_WITHIN = ("disaster_tweets", "nlp-getting-started")
_COLUMNS = ("id", "keyword", "location", "text")
_LABEL = "target"
_SEED = 0
# Of each class, for test and for validation.
_SHARE = 0.1
_REPLACEMENT = "\ufffd"

_logger = logging.getLogger(__name__)


def load(folders: Folders, split: str) -> list[Example]:
    """The tweets of a split, in the order of the file.

    Raises:
        FileNotFoundError: the file is nowhere.
        UserError: it lacks a column, or a row has another target than 0 or 1.
    """
    needed = [*_COLUMNS, *([] if split == SUBMISSION else [_LABEL])]
    listed = f"the columns {', '.join(needed)}, names in the first line"
    name = "test.csv" if split == SUBMISSION else "train.csv"
    path = find(folders, [name], within=_WITHIN, columns=listed)
    tweets = [_tweet(row, where) for row, where in _rows(path, needed)]
    if split == SUBMISSION:
        return tweets
    splits = _splits(tweets)
    return [tweet for tweet in tweets if splits[tweet["text"]] == split]


def _rows(path: epath.Path, needed: Sequence[str]) -> Iterator[tuple[Mapping[str, str], str]]:
    """Rows and where they begin. A text may be quoted, and then hold commas and line breaks."""
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    if count := text.count(_REPLACEMENT):
        _logger.warning(
            "%s has %s bytes or more that are no UTF-8: each is %s now.",
            path,
            f"{count:,}",
            _REPLACEMENT,
        )
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        absent = [name for name in needed if name not in (reader.fieldnames or ())]
        if absent:
            raise UserError(
                f"{path} has no column {', '.join(absent)}; needed are {', '.join(needed)} in the "
                f"first line, found are {', '.join(reader.fieldnames or ()) or 'none'}."
            )
        for row in reader:
            where = f"{path}, the row that ends at line {reader.line_num}"
            if None in row or any(row[name] is None for name in needed):
                found = sum(value is not None for value in row.values())
                raise UserError(
                    f"{where} has {found} fields or more for {len(reader.fieldnames or ())} "
                    "columns; needed is one each: is a text with commas without its quotes?"
                )
            yield row, where
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: {error}; needed is CSV with quotes around texts that "
            "hold commas or line breaks."
        ) from error


def _tweet(row: Mapping[str, str], where: str) -> Example:
    label = row.get(_LABEL)
    if label is not None and label.strip() not in ("0", "1"):
        raise UserError(f"{where} has {_LABEL}={label!r}; needed is 0, or 1 for a disaster.")
    known = -1 if label is None else int(label)
    return {**{name: row[name] for name in _COLUMNS}, "label": known}


def _splits(tweets: Sequence[Example]) -> dict[str, str]:
    """The split of each text."""
    found: dict[str, str] = {}
    for label in (0, 1):
        texts = {tweet["text"] for tweet in tweets if tweet["label"] == label}
        ordered = sorted(texts, key=lambda text: digest(f"{_SEED} {text}"))
        held_out = round(_SHARE * len(ordered))
        for place, text in enumerate(ordered):
            split = SPLITS[2] if place < held_out else SPLITS[1] if place < 2 * held_out else None
            # Who labelled a text twice did not always agree.
            found.setdefault(text, split or SPLITS[0])
    return found


DISASTER_TWEETS = ExampleFiles({**dict.fromkeys(_COLUMNS, TEXT), "label": LABEL}, load)
