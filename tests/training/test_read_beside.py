"""Batches read by a thread: the same ones, and whoever waits for them can go."""

import subprocess
import sys
import threading

import pytest

from t5x_lite.training import read_beside as module
from t5x_lite.training.errors import StopAsked
from t5x_lite.training.read_beside import read_beside


def failing():
    """Two batches and an error."""
    yield 1
    yield 2
    raise OSError("no such file")


def test_it_gives_the_same_batches_and_the_same_error():
    """In their order, however many."""
    assert list(read_beside(range(20))) == list(range(20))
    found = read_beside(failing())
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(OSError, match="no such file"):
        next(found)


def test_who_waits_may_stop_and_the_reader_ends_behind_its_batch(monkeypatch):
    """Also if there is no more room for what it reads."""
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LOOKS", 0.001)
    reads, goes_on = threading.Event(), threading.Event()
    threads = []

    def slow():
        threads.append(threading.current_thread())
        reads.set()
        assert goes_on.wait(10)
        yield from range(100)

    def stop():
        if reads.is_set():
            raise StopAsked

    with pytest.raises(StopAsked):
        next(read_beside(slow(), stop))
    goes_on.set()
    threads[0].join(10)
    assert not threads[0].is_alive()


@pytest.mark.slow
def test_a_process_ends_beside_a_reader_that_goes_on():
    """With the status of a run that was stopped, not with that of a crash inside of tf.data."""
    code = """
import sys
import tensorflow as tf
from t5x_lite.training.read_beside import read_beside
matrix = tf.random.normal((1500, 1500))
endless = tf.data.Dataset.range(10**9).map(lambda i: tf.reduce_sum(matrix @ matrix))
try:
    next(read_beside(endless.filter(lambda value: False).as_numpy_iterator(), lambda: 1 / 0))
except ZeroDivisionError:
    print("stopped")
sys.exit(75)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (75, "stopped\n"), done.stderr
