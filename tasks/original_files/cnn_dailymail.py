"""CNN/DailyMail as CSV: `train.csv`, `validation.csv`, `test.csv` with id, article, highlights.

Read as a stream, since the articles are more than a gigabyte.
"""

import csv
import dataclasses
import functools

import tensorflow as tf
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.folders import Folders, child, find, places

_WITHIN = ("cnn_dailymail", "cnn_dm", "summarization")
_COUNTED_AT_ONCE = 4096
_NEEDED = ("id", "article", "highlights")
_COLUMNS = f"the columns {', '.join(_NEEDED)}, names in the first line"


@dataclasses.dataclass(frozen=True)
class CnnDailymailFiles:
    """Articles and highlights; a text may be quoted and then contain commas and line breaks."""

    def count(self, folders: Folders, split: str) -> int:
        """How many articles there are, found by reading them once."""
        return _count(_find(folders, split))

    def dataset(self, folders: Folders, split: str, *, seed: int | None) -> tf.data.Dataset:
        """Articles in the order of the file; a task's buffer shuffles.

        Raises:
            UserError: a column is missing.
        """
        del seed
        return _read(_find(folders, split))


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
    ids = _read(path).map(lambda example: example["id"])
    return int(sum(len(batch) for batch in ids.batch(_COUNTED_AT_ONCE).as_numpy_iterator()))


def _read(path: epath.Path) -> tf.data.Dataset:
    with path.open() as file:
        header = next(csv.reader(file), [])
    if absent := [name for name in _NEEDED if name not in header]:
        raise UserError(
            f"{path} has no column {', '.join(absent)}; needed are {_COLUMNS}, found are "
            f"{', '.join(header)}"
        )
    places_ = {name: header.index(name) for name in _NEEDED}
    order = sorted(_NEEDED, key=places_.__getitem__)
    rows = tf.data.experimental.CsvDataset(
        str(path),
        [tf.string] * len(order),
        header=True,
        select_cols=[places_[name] for name in order],
    )
    # TFDS knows which of the two a text is from; the format does not show it.
    return rows.map(lambda *cells: {**dict(zip(order, cells, strict=True)), "publisher": ""})


CNN_DAILYMAIL_FILES = CnnDailymailFiles()
