"""The bytes of a cache depend neither on who writes it nor on how often that is killed."""

import contextlib
import os
import resource
import signal
import subprocess
import time

import pytest
import seqio

from t5x_lite.errors import UserError

pytestmark = pytest.mark.slow


def contents(folder):
    """Every file below it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_bytes_do_not_depend_on_the_number_of_workers(cache, tmp_path):
    """With shuffling, seeds and TensorFlow's own random numbers, with a file read by two shards."""
    for num_workers in (1, 3):
        folder = tmp_path / str(num_workers)
        cache(["both", "of_function"], folder, num_workers=num_workers, num_shards=6)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"plain", "random", "of_function"}


def test_shards_draw_differently_and_share_the_source(cache, tmp_path, capsys):
    """Every record once, though the source has no shards of its own; no two noises are equal."""
    cache(["of_function"], tmp_path, num_shards=4)
    printed = capsys.readouterr().out
    assert "of_function train: 40 examples, 40 tokens of targets in 4 files" in printed
    assert "of_function empty: no examples" in printed
    assert not (tmp_path / "of_function" / "info.empty.json").exists()
    seqio.set_global_cache_dirs([str(tmp_path)])
    source = seqio.TaskRegistry.get("of_function")._get_cached_source("train")
    seqio.set_global_cache_dirs([])
    examples = list(source.get_dataset("train", shuffle=False).as_numpy_iterator())
    assert sorted(int(e["targets"][0]) for e in examples) == list(range(10, 50))
    assert len({float(n) for e in examples for n in e["noise"]}) == 80


def test_a_task_without_examples_is_no_cache(cache, tmp_path):
    with pytest.raises(UserError, match="of_function has no examples in empty; are the files"):
        cache(["of_function"], tmp_path, num_shards=2, splits=["empty"])
    assert not (tmp_path / "of_function" / "COMPLETED").exists()


def test_a_tensor_that_seqio_cannot_read_back_is_refused(cache, tmp_path):
    with pytest.raises(UserError, match="targets of task too_wide is .*float64.*cast it"):
        cache(["too_wide"], tmp_path)


def test_a_full_disk_costs_no_finished_shard(cache, tmp_path):
    """The system refuses files of over 1 kB, as a full disk does; there is room the next time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    cache(["plain"], tmp_path / "whole", num_shards=2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match="could not be written.*Make room.*same command"):
            cache(["plain"], tmp_path / "full", num_shards=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    cache(["plain"], tmp_path / "full", num_shards=2)
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


COMMAND = [
    "t5x_lite",
    "cache",
    "slow",
    "--module_import=tasks_to_cache",
    "--num_shards=13",
]  # 26 files


def test_kill_9_redoes_no_finished_shard(tasks, users_shell, tmp_path):
    """In the middle, then through: what was finished is not touched again."""
    command = [*COMMAND, "--num_workers=2", "--output_cache_dir"]
    done = tmp_path / "killed" / "slow"
    process = subprocess.Popen([*command, tmp_path / "killed"], cwd=tasks, env=users_shell)
    while len(shards(done)) < 8:
        assert process.poll() is None
        time.sleep(0.02)
    workers = children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(alive, workers)))
    assert len(workers) >= 2 and not (done / "COMPLETED").exists()
    finished = shards(done)
    for folder in ("killed", "undisturbed"):
        subprocess.run([*command, tmp_path / folder], cwd=tasks, env=users_shell, check=True)
    assert finished.items() <= shards(done).items()
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def shards(folder):
    """Names -> when and as what they were written."""
    files = folder.glob("*.tfrecord-*") if folder.is_dir() else ()
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def alive(pid):
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


MEASURED = """
import resource, sys
from t5x_lite.cli import main
assert main(sys.argv[1:]) == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def test_memory_is_flat_from_1_to_16_times_the_input(tmp_path, users_shell):
    """One shard of 5 and of 80 MB; the 16-fold must not take 60 MB more."""
    (tmp_path / "its_lines.py").write_text(
        "import seqio\n"
        "seqio.TaskRegistry.add('its_lines', seqio.TextLineDataSource({'train': 'lines.txt'}),"
        "preprocessors=[lambda d: d.map(lambda t: {'text': t}), seqio.CacheDatasetPlaceholder()],"
        "output_features={})\n"
    )
    peaks = []
    for times in (1, 16):
        with open(tmp_path / "lines.txt", "w") as file:
            for number in range(5000 * times):
                file.write(f"{number:1000}\n")
        words = ["cache", "its_lines", "--module_import=its_lines", "--num_shards=1"]
        printed = subprocess.run(
            ["python", "-c", MEASURED, *words, f"--output_cache_dir={times}"],
            cwd=tmp_path,
            env=users_shell,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        peaks.append(int(printed.splitlines()[-1]))
    assert peaks[1] < peaks[0] + 60e6, peaks
