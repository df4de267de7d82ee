"""Of what recurs one is kept, wherever it is chosen."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.corpus import duplicates, runs
from t5x_lite.corpus.config import Dedup
from t5x_lite.corpus.sentences import punkt

WORDS = ("One", "Two", "Three", "Four", "Five")


@pytest.fixture(scope="module")
def model():
    return punkt("english")


def cleaned(pages, kind, model):
    """Pages without duplicates: all steps of a build, in memory."""
    rows = [
        (each, duplicates.rank(f"http://a.org/{number}"), 0, number, unit)
        for number, text in enumerate(pages)
        for unit, each in enumerate(duplicates.units(text, kind, model))
    ]
    choices = duplicates.choose(np.array(rows, duplicates.UNIT))
    found = []
    for number, text in enumerate(pages):
        mine = choices[choices["page"] == number]
        gone, stay = ({int(row["unit"]) for row in mine if row["stays"] == each} for each in (0, 1))
        if kind is Dedup.LINE:
            found.append(duplicates.without_lines(text, gone))
        else:
            found.append(duplicates.without_spans(text, gone, stay, model))
    return found


PAGES = st.lists(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5), min_size=1, max_size=4).map(
        lambda lines: "\n".join(" ".join(f"{word} it is." for word in line) for line in lines)
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None)
@given(PAGES)
def test_each_line_stands_once(model, pages):
    """No line is lost, and none is there twice."""
    lines = [line.lower() for page in pages for line in page.split("\n")]
    left = [line.lower() for page in cleaned(pages, Dedup.LINE, model) for line in page.split("\n")]
    assert sorted(filter(None, left)) == sorted(set(lines))


def spans(page):
    said = page.replace("\n", " ").split(". ")
    said = [each.rstrip(".") for each in said if each]
    return [tuple(said[start : start + 3]) for start in range(len(said) - 2)]


@settings(deadline=None)
@given(PAGES)
def test_of_each_span_that_recurs_one_is_kept(model, pages):
    """None is lost; what is in no span that recurs is left alone, as it was."""
    before = collections.Counter(span for page in pages for span in spans(page))
    left = cleaned(pages, Dedup.SPAN, model)
    after = {span for page in left for span in spans(page)}
    assert set(before) <= after | {span for span, count in before.items() if count == 1}
    assert {span for span, count in before.items() if count > 1} <= after
    for old, new in zip(pages, left, strict=True):
        if all(before[span] == 1 for span in spans(old)):
            assert new == old


def test_a_span_is_taken_out_of_all_pages_but_one(model):
    """With the lines that it fills; what stands beside it keeps its blanks."""
    span = "It is new. It is ours. You may  have it."
    pages = [f"{span}\nOne.", f"Two.\n{span}\nThree.", f"Four.  {span}  Five.  Six."]
    left = cleaned(pages, Dedup.SPAN, model)
    assert sorted(left, key=len)[-1] in pages
    wanted = ["One.", "Two.\nThree.", "Four. Five.  Six."]
    changed = [each for each, page in zip(left, pages, strict=True) if each != page]
    assert len(changed) == 2 and set(changed) <= set(wanted)


def test_a_page_that_repeats_itself_keeps_one(model):
    """Also where spans overlap."""
    text = " ".join(["We said it."] * 9)
    assert cleaned([text], Dedup.SPAN, model) == ["We said it. We said it. We said it."]
    assert cleaned(["a\nA \nb\na"], Dedup.LINE, model) == ["a\nb"]


@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**63, 2**64 - 1]), max_size=40))
def test_a_bucket_is_a_range_of_hashes(tmp_path_factory, hashes):
    """All rows are in one of them, those of one hash together."""
    folder = tmp_path_factory.mktemp("runs")
    dtype = np.dtype([("hash", "<u8"), ("number", "<u4")])
    for number in range(3):
        writer = runs.RunWriter(str(folder / f"{number}"), dtype)
        writer.add([(each, place) for place, each in enumerate(hashes) if place % 3 == number])
        writer.flush()
    paths = sorted(map(str, folder.glob("*.npy")))
    for count in (1, 2, 7):
        found = [runs.bucket(paths, number, count, dtype) for number in range(count)]
        assert sorted(np.concatenate(found)["number"].tolist()) == list(range(len(hashes)))
        where = collections.defaultdict(set)
        for number, rows in enumerate(found):
            for each in rows["hash"].tolist():
                where[each].add(number)
        assert all(len(numbers) == 1 for numbers in where.values())


def test_runs_are_written_before_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "_ROWS_A_RUN", 10)
    writer = runs.RunWriter(str(tmp_path / "a"), np.dtype([("hash", "<u8")]))
    for number in range(35):
        writer.add([(35 - number,)])
    writer.flush()
    parts = [np.load(path)["hash"] for path in sorted(tmp_path.glob("*.npy"))]
    assert [len(part) for part in parts] == [10, 10, 10, 5]
    assert all((part[1:] >= part[:-1]).all() for part in parts)
