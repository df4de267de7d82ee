"""GLUE's tab-separated files, as in its zip archives: `CoLA/train.tsv`, `MNLI/dev_matched.tsv`.

Quotes are characters like any other. Rows that lack a column or the label are left out, as TFDS
does: a few questions of QQP contain line breaks.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files import mrpc
from t5x_lite.tasks.original_files.examples import (
    INTEGER,
    LABEL,
    NUMBER,
    TEXT,
    Example,
    ExampleFiles,
    label_index,
)
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.tasks.original_files.tables import Table, read_table

_logger = logging.getLogger(__name__)

WITHIN = ("glue", "glue_data")
_FILES = {"train": "train", "validation": "dev", "test": "test"}
# CoLA's train.tsv and dev.tsv are the only files without a line of column names.
_COLA_COLUMNS = ["source", "is_acceptable", "original", "sentence"]


@dataclasses.dataclass(frozen=True)
class GlueTable:
    """One folder of GLUE: the column of each feature and of the label."""

    folder: str
    columns: Mapping[str, str]
    label: str
    # None where the label is a number of its own, a similarity.
    labels: Sequence[str] | None = None
    # Between the part of a split and `.tsv`: MNLI has matched and mismatched ones.
    suffix: str = ""
    # Where the only file has a name of its own, or one of several.
    own_names: Sequence[str] = ()

    def files(self) -> ExampleFiles:
        """The examples with TFDS's features."""
        texts = dict.fromkeys(self.columns, TEXT)
        label = NUMBER if self.labels is None else LABEL
        return ExampleFiles({**texts, "label": label, "idx": INTEGER}, self.load)

    def load(self, folders: Folders, split: str) -> list[Example]:
        """Every complete row of the split's file; `idx` counts the others too."""
        if self.folder == "MRPC" and (original := mrpc.find_original(folders, split)) is not None:
            return self._examples(original, split)
        path = find(folders, self._names(split), within=WITHIN, columns=self._listed())
        table = read_table(path)
        if self.folder == "CoLA" and "sentence" not in table.header:
            table = table.with_header(_COLA_COLUMNS)
        return self._examples(table, split)

    def _names(self, split: str) -> list[str]:
        if self.own_names:
            return [
                name for each in self.own_names for name in (f"{each}/{each}.tsv", f"{each}.tsv")
            ]
        part, _, kind = split.partition("_")
        stem = _FILES[part] + (f"_{kind}" if kind else self.suffix)
        return [f"{self.folder}/{stem}.tsv"]

    def _needed(self, split: str) -> list[str]:
        # Test sets that do have labels (MRPC's) are read without, as TFDS does.
        return [*self.columns.values(), *([] if split.startswith("test") else [self.label])]

    def _listed(self) -> str:
        return f"the columns {', '.join(self._needed('train'))} (no label in a test set)"

    def _examples(self, table: Table, split: str) -> list[Example]:
        needed = self._needed(split)
        if absent := [column for column in needed if column not in table.header]:
            raise UserError(
                f"{table.path} has no column {', '.join(absent)}; needed are {', '.join(needed)}, "
                f"found are {', '.join(table.header)}. Is it {self.folder} of GLUE, with tabs "
                "between the columns?"
            )
        examples = [
            {
                **{name: row[column] for name, column in self.columns.items()},
                "label": self._label(row, f"{table.path}, row {index}", split),
                "idx": index,
            }
            for index, row in table.rows()
            if all(column in row for column in needed) and row[needed[-1]]
        ]
        if skipped := len(table.lines) - len(examples):
            _logger.warning("%s: left out are %d incomplete rows, as in TFDS", table.path, skipped)
        return examples

    def _label(self, row: Mapping[str, str], where: str, split: str) -> int | float:
        value = None if split.startswith("test") else row[self.label]
        if self.labels is not None:
            return label_index(value, self.labels, where)
        try:
            return -1.0 if value is None else float(value)
        except ValueError as error:
            raise UserError(f"{where}: {value!r} in column {self.label} is no number") from error
