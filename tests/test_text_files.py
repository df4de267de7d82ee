"""What others wrote is read, or refused with what is wrong and where."""

import gzip
import json
import os

import pytest

from t5x_lite.errors import UserError
from t5x_lite.text_files import (
    check_text,
    parse_json,
    read_bytes,
    read_json_object,
    read_text,
    text_lines,
)


def test_text_is_read_as_it_stands(tmp_path):
    """A byte order mark is no text."""
    (tmp_path / "plain").write_bytes("a\r\nü\n".encode())
    (tmp_path / "marked").write_bytes("ü".encode("utf-8-sig"))
    assert read_text(tmp_path / "plain") == "a\r\nü\n"
    assert read_text(tmp_path / "marked") == "ü"
    assert read_bytes(tmp_path / "marked", most=5) == b"\xef\xbb\xbf\xc3\xbc"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text".encode("utf-16"), "is text in UTF-16"),
        (b"\x1f\x8b\x08\x00", "is compressed by gzip"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"one\ntwo\nthr\xff", "line 3: byte 0xff is no UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    for read in (read_text, lambda path: list(text_lines(path))):
        with pytest.raises(UserError, match=message):
            read(tmp_path / "file")


def test_lines_are_those_of_the_text(tmp_path):
    (tmp_path / "file").write_bytes("a\r\nü\u2028b\n\nc".encode("utf-8-sig"))
    assert list(text_lines(tmp_path / "file")) == ["a\r\n", "ü\u2028b\n", "\n", "c"]


def test_a_file_for_another_library_is_looked_at(tmp_path):
    """One of gzip to its end, which TensorFlow would not miss."""
    whole = gzip.compress(b"a line\n" * 9000)
    (tmp_path / "whole.gz").write_bytes(whole)
    check_text(tmp_path / "whole.gz")
    for content in (whole[:-9], b"no gzip"):
        (tmp_path / "cut.gz").write_bytes(content)
        with pytest.raises(UserError, match="no whole file of gzip"):
            check_text(tmp_path / "cut.gz")


def test_what_is_no_file_is_not_read(tmp_path):
    """A pipe nobody writes into would be waited for without end, /dev/zero read without end."""
    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "pipe", "a pipe"),
        ("/dev/zero", "a pipe"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(UserError, match=f"{kind}; needed is a file"):
            read_text(path)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file is not JSON: Expecting value"),
        ("{", "file is not JSON: Expecting property name"),
        ("[" * 100_000, "file is nested too deeply"),
        ("1" * 5000, "file is not JSON: Exceeds the limit"),
        ("null", "file holds None; needed is a JSON object"),
        (json.dumps(["a"] * 100), "file holds .*; needed is a JSON object"),
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path, content, message):
    (tmp_path / "file").write_text(content)
    with pytest.raises(UserError, match=message):
        read_json_object(tmp_path / "file")


def test_json_is_read(tmp_path):
    (tmp_path / "file").write_text('{"a": [1]}')
    assert read_json_object(tmp_path / "file") == {"a": [1]} == parse_json('{"a": [1]}', "it")
