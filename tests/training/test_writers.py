"""Scalars survive full disks and killed processes."""

import json
import os

import pytest
import tensorflow as tf
from etils import epath

from t5x_lite.json_lines import append_line, read_lines
from t5x_lite.training.writers import ScalarWriter


def events(folder) -> list[tuple[int, str, float]]:
    """(step, tag, value) of every scalar in a folder's event files, in the order of their files."""
    found = []
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


def starts(folder) -> list[int]:
    """Steps from which TensorBoard forgets what older files say."""
    found = []
    for path in sorted(folder.glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            if event.WhichOneof("what") == "session_log":
                found.append(event.step)
    return found


def test_a_full_disk_delays_lines_and_loses_none(tmp_path, capsys):
    """Lines that found no room are written, in order, once there is some; it is said once."""
    writer = ScalarWriter(tmp_path)
    writer.write(1, {"loss": 1.0})
    lines = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    writer.write(2, {"loss": 2.0})
    writer.write(3, {"loss": 3.0})
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").write_text(lines)
    writer.write(4, {"loss": 4.0})
    writer.close()
    assert [line["step"] for line in read_lines(tmp_path / "metrics.jsonl")] == [1, 2, 3, 4]
    assert {(step, value) for step, _, value in events(tmp_path)} >= {(n, n) for n in (1, 2, 3, 4)}
    assert capsys.readouterr().out.count("WARNING") == 1


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    """Half a line would spoil the next one."""
    path = tmp_path / "lines.jsonl"
    append_line(path, {"step": 1})
    before = path.read_bytes()

    class Full:
        """A file that takes five characters."""

        def __enter__(self):
            return self

        def __exit__(self, *unused):
            pass

        def write(self, text):
            with open(path, "a") as file:
                file.write(text[:5])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(epath.Path(path)), "open", lambda *unused: Full())
    with pytest.raises(OSError, match="No space left"):
        append_line(path, {"step": 2})
    assert path.read_bytes() == before


def test_a_torn_last_line_is_dropped(tmp_path):
    """A process killed while it wrote leaves half a line."""
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert read_lines(path) == [{"step": 1}, {"step": 2}]
    append_line(path, {"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_a_run_that_goes_on_replaces_what_lies_behind_its_checkpoint(tmp_path):
    """In metrics.jsonl by dropping lines, in TensorBoard by a start event, also within a second."""
    for first, last in ((0, 5), (3, 6)):
        writer = ScalarWriter(tmp_path, first)
        for step in range(first + 1, last + 1):
            writer.write(step, {"loss": float(first)})
        writer.close()
    kept = read_lines(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in kept] == [1, 2, 3, 4, 5, 6]
    assert [line["loss"] for line in kept] == [0, 0, 0, 3, 3, 3]
    assert len(os.listdir(tmp_path)) == 3, "one event file each, beside metrics.jsonl"
    assert sorted(starts(tmp_path)) == [1, 4]
