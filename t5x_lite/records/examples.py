"""Rows to the texts of examples: which split a row is in, and what cannot be used."""

import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.records import formats
from t5x_lite.records.config import BadRows, RecordsConfig, Told
from t5x_lite.records.formats import BadRowError, Raw, Values

TRAIN, VALIDATION, ALL = "train", "validation", "all"
SPLITS = (TRAIN, VALIDATION, ALL)
_HASHES = 2**32

_logger = logging.getLogger(__name__)
# Of this process, by file: how many rows were skipped. Rows are read by threads, and again in
# every epoch; a row counts once.
_skipped: dict[str, set[str]] = {}


class Example(NamedTuple):
    """What is read, and what is to be written or told: a text by itself is all target."""

    inputs: str
    targets: str


def number_skipped() -> Counter[str]:
    """Rows of each file that were skipped so far in this process."""
    return Counter({file: len(places) for file, places in _skipped.items()})


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of one file as examples of a split."""

    config: RecordsConfig
    path: epath.Path
    split: str

    def examples(self, raws: Iterator[Raw]) -> Iterator[Example]:
        """Those of these rows that belong to the split.

        Raises:
            UserError: a row cannot be used, and bad rows are errors.
        """
        for raw in raws:
            try:
                example = self._example(raw.values())
            except BadRowError as error:
                self._refuse(raw.place, str(error))
                continue
            if self._belongs(example):
                yield example

    def _example(self, values: Values) -> Example:
        config = self.config
        if not config.is_pair:
            return Example("", formats.text_of(values, config.field))
        inputs, targets = (formats.text_of(values, field) for field in config.fields)
        if config.told is Told.CLASSES and targets not in config.labels:
            raise BadRowError(
                f"{config.targets} is {targets[:40]!r}, and the labels are "
                f"{', '.join(config.labels)} (--labels=...)"
            )
        if config.told is Told.VALUES:
            _number(config.targets, targets)
        return Example(config.prefix + inputs, targets)

    def _belongs(self, example: Example) -> bool:
        share = self.config.held_out
        if isinstance(share, str) or self.split == ALL:  # other files are held out, or nothing
            return True
        is_held_out = share_of(example) < share
        return is_held_out == (self.split == VALIDATION)

    def _refuse(self, place: str, why: str) -> None:
        if self.config.bad_rows is BadRows.ERROR:
            raise UserError(
                f"{self.path}, {place}: {why}. Mend the row, or leave out such rows: "
                "--on_bad_row=skip"
            )
        skipped = _skipped.setdefault(str(self.path), set())
        if place not in skipped:
            skipped.add(place)
            count = len(skipped)
            if count == 10 ** (len(str(count)) - 1):
                _logger.warning("%s, %s: %s; skipped (%s so far)", self.path, place, why, count)


def share_of(example: Example) -> float:
    """A number from 0 to 1 that is random to look at, and always the same for the same text: that
    of a pair is its inputs', whatever was made of them.
    """
    text = example.inputs or example.targets
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") / _HASHES


def _number(field: str | None, text: str) -> None:
    try:
        float(text)
    except ValueError:
        raise BadRowError(f"{field} is {text[:40]!r}; needed is a number") from None


def files_of(config: RecordsConfig, split: str) -> Sequence[epath.Path]:
    """The files that a split is read from.

    Raises:
        UserError: there are none.
    """
    assert config.paths is not None, "there are files"
    if split == VALIDATION and isinstance(config.held_out, str):
        return formats.files(config.held_out)
    return formats.files(config.paths)


def rows_of(config: RecordsConfig, split: str) -> Iterator[Example]:
    """All examples of a split, file by file."""
    for path in files_of(config, split):
        yield from Rows(config, path, split).examples(formats.rows(path, config.fields))
