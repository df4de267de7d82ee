"""CNN/DailyMail as CSV: `train.csv`, `validation.csv`, `test.csv` with id, article, highlights.

Read as a stream, since the articles are more than a gigabyte. Rows without an article or without
highlights are left out, as TFDS does.
"""

import csv
import dataclasses
import functools
import logging
import sys
from collections.abc import Mapping

import tensorflow as tf
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.folders import Folders, child, find, places
from t5x_lite.text_files import text_lines

_logger = logging.getLogger(__name__)

_WITHIN = ("cnn_dailymail", "cnn_dm", "summarization")
_NEEDED = ("id", "article", "highlights")
_TEXTS = ("article", "highlights")
_COLUMNS = f"the columns {', '.join(_NEEDED)}, names in the first line"
# What TensorFlow strips too, so that both leave out the same rows.
_SPACES = " \t\n\v\f\r"


@dataclasses.dataclass(frozen=True)
class CnnDailymailFiles:
    """Articles and highlights; a text may be quoted and then contain commas and line breaks."""

    def count(self, folders: Folders, split: str) -> int:
        """How many complete rows there are, found by reading them once."""
        return _count(_find(folders, split))

    def dataset(self, folders: Folders, split: str, *, seed: int | None) -> tf.data.Dataset:
        """Articles in the order of the file; a task's buffer shuffles.

        Raises:
            UserError: a column is missing, or a row lacks some.
        """
        del seed
        path = _find(folders, split)
        # Before hours of training, not at the row: what is left out, and what cannot be read.
        _count(path)
        return _read(path)


def _find(folders: Folders, split: str) -> epath.Path:
    names = [
        f"{name}.csv" for name in ((split, "val", "dev") if split == "validation" else (split,))
    ]
    if split == "train" and (only := _only_file(folders)) is not None:
        return only
    return find(folders, names, within=_WITHIN, columns=_COLUMNS)


def _only_file(folders: Folders) -> epath.Path | None:
    """A folder with one file, whatever its name, has training data and nothing else."""
    for place in places(folders, _WITHIN):
        if child(place, "train.csv") is not None:
            return None
        if len(files := sorted(place.glob("*.csv"))) == 1:
            return files[0]
    return None


@functools.cache
def _count(path: epath.Path) -> int:
    """The complete rows; says how many others there are, once."""
    places_ = _places(path)
    last, complete, others = max(places_.values()), 0, 0
    csv.field_size_limit(sys.maxsize)  # that of Python is 128 KiB, a long article
    rows = csv.reader(text_lines(path))
    next(rows)
    for row in rows:
        if len(row) <= last:
            raise UserError(
                f"{path}: the row that ends in line {rows.line_num} has {len(row)} columns, "
                f"needed are {last + 1}: complete or remove it. A text with commas or line "
                "breaks has to be quoted."
            )
        if all(row[places_[name]].strip(_SPACES) for name in _TEXTS):
            complete += 1
        else:
            others += 1
    if others:
        _logger.warning(
            "%s: left out are %d rows without an article or highlights, as in TFDS", path, others
        )
    return complete


def _places(path: epath.Path) -> dict[str, int]:
    """Which columns are needed."""
    header = next(csv.reader(text_lines(path)), [])
    if absent := [name for name in _NEEDED if name not in header]:
        raise UserError(
            f"{path} has no column {', '.join(absent)}; needed are {_COLUMNS}, found are "
            f"{', '.join(header)}"
        )
    return {name: header.index(name) for name in _NEEDED}


def _read(path: epath.Path) -> tf.data.Dataset:
    places_ = _places(path)
    order = sorted(_NEEDED, key=places_.__getitem__)
    rows = tf.data.experimental.CsvDataset(
        str(path),
        # Not tf.string, to which an empty cell is an error.
        [tf.constant("")] * len(order),
        header=True,
        select_cols=[places_[name] for name in order],
    )
    # TFDS knows which of the two a text is from; the format does not show it.
    examples = rows.map(lambda *cells: {**dict(zip(order, cells, strict=True)), "publisher": ""})
    return examples.filter(_is_complete)


def _is_complete(example: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return tf.reduce_all([tf.strings.strip(example[name]) != "" for name in _TEXTS])


CNN_DAILYMAIL_FILES = CnnDailymailFiles()
