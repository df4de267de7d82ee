"""Work that processes share: each piece once, and whatever ends a worker is said."""

import contextlib
import functools
import importlib
import os
import sys

import pytest

from t5x_lite.data.worker_processes import work_through
from t5x_lite.errors import UserError

WORK = """
import os
import signal
import time

import t5x_lite.errors


def square(piece, report):
    report(piece)
    return piece**2, os.getpid()


def fail(piece, report):
    if piece == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise {"user": t5x_lite.errors.UserError, "disk": OSError, "bug": TypeError}[piece]("as said")


def wait(piece, report):
    report(os.getpid())
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A module that the processes import."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "work_of_test.py").write_text(WORK)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("work_of_test")
    sys.path.remove(str(folder))
    sys.modules.pop("work_of_test")


set_up = functools.partial(importlib.import_module, "work_of_test")


def test_each_piece_is_done_once_by_one_of_them(work):
    told = list(work_through(range(20), work.square, set_up=set_up, num_workers=2))
    done = {each.piece: each.result for each in told if each.is_done}
    assert {piece: result[0] for piece, result in done.items()} == {i: i * i for i in range(20)}
    assert sum(each.is_done for each in told) == 20
    assert sum(each.count for each in told) == sum(range(20))
    assert os.getpid() not in {pid for _, pid in done.values()}


@pytest.mark.parametrize(
    ("piece", "kind", "said"),
    [
        ("killed", UserError, "worker process was killed.*--num_workers"),
        ("user", UserError, "^as said$"),
        ("disk", OSError, "^as said$"),
        ("bug", RuntimeError, "(?s)Traceback.*in fail.*TypeError: as said"),
    ],
)
def test_what_ends_a_worker_ends_all_and_is_said(work, piece, kind, said):
    with pytest.raises(kind, match=said):
        list(work_through([piece] * 3, work.fail, set_up=set_up, num_workers=2))


def test_who_asks_for_no_more_leaves_no_process_behind(work):
    told = work_through([1], work.wait, set_up=set_up, num_workers=1)
    with contextlib.closing(told):
        worker = next(told).count
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
