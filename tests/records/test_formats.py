"""Rows are what was written, whatever the file; what is wrong is said with its place."""

import gzip
import re

import pytest
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.records import formats
from tests.records.conftest import FILES, ROWS, csv_of

FIELDS = ("source", "target")


def read(path, fields=FIELDS):
    """All rows."""
    return [dict(raw.values()) for raw in formats.rows(epath.Path(path), fields)]


def problem(path, fields=FIELDS):
    """What is wrong with the first bad row, behind its place."""
    for raw in formats.rows(epath.Path(path), fields):
        try:
            values = raw.values()
            for field in fields:
                formats.text_of(values, field)
        except formats.BadRowError as error:
            return f"{raw.place}: {error}"
    return None


@pytest.mark.parametrize("name", FILES)
def test_rows_are_those_that_were_written(name, write):
    """Commas, quotes, and line separators that are none of a file."""
    assert read(write(name, ROWS)) == ROWS


def test_a_field_of_a_csv_may_have_lines(write):
    """Rows are counted by the lines they begin in."""
    path = write("x.csv", csv_of([{"a": "1\n2", "b": "x"}, {"a": "3", "b": ""}]))
    assert read(path) == [{"a": "1\n2", "b": "x"}, {"a": "3", "b": ""}]
    assert problem(path, ("a", "b")) == "line 4: b is empty"


def test_text_is_a_row_a_line(write):
    """Without empty ones, and without what Windows puts in front and behind."""
    path = write("x.txt", b"\xef\xbb\xbfone\r\n\r\n \ntwo")
    assert read(path, ("text",)) == [{"text": "one"}, {"text": "two"}]


@pytest.mark.parametrize(("name", "border"), [("x.csv", b","), ("x.tsv", b"\t")])
def test_columns_without_names_are_counted(name, border, write):
    """And with names that are numbers by those."""
    path = write(name, border.join([b"a", b"b"]) + b"\n" + border.join([b"c", b"d"]) + b"\n")
    assert read(path, ("0", "1")) == [{"0": "a", "1": "b"}, {"0": "c", "1": "d"}]
    named = write(name, border.join([b"1", b"0"]) + b"\n" + border.join([b"c", b"d"]) + b"\n")
    assert read(named, ("0", "1")) == [{"1": "c", "0": "d"}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"a": "b"}\n[1]\n', r"line 2: it holds \[1\]; needed is a JSON object"),
        ("x.jsonl", b'{"a": "b"}\n{"a"\n', "line 2: it is not JSON"),
        ("x.jsonl", b'{"b": "c"}\n', "line 1: it has no field 'a'; it has b"),
        ("x.jsonl", b'{"a": null}\n', "line 1: a holds nothing; needed is text"),
        ("x.jsonl", b'{"a": ["b"]}\n', "line 1: a holds list; needed is text"),
        ("x.jsonl", b'{"a": "  "}\n', "line 1: a is empty"),
        ("x.jsonl", b'{"a": "\\ud800"}\n', "line 1: a holds half a character"),
        ("x.jsonl", b'\n{"a": "\xff"}\n', "line 2: byte 0xff is no UTF-8"),
        ("x.csv", b"a,b\n1,2\n3\n", "line 3: it has 1 fields; needed are 2"),
        ("x.csv", b'a,b\n1,2\n"3,4\n', "line 3: it is no row of a csv"),
        ("x.csv", b"a,b\n\xff,2\n", "line 2: byte 0xff is no UTF-8"),
        ("x.tsv", b"a\tb\n1\t2\t3\n", "line 2: it has 3 fields; needed are 2"),
    ],
)
def test_what_is_wrong_with_a_row(name, content, said, write):
    """Its place in the file, what it holds, what is needed."""
    assert re.match(said, problem(write(name, content), ("a",)))


def test_a_field_may_be_within_a_field():
    """As in what `infer` writes; a name with a dot comes first."""
    values = {"inputs": {"text": "one", "n": {"x": 2}}, "inputs.text": "two"}
    assert formats.text_of(values, "inputs.text") == "two"
    assert formats.text_of(values, "inputs.n.x") == "2"
    with pytest.raises(formats.BadRowError, match="no field 'other'; it has text, n"):
        formats.text_of(values, "inputs.other")


def test_which_of_several_files_it_is_does_not_matter():
    """Of files as `infer` writes them; what says that they are complete is none."""
    assert formats.format_of("x-predict.jsonl-00000-of-00002") == formats.FORMATS[".jsonl"]
    assert formats.format_of("x.txt.gz-00001-of-00002") == formats.FORMATS[".txt"]
    assert formats.format_of("x-predict.jsonl-00000-of-00002.COMPLETED") is None


def test_numbers_are_written_out():
    """A label may be one; truth is no number."""
    assert formats.text_of({"a": 3}, "a") == "3"
    assert formats.text_of({"a": 0.5}, "a") == "0.5"
    with pytest.raises(formats.BadRowError, match="bool"):
        formats.text_of({"a": True}, "a")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "x.jsonl.gz",
            gzip.compress(b'{"source": "a", "target": "b"}\n' * 99, mtime=0)[:-9],
            "damaged or of another kind",
        ),
        ("x.jsonl.gz", b"no gzip", "damaged or of another kind"),
        ("x.jsonl.zst", b"no zstd", "damaged or of another kind"),
        ("x.parquet", b"no parquet", "damaged or of another kind"),
        ("x.arrow", b"no arrow at all", "damaged or of another kind"),
    ],
    ids=["cut off", "no gzip", "no zstd", "no parquet", "no arrow"],
)
def test_a_damaged_file_is_named(name, content, said, write):
    """In one line."""
    path = write(name, content)
    with pytest.raises(UserError, match=said) as error:
        read(path)
    assert str(path) in str(error.value)


def test_files_are_found_by_name_folder_and_pattern(write, tmp_path):
    """Each once, sorted; of a folder what holds rows, not what describes them."""
    for name in ("b/2.txt", "b/1.jsonl", "b/dataset_info.json", "b/_x.txt", "a.txt", "c.json"):
        write(name, b"x\n")
    found = formats.files(f"{tmp_path}/b,{tmp_path}/*.txt,{tmp_path}/b/1.jsonl,{tmp_path}/c.json")
    names = [str(path.relative_to(tmp_path)) for path in found]
    assert names == ["a.txt", "b/1.jsonl", "b/2.txt", "c.json"]
    assert [path.name for path in formats.files(f"{tmp_path}/**/1.json*")] == ["1.jsonl"]


@pytest.mark.parametrize("paths", ["none/*.txt", "none.txt", "."])
def test_nothing_found_is_an_error(paths, tmp_path, monkeypatch):
    """With what would be found."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"No file matches .*\.jsonl"):
        formats.files(paths)


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.parquet.gz"])
def test_a_name_has_to_say_what_it_holds(name, write):
    """Nothing is guessed."""
    with pytest.raises(UserError, match="does not say what it holds"):
        formats.files(str(write(name, b"x")))
