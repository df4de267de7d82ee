"""The rows of files of one's own: whether they can be used, and whether what is held out stands
among those to train on.
"""

import itertools
import time
from collections.abc import Iterator

from t5x_lite.preflight.findings import Kind, Outcome
from t5x_lite.records import examples
from t5x_lite.records.config import RecordsConfig
from t5x_lite.records.overlap import Overlap

_SECONDS = 10.0
_MAX_HELD_OUT = 2_000
_SHOWN = 20


def check(config: RecordsConfig) -> Iterator[Outcome]:
    """As many rows as can be read in some seconds.

    Raises:
        UserError: one of them cannot be used.
    """
    began = time.monotonic()
    held_out = [each.inputs or each.targets for each in _held_out(config, began)]
    overlap, count, is_all = Overlap(held_out), 0, True
    for example in examples.rows_of(config, examples.TRAIN):
        overlap.look_at(example.inputs or example.targets)
        count += 1
        if time.monotonic() - began > 2 * _SECONDS:
            is_all = False
            break
    files = {str(f) for split in examples.SPLITS for f in examples.files_of(config, split)}
    skipped = sum(examples.number_skipped()[file] for file in files)
    looked = f"{count:,} rows to train on were looked at{'' if is_all else ', the first, for time'}"
    yield Kind.OK, f"{looked}, {len(held_out):,} held out; {skipped:,} skipped"
    if overlap.found:
        yield Kind.NOTE, "\n".join(_said(overlap))


def _held_out(config: RecordsConfig, began: float) -> Iterator[examples.Example]:
    rows = itertools.islice(examples.rows_of(config, examples.VALIDATION), _MAX_HELD_OUT)
    for row in rows:
        yield row
        if time.monotonic() - began > _SECONDS:
            return


def _said(overlap: Overlap) -> Iterator[str]:
    yield (
        f"{len(overlap.found):,} of {overlap.compared:,} held-out rows have {overlap.size} words "
        "in a row in common with rows to train on, so scores are better than they should be:"
    )
    for run in itertools.islice(overlap.found.values(), _SHOWN):
        yield f"  {run}"
    if len(overlap.found) > _SHOWN:
        yield f"  and {len(overlap.found) - _SHOWN:,} more"
