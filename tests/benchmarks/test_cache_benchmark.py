"""What is measured of a command is all of it, and a difference of the caches is no result."""

import pathlib
import sys

import pytest

from benchmarks import cache
from t5x_lite.errors import UserError

CHILD = "import time; held = bytearray(b'1' * 200_000_000); time.sleep(1)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}], check=True)"


def test_time_and_memory_are_those_of_children_too(tmp_path):
    seconds, cpu_seconds, peak = cache.measured([sys.executable, "-c", PARENT], tmp_path)
    assert 1 < seconds
    assert 0 < cpu_seconds < seconds
    assert 200e6 < peak < 400e6


def test_a_command_that_fails_is_shown(tmp_path):
    with pytest.raises(UserError, match="exited with 1:\n.*no such thing"):
        cache.measured([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path)


def test_the_table_has_medians_of_each_command_and_size():
    found = [
        cache.Measured("ours", megabytes, seconds, 2 * seconds, 10**9)
        for megabytes in (8, 32)
        for seconds in (1.0, 3.0, 30.0)
    ]
    assert [line.split() for line in cache.table(found).splitlines()[1:]] == [
        ["ours", "8", "3", "6", "1,000"],
        ["ours", "32", "3", "6", "1,000"],
    ]


@pytest.mark.slow
def test_caches_of_one_and_two_workers_are_alike(tmp_path, monkeypatch, capsys):
    """And where they are not, nothing is told."""
    text = tmp_path / "text.txt"
    text.write_text("It is a truth universally acknowledged. " * 400)
    from t5x_lite.text.training import train_sentencepiece

    train_sentencepiece({"text": [text.read_text()]}, str(tmp_path / "v.model"), vocab_size=24)
    words = [f"--text={text}", f"--vocabulary={tmp_path / 'v.model'}", "--megabytes=1"]
    assert cache.main([*words, "--workers=1,2"]) == 0
    assert "t5x_lite, 2 workers           1" in capsys.readouterr().out

    def measured(command, folder):
        pathlib.Path(command[-1].partition("=")[2]).mkdir()
        return 1.0, 1.0, 1

    monkeypatch.setattr(cache, "measured", measured)
    contents = iter(["one", "another"])
    monkeypatch.setattr(cache, "_content", lambda folder: next(contents))
    assert cache.main([*words, "--workers=1,2"]) == 1
    assert "CPU seconds" not in capsys.readouterr().out
