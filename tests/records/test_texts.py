"""The texts that a vocabulary is trained on."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.records.texts import field_texts
from tests.records.conftest import FILES, ROWS


def test_lines_of_text_are_found_by_pattern(write, tmp_path):
    """In the order of their names, whatever these end with; a pattern without a match is an
    error.
    """
    write("b.md", b"two\n")
    write("a.md", b"one\n")
    assert [text.strip() for text in field_texts(str(tmp_path / "*.md"))] == ["one", "two"]
    with pytest.raises(UserError, match=r"No file matches .*\.rst"):
        list(field_texts(str(tmp_path / "*.rst")))


@pytest.mark.parametrize("name", FILES)
def test_rows_give_their_fields(name, write):
    """One, or several."""
    path = str(write(name, ROWS))
    assert list(field_texts(path, ["target"])) == [row["target"] for row in ROWS]
    both = [text for row in ROWS for text in (row["source"], row["target"])]
    assert list(field_texts(path, ["source", "target"])) == both


def test_what_has_no_such_field(write):
    """The file, the row and what it has; lines of text have none."""
    with pytest.raises(UserError, match=r"rows\.jsonl, line 1: it has no field 'text'; it has sou"):
        list(field_texts(str(write("rows.jsonl", ROWS))))
    with pytest.raises(UserError, match="--field=text is of rows"):
        list(field_texts(str(write("x.txt", b"a\n")), ["text"]))
