"""Translations as two files of lines, `train.en` and `train.de` (or .gz), or as one of columns.

Read as a stream, since WMT has millions of pairs. Pairs of which one side is empty are left out, as
TFDS does. Lines come in the order of the files, and a task's buffer shuffles a thousand at a time:
shuffle files that begin with one corpus and end with another, both sides alike.
"""

import dataclasses
import functools
import re
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.folders import Folders, missing, places
from t5x_lite.text_files import check_text

_COUNTED_AT_ONCE = 4096
_WITHIN = ("translation", "wmt")
_STEMS = {
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


@dataclasses.dataclass(frozen=True)
class _Side:
    """Where one language's texts are: the lines of a file, or a column of them."""

    path: epath.Path
    column: int | None = None
    skipped_lines: int = 0


_Pair = tuple[_Side, _Side]


@dataclasses.dataclass(frozen=True)
class ParallelText:
    """English and `language`, a code.

    `validation` and `test` are the names under which WMT distributes these sets, in place of the
    usual `val` and `test`.
    """

    language: str
    validation: str
    test: str

    def count(self, folders: Folders, split: str) -> int:
        """How many pairs there are, found by reading them once."""
        return _count(self._find(folders, split))

    def dataset(self, folders: Folders, split: str, *, seed: int | None) -> tf.data.Dataset:
        """Pairs in the order of the files.

        Raises:
            UserError: the two files do not have as many lines.
        """
        del seed
        english, other = self._find(folders, split)
        if english.column is None:
            _check_lengths(english.path, other.path)
        return _read((english, other), self.language)

    def _find(self, folders: Folders, split: str) -> _Pair:
        stems = [
            *_STEMS[split],
            *{"validation": [self.validation], "test": [self.test]}.get(split, []),
        ]
        for place in self._places(folders):
            for stem in stems:
                if pair := self._two_files(place, stem) or self._columns(place, stem):
                    return pair
        stem = stems[0]
        raise missing(
            folders,
            [f"{stem}.en and {stem}.{self.language}", f"{stem}.tsv", "the same with .gz"],
            within=(*_WITHIN, f"*en-{self.language}*"),
            columns=f"an English text in each line, and the {self.language} text in the same line "
            "of the other file, or two columns of them",
        )

    def _places(self, folders: Folders) -> Iterator[epath.Path]:
        """Folders that name the two languages before those that name none."""
        for place in places(folders, _WITHIN):
            yield from (each for each in sorted(place.iterdir()) if self._names_pair(each))
            # The texts of other languages have no other names.
            if not _pair_in(place.name) or self._names_pair(place):
                yield place

    def _names_pair(self, folder: epath.Path) -> bool:
        return {"en", self.language} == set(_pair_in(folder.name)) and folder.is_dir()

    def _two_files(self, place: epath.Path, stem: str) -> _Pair | None:
        english, other = (_variants(place, stem, code) for code in ("en", self.language))
        variants = sorted(english.keys() & other.keys())
        if not variants:
            return None
        if len(variants) > 1 and "" not in variants:
            listed = ", ".join(english[variant].name for variant in variants)
            raise UserError(
                f"{place} has several texts for one set: {listed}. Needed is a single one: name "
                f"those you mean {stem}.en and {stem}.{self.language}."
            )
        return _Side(english[variants[0]]), _Side(other[variants[0]])

    def _columns(self, place: epath.Path, stem: str) -> _Pair | None:
        for path in (place / f"{stem}.tsv", place / f"{stem}.tsv.gz"):
            if not path.exists():
                continue
            first = next(iter(_lines(path).take(1).as_numpy_iterator()), b"").decode()
            cells = first.split("\t")
            codes = [cell.strip().lower() for cell in cells]
            if {"en", self.language} <= set(codes):
                return _Side(path, codes.index("en"), 1), _Side(path, codes.index(self.language), 1)
            if len(cells) < 2:
                raise UserError(
                    f"{path} has no second column: needed are an English and a {self.language} "
                    f"text with a tab between, found is {first[:80]!r}"
                )
            # Without names of columns, they are in the order in which the folder names them.
            order = _pair_in(place.name) or ("en", self.language)
            return _Side(path, order.index("en")), _Side(path, order.index(self.language))
        return None


def _pair_in(name: str) -> tuple[str, ...]:
    """The codes of the two languages of our tasks that a name has next to each other, if any."""
    codes = "de|fr|ro"
    pattern = rf"(?<![a-z])(?:(en)[-_]?({codes})|({codes})[-_]?(en))(?![a-z])"
    found = re.search(pattern, name.lower())
    return tuple(code for code in found.groups() if code) if found else ()


def _variants(place: epath.Path, stem: str, code: str) -> dict[str, epath.Path]:
    """Files such as train.en, train.de-en.en, test_2016.en.gz by what is between stem and code."""
    pattern = re.compile(rf"{re.escape(stem)}((?:[._-].*)?)\.{code}(?:\.gz)?")
    found = {}
    for path in sorted(place.iterdir()):
        if (match := pattern.fullmatch(path.name)) and path.is_file():
            found[match[1]] = path
    return found


# Once a file; TensorFlow takes everything.
_check_text = functools.cache(check_text)


def _lines(path: epath.Path) -> tf.data.Dataset:
    _check_text(path)
    compression = "GZIP" if path.name.endswith(".gz") else None
    return tf.data.TextLineDataset(str(path), compression_type=compression)


def _read(pair: _Pair, language: str) -> tf.data.Dataset:
    texts = tf.data.Dataset.zip({"en": _side(pair[0]), language: _side(pair[1])})
    return texts.filter(lambda both: _is_full(both["en"], both[language]))


def _is_full(english: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    return tf.logical_and(tf.strings.length(english) > 0, tf.strings.length(other) > 0)


def _side(side: _Side) -> tf.data.Dataset:
    lines = _lines(side.path).skip(side.skipped_lines)
    if (column := side.column) is None:
        return lines
    # A line without the column gives an empty text, and so is left out.
    return lines.map(lambda line: tf.concat([tf.strings.split(line, "\t"), ["", ""]], 0)[column])


@functools.cache
def _check_lengths(english: epath.Path, other: epath.Path) -> None:
    """A pair out of step would teach nonsense from there on."""
    counts = [sum(map(len, _in_batches(_lines(path)))) for path in (english, other)]
    if counts[0] != counts[1]:
        raise UserError(
            f"{english} has {counts[0]} lines and {other} has {counts[1]}; needed is line by line "
            "the same text in both languages"
        )


def _in_batches(lines: tf.data.Dataset) -> Iterator[np.ndarray]:
    """One at a time is too slow for millions."""
    return lines.batch(_COUNTED_AT_ONCE).as_numpy_iterator()


@functools.cache
def _count(pair: _Pair) -> int:
    full = tf.data.Dataset.zip(*map(_side, pair)).batch(_COUNTED_AT_ONCE).map(_is_full)
    return sum(int(each.sum()) for each in full.as_numpy_iterator())
