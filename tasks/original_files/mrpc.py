"""MRPC as Microsoft distributes it: one training file, of which GLUE chose its validation set.

GLUE's choice is the file dev_ids.tsv. A folder that GLUE's download script made has all of these,
and train.tsv and dev.tsv made of them, which are read where the list is missing.
"""

import dataclasses
import logging

from t5x_lite.tasks.original_files.folders import Folders, child, places
from t5x_lite.tasks.original_files.tables import Table, read_table
from t5x_lite.text_files import read_text

_logger = logging.getLogger(__name__)

_WITHIN = ("MRPC", "glue/MRPC", "glue_data/MRPC")
_TRAIN = "msr_paraphrase_train.txt"
_TEST = "msr_paraphrase_test.txt"
_IDS = ("dev_ids.tsv", "mrpc_dev_ids.tsv")


def find_original(folders: Folders, split: str) -> Table | None:
    """The split's rows of the original files, or None where GLUE's tables are to be read.

    Raises:
        FileNotFoundError: the validation set is asked for and nothing says which rows it has.
    """
    for place in places(folders, _WITHIN):
        path = child(place, _TEST if split == "test" else _TRAIN)
        if path is None:
            continue
        table = read_table(path)
        if split == "test":
            return table
        listed = next((found for name in _IDS if (found := child(place, name))), None)
        if listed is not None:
            ids = {tuple(line.split()) for line in read_text(listed).splitlines()}
            return _chosen(table, ids, is_validation=split == "validation")
        if child(place, "train.tsv") is not None:
            return None
        if split == "validation":
            raise FileNotFoundError(
                f"{path} has no validation set of its own: needed is {_IDS[0]} beside it, GLUE's "
                "list of the rows that are it (columns #1 ID and #2 ID, without names)."
            )
        _logger.warning(
            "%s: used whole, since no %s beside it says which rows GLUE validates on", path, _IDS[0]
        )
        return table
    return None


def _chosen(table: Table, ids: set[tuple[str, ...]], *, is_validation: bool) -> Table:
    first, second = (table.header.index(f"#{side} ID") for side in (1, 2))
    chosen = [
        (number, cells)
        for number, cells in table.lines
        if ((cells[first], cells[second]) in ids) == is_validation
    ]
    return dataclasses.replace(table, lines=chosen)
