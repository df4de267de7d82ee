"""A log in a store is several objects, and no reader sees it, whenever a process dies."""

import json

import pytest
from etils import epath

from t5x_lite import json_lines, storage


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log of small segments in a folder that passes for a store; appending is refused there."""
    monkeypatch.setattr(storage, "is_remote", lambda path: True)
    monkeypatch.setattr(json_lines, "_SEGMENT_BYTES", 100)
    path = epath.Path(tmp_path) / "metrics.jsonl"
    opened = epath.gpath.PosixGPath.open

    def open_to_replace(self, mode="r", **settings):
        assert "a" not in mode, "a store would replace the object"
        return opened(self, mode, **settings)

    monkeypatch.setattr(epath.gpath.PosixGPath, "open", open_to_replace)
    return path


def fill(log, count: int) -> list[dict]:
    for step in range(1, count + 1):
        json_lines.append_line(log, {"step": step, "text": "one\u2028line"})
    return [{"step": step, "text": "one\u2028line"} for step in range(1, count + 1)]


def test_lines_are_read_back_whatever_the_segments(log):
    """Also those of other logs in the folder are not mixed in."""
    json_lines.append_line(log.with_name("metrics.jsonl.bak"), {"step": 0})
    for count in range(1, 20):
        log.unlink(missing_ok=True)
        for segment in log.parent.glob("metrics.jsonl.0*"):
            segment.unlink()
        expected = fill(log, count)
        assert json_lines.read_lines(log) == expected
    assert len(list(log.parent.glob("metrics.jsonl.0*"))) > 3


def test_joined_it_is_one_plain_file_that_goes_on(log):
    """What users open; further lines go behind it."""
    expected = fill(log, 15)
    json_lines.join(log)
    assert [path.name for path in log.parent.iterdir()] == ["metrics.jsonl"]
    assert [json.loads(line) for line in log.read_text().split("\n")[:-1]] == expected
    json_lines.append_line(log, {"step": 16})
    assert json_lines.read_lines(log) == [*expected, {"step": 16}]


@pytest.mark.parametrize("num_deletions", range(3))
def test_killed_while_it_joins_it_loses_and_doubles_nothing(log, monkeypatch, num_deletions):
    """Lines that are added then go behind the others, and those dropped stay away."""
    expected, left = fill(log, 15), iter(range(num_deletions))
    unlink = epath.gpath.PosixGPath.unlink

    def unlink_or_die(self, **settings):
        next(left)
        unlink(self, **settings)

    with monkeypatch.context() as patch, pytest.raises(StopIteration):
        patch.setattr(epath.gpath.PosixGPath, "unlink", unlink_or_die)
        json_lines.join(log)
    assert json_lines.read_lines(log) == expected
    json_lines.append_line(log, {"step": 16})
    assert json_lines.read_lines(log) == [*expected, {"step": 16}]
    json_lines.drop_lines_behind(log, 7)
    assert json_lines.read_lines(log) == expected[:7]


def test_a_reader_beside_the_writer_sees_all_lines(log, monkeypatch):
    """A report while the run ends: what it has listed may be joined before it is read."""
    expected = fill(log, 15)
    listed, before = storage.listed, [storage.listed(log.parent)]
    json_lines.join(log)
    monkeypatch.setattr(storage, "listed", lambda path: before.pop() if before else listed(path))
    assert json_lines.read_lines(log) == expected
    assert not before
