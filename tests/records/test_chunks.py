"""A chunk is a function of its place: all of them together are all rows, each once."""

import random

import pytest
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.records import chunks
from t5x_lite.records.chunks import Chunks
from t5x_lite.records.config import RecordsConfig
from t5x_lite.records.examples import TRAIN

NUM_ROWS = 47


@pytest.fixture(params=[True, False], ids=["small", "large"])
def made(request, write, monkeypatch):
    """The chunks of five rows of two files, which are a small corpus or a large one."""
    monkeypatch.setattr(chunks, "ROWS", 5)
    if not request.param:
        monkeypatch.setattr(chunks, "SMALL_BYTES", 0)
    files = [
        epath.Path(write(f"{name}.txt", "".join(f"{name}{n}\n" for n in range(size)).encode()))
        for name, size in (("a", NUM_ROWS), ("b", 5))
    ]
    config = RecordsConfig(paths=",".join(map(str, files)), held_out=0.0)
    return lambda: Chunks(config, files, TRAIN)


def read(made, file, **options):
    """All chunks of a file."""
    found, number = [], 0
    while (chunk := made.read(file, number, **options)) is not None:
        assert len(chunk) <= 5
        found += [example.targets for example in chunk]
        number += 1
    assert made.read(file, number + 3, **options) is None
    return found


def test_in_order_they_are_the_file(made):
    """One after another."""
    assert read(made(), 0, seed=None) == [f"a{n}" for n in range(NUM_ROWS)]
    assert read(made(), 1, seed=None) == [f"b{n}" for n in range(5)]


@pytest.mark.parametrize("parts", [1, 2, 3, 60])
def test_parts_share_the_rows(parts, made):
    """Each row is in one part, whatever the number; a part may have none."""
    own = made()
    found = [read(own, 0, seed=3, part=part, parts=parts) for part in range(parts)]
    assert sorted(sum(found, [])) == sorted(f"a{n}" for n in range(NUM_ROWS))


def test_the_order_of_reading_changes_nothing(made):
    """From anywhere on, as after a restart, and by several readers at a time."""
    places = [(part, number) for part in range(2) for number in range(5)]
    options = {"seed": 1, "parts": 2}
    expected = {p: made().read(0, p[1], part=p[0], **options) for p in places}
    own = made()
    for place in random.Random(0).sample(places * 3, len(places) * 3):
        assert own.read(0, place[1], part=place[0], **options) == expected[place]


def test_a_seed_shuffles_a_small_corpus(made):
    """The same for the same seed; a large one stays as its files are."""
    own, in_order = made(), [f"a{n}" for n in range(NUM_ROWS)]
    assert (read(own, 0, seed=1) != in_order) == own.is_small
    assert read(own, 0, seed=1) == read(made(), 0, seed=1)
    assert (read(own, 0, seed=1) != read(own, 0, seed=2)) == own.is_small


def test_only_a_small_corpus_is_counted(made):
    """A large one would have to be read."""
    own = made()
    assert own.count() == (NUM_ROWS + 5 if own.is_small else None)


def test_behind_a_failure_there_is_nothing(write):
    """It is raised once; who is asked for ever has to come to an end."""
    path = epath.Path(write("x.jsonl", b'{"text": "a"}\n{"no": "text"}\n'))
    own = Chunks(RecordsConfig(paths=str(path)), [path], TRAIN)
    with pytest.raises(UserError, match="line 2"):
        own.read(0, 0, seed=None)
    assert own.has_failed
    assert own.read(0, 0, seed=None) is own.read(0, 1, seed=1) is None
