"""A thread runs ahead, but not far, hands errors on and stops when told."""

import threading
import time

import numpy as np
import pytest

from t5x_lite.data.read_ahead import ReadAhead


def counted(limit, size=1, taken=None, seconds=0.0):
    for i in range(limit):
        if taken is not None:
            taken.append(i)
        time.sleep(seconds)
        yield {"x": np.full(size, i, np.int32)}


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_it_gives_all_in_order():
    assert [batch["x"].item() for batch in ReadAhead(counted(100))] == list(range(100))


@pytest.mark.parametrize("size, ahead", [(1, 32), (2**24, 4), (2**27, 2)])
def test_it_does_not_run_far_ahead(size, ahead):
    """32 batches, or 256 MB, but two at least."""
    taken = []
    batches = ReadAhead(counted(100, 1, taken) if size == 1 else large(size, taken))
    wait_until(lambda: len(taken) == ahead)
    time.sleep(0.05)
    assert len(taken) == ahead
    next(batches)
    wait_until(lambda: len(taken) == ahead + 1)
    batches.close()


def large(size, taken):
    """Views of one number: no memory."""
    while True:
        taken.append(size)
        yield {"x": np.broadcast_to(np.int32(0), size)}


def test_errors_come_behind_what_was_read_before():
    """And again, if asked again."""

    def failing():
        yield from counted(2)
        raise OSError("the disk is gone")

    batches = ReadAhead(failing())
    assert [next(batches)["x"].item() for _ in range(2)] == [0, 1]
    for _ in range(2):
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)


def test_waiting_is_counted_but_not_for_the_first():
    """Start-up is no sign that the data is too slow."""
    batches = ReadAhead(counted(3, seconds=0.2))
    next(batches)
    assert batches.waited_seconds == 0.0
    next(batches)
    assert 0.05 < batches.waited_seconds < 5.0


def test_closing_ends_the_thread():
    """Also twice; then there is nothing more."""
    batches = ReadAhead(counted(10**9))
    next(batches)
    batches.close()
    batches.close()
    assert not any(
        thread.name == "data" and thread is batches._thread for thread in threading.enumerate()
    )
    with pytest.raises(ValueError, match="closed"):
        next(batches)
