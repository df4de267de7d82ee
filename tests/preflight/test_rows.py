"""Rows of files of one's own are looked at before anything is trained."""

import json

import pytest

from t5x_lite.errors import UserError
from t5x_lite.preflight import rows
from t5x_lite.preflight.findings import Kind
from t5x_lite.records.config import BadRows, RecordsConfig

LONG = " ".join(f"w{n}" for n in range(20))


def write(path, *texts):
    """A text a row; None is a row without one."""
    lines = [json.dumps({"text": each} if each else {}) for each in texts]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_held_out_text_among_that_to_train_on_is_told(tmp_path):
    """With the words that both have."""
    train = write(tmp_path / "a.jsonl", "one", "two " + LONG)
    held_out = write(tmp_path / "b.jsonl", LONG, "other")
    fine, note = rows.check(RecordsConfig(paths=train, held_out=held_out))
    assert fine == (Kind.OK, "2 rows to train on were looked at, 2 held out; 0 skipped")
    assert note[0] is Kind.NOTE
    assert note[1].startswith("1 of 1 held-out rows have 13 words in a row in common")
    assert note[1].endswith(LONG.partition(" w13")[0])


def test_the_first_of_many_are_listed(tmp_path):
    """And how many more there are."""
    texts = [" ".join(f"{row}w{n}" for n in range(13)) for row in range(23)]
    paths = [write(tmp_path / name, *texts) for name in ("a.jsonl", "b.jsonl")]
    _, note = rows.check(RecordsConfig(paths=paths[0], held_out=paths[1]))
    heading, *lines = note[1].splitlines()
    assert heading.startswith("23 of 23 held-out rows")
    assert lines == [*(f"  {text}" for text in texts[:20]), "  and 3 more"]


def test_nothing_in_common_is_fine(tmp_path):
    """One line."""
    paths = write(tmp_path / "a.jsonl", *(f"{n} " + LONG.replace("w", f"x{n}") for n in range(50)))
    ((kind, _),) = rows.check(RecordsConfig(paths=paths, held_out=0.3))
    assert kind is Kind.OK


def test_bad_rows_are_found_or_counted(tmp_path):
    """All of them, before a device is held."""
    paths = write(tmp_path / "bad.jsonl", "one", None, "two", None)
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2"):
        list(rows.check(RecordsConfig(paths=paths)))
    config = RecordsConfig(paths=paths, held_out=0.0, bad_rows=BadRows.SKIP)
    ((_, said),) = rows.check(config)
    assert said.startswith("2 rows to train on")
    assert said.endswith("2 skipped")
