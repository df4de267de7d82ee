"""Which split a row is in, and what happens to rows that cannot be used."""

import logging

import pytest

from t5x_lite.errors import UserError
from t5x_lite.records import examples
from t5x_lite.records.config import BadRows, RecordsConfig, Told
from t5x_lite.records.examples import ALL, TRAIN, VALIDATION, Example, rows_of
from tests.records.conftest import ROWS, jsonl_of

PAIR = {"inputs": "source", "targets": "target"}


def texts(config, split=TRAIN):
    """The examples of a split."""
    return list(rows_of(config, split))


def test_rows_are_texts_or_pairs(write):
    """A prefix stands in front of what is read."""
    path = str(write("rows.jsonl", ROWS))
    by_itself = RecordsConfig(paths=path, field="source", held_out=0.0)
    assert texts(by_itself) == [Example("", row["source"]) for row in ROWS]
    pairs = RecordsConfig(paths=path, **PAIR, prefix="say: ", held_out=0.0)
    assert texts(pairs) == [Example("say: " + row["source"], row["target"]) for row in ROWS]


def test_every_row_is_in_one_split_by_its_text(write):
    """Whatever file it is in, and whatever is made of it; the share is about that wanted."""
    rows = [{"text": f"row {n}"} for n in range(2_000)]
    one = RecordsConfig(paths=str(write("a.jsonl", jsonl_of(rows))), held_out=0.1)
    other = RecordsConfig(paths=str(write("b.jsonl", jsonl_of(rows[::-1]))), held_out=0.1)
    held_out = set(texts(one, VALIDATION))
    assert held_out == set(texts(other, VALIDATION))
    assert held_out | set(texts(one)) == set(texts(one, ALL))
    assert not held_out & set(texts(one))
    assert abs(len(held_out) - 200) < 3 * (2_000 * 0.1 * 0.9) ** 0.5


def test_pairs_of_the_same_inputs_are_not_parted(write):
    """Else a model would be tested on what it has read."""
    rows = [{"source": f"row {n // 4}", "target": f"t{n}"} for n in range(400)]
    config = RecordsConfig(paths=str(write("a.jsonl", jsonl_of(rows))), **PAIR, held_out=0.3)
    train, held_out = ({e.inputs for e in texts(config, s)} for s in (TRAIN, VALIDATION))
    assert train
    assert held_out
    assert not train & held_out


def test_other_files_may_be_held_out(write):
    """All of them, and none of those to train on."""
    own, other = (str(write(f"{n}.txt", f"{n}\n".encode())) for n in "ab")
    config = RecordsConfig(paths=own, held_out=other)
    assert texts(config) == [Example("", "a")]
    assert texts(config, VALIDATION) == [Example("", "b")]


BAD = b'{"text": "a"}\n{"text": ""}\n{"other": "b"}\n{"text": "c"}\n'


def test_a_bad_row_ends_it(write):
    """With file, line and the way out."""
    path = write("x.jsonl", BAD)
    with pytest.raises(UserError, match=r"x\.jsonl, line 2: text is empty.*--on_bad_row=skip"):
        texts(RecordsConfig(paths=str(path)))


def test_or_it_is_skipped_and_counted_once(write, caplog):
    """However often the file is read."""
    path = write("x.jsonl", BAD)
    config = RecordsConfig(paths=str(path), bad_rows=BadRows.SKIP, held_out=0.0)
    with caplog.at_level(logging.WARNING):
        assert texts(config) == texts(config) == [Example("", "a"), Example("", "c")]
    assert examples.number_skipped()[str(path)] == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}, line 2: text is empty; skipped (1 so far)"
    ]


def test_labels_and_numbers_are_looked_at(write):
    """Before anything is learned."""
    path = str(write("rows.jsonl", ROWS))
    classes = RecordsConfig(paths=path, **PAIR, told=Told.CLASSES, labels=("eins", "drei"))
    with pytest.raises(UserError, match=r"line 3: target is 'four', and the labels are eins, drei"):
        texts(classes, ALL)
    values = RecordsConfig(paths=path, **PAIR, told=Told.VALUES)
    with pytest.raises(UserError, match="target is 'eins'; needed is a number"):
        texts(values, ALL)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"inputs": "a"}, "inputs='a' without targets.*--targets="),
        ({"targets": "a"}, "targets='a' without inputs.*--inputs="),
        ({"inputs": "a", "targets": "b", "told": Told.CLASSES}, "--labels=negative,positive"),
        ({"held_out": 0.7}, "held_out"),
        ({"held_out": "a\0b"}, "held_out"),
    ],
)
def test_what_cannot_be_meant(fields, said):
    """With the flag that mends it."""
    with pytest.raises(UserError, match=said):
        RecordsConfig(paths="x.csv", **fields)
