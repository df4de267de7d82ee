"""Several processes write and read one checkpoint, and agree on what became of it."""

import json
import pathlib
import socket
import subprocess
import sys

import pytest

JOB = pathlib.Path(__file__).parent / "checkpoint_job.py"


def run(directory, count):
    """What each of `count` processes saw."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    flags = [[address, count, index] if count > 1 else [] for index in range(count)]
    jobs = [
        subprocess.Popen(
            [sys.executable, str(JOB), str(directory), *map(str, each)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for each in flags
    ]
    try:
        seen = []
        for job in jobs:
            output, _ = job.communicate(timeout=180)
            assert job.returncode == 0, output[-3000:]
            seen.append(json.loads(output.splitlines()[-1]))
        return seen
    finally:
        for job in jobs:
            job.kill()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.multiprocess
@pytest.mark.slow
def test_a_save_that_fails_on_one_process_fails_on_all_and_any_number_reads_the_rest(tmp_path):
    """Step 2 is lost because the last process could not write; 1 and 3 are read on every mesh, by
    two processes, by one, and by two again after the newest was damaged. The last process sees
    none of the others' files at first, as on a file system that remembers look-ups.
    """
    for facts in run(tmp_path, 2):
        assert [facts[f"saved_{step}"] for step in (1, 2, 3)] == [True, False, True]
        assert facts["newest"] == "checkpoint_3"
        assert facts["due"] == [10, 20, 30]
        assert all(facts[f"restored_{mesh}"] for mesh in ("4x2", "2x4", "1x8"))
    assert names(tmp_path) == ["checkpoint_1", "checkpoint_3"]
    assert names(tmp_path / "checkpoint_3" / "dataset") == ["shard_0", "shard_1"]
    (alone,) = run(tmp_path, 1)
    assert all(alone[f"restored_{mesh}"] for mesh in ("4x2", "2x4", "1x8"))
    newest = tmp_path / "checkpoint_3"
    largest = max(newest.rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"?")
    for facts in run(tmp_path, 2):
        assert facts["newest"] == "checkpoint_1"
        assert facts["restored_2x4"]
    assert names(tmp_path) == ["checkpoint_1", "checkpoint_3.damaged"]
