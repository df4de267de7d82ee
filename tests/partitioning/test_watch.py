"""The end of one process is the end of all: three of them, as threads that talk over sockets."""

import queue
import socket
import threading
import time

import pytest

from t5x_lite.partitioning import watch
from t5x_lite.partitioning.messages import Connection


@pytest.fixture(name="job")
def _job(monkeypatch):
    """Watches of three processes, what each of them leaves with, and the ends of their sockets."""
    monkeypatch.setattr(watch, "_GRACE_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_GRACE_WITH_ERROR_SECONDS", 0.02)
    monkeypatch.setattr(watch, "_PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(watch, "_SECONDS_TO_HEAR", 0.05)
    monkeypatch.setattr(watch, "_SECONDS_OF_SILENCE", 8)
    job = Job()
    yield job
    for process in range(3):
        job.kill(process)
    deadline = time.monotonic() + 5
    while any(end.fileno() != -1 for ends in job.sockets.values() for end in ends):
        assert time.monotonic() < deadline, "a connection is not closed"
        time.sleep(0.01)


class Job:
    def __init__(self):
        pairs = {other: _connected() for other in (1, 2)}
        self.left, self.said = queue.SimpleQueue(), []
        self.sockets = {
            0: [pair[0] for pair in pairs.values()],
            **{other: [pair[1]] for other, pair in pairs.items()},
        }
        ends = {index: [Connection(end) for end in ends] for index, ends in self.sockets.items()}
        self.watches = [
            self._watch(0, {1: ends[0][0], 2: ends[0][1]}),
            *(self._watch(i, {0: ends[i][0]}) for i in (1, 2)),
        ]

    def _watch(self, process, connections):
        leave = self._leaves(process)
        return watch.Watch(process, connections, leave=leave, say=self.said.append)

    def _leaves(self, process):
        def leave(status):
            self.left.put((process, status))
            self.kill(process)

        return leave

    def kill(self, process):
        """Its threads do nothing any more, and its system closes its sockets."""
        dead = self.watches[process]
        dead._leave_after, dead._tell = lambda *arguments: None, lambda **message: None
        for end in self.sockets[process]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is dead already

    def leaves(self, count):
        """(process, status) of so many, in their order."""
        return [self.left.get(timeout=5) for _ in range(count)]


def _connected():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        return near, server.accept()[0]


@pytest.mark.parametrize(("killed", "others"), [(1, [2, 0]), (2, [1, 0])])
def test_a_killed_process_ends_all_and_is_named(job, killed, others):
    """With a status that schedulers retry; the coordinator leaves last."""
    job.kill(killed)
    assert job.leaves(2) == [(process, 75) for process in others]
    assert sorted(job.said) == sorted(
        f"process {killed} at 127.0.0.1 is gone: it was killed, or its host or the network is "
        "down. Start all processes again, and the run goes on from its newest checkpoint; process "
        f"{other} ends as well (exit status 75)."
        for other in others
    )


def test_a_killed_coordinator_ends_all(job):
    job.kill(0)
    assert sorted(job.leaves(2)) == [(1, 75), (2, 75)]
    assert sum("process 0 at 127.0.0.1 is gone" in text for text in job.said) == 2, job.said


@pytest.mark.parametrize("failed", [0, 1])
def test_an_error_of_one_ends_all_with_its_status(job, failed):
    """A mistake in one command is not worth a retry; the output of that process shows it."""
    job.watches[failed].end(2)
    left = job.leaves(3)
    assert sorted(left) == [(0, 2), (1, 2), (2, 2)]
    assert left[-1] == (0, 2)
    assert len(job.said) == 2
    assert all(f"process {failed} ended with an error" in text for text in job.said)


def test_the_order_of_ends_that_are_no_errors_does_not_matter(job):
    """A process that said that it ends may go; who stays is not disturbed."""
    for process in (1, 0, 2):
        job.watches[process].end()
        time.sleep(0.05)
        job.kill(process)
    with pytest.raises(queue.Empty):
        job.left.get(timeout=0.2)


def test_an_unexpected_error_of_this_process_is_its_own_if_none_is_lost(job):
    job.watches[1].end_with_unexpected(1)
    assert sorted(job.leaves(3)) == [(0, 1), (1, 1), (2, 1)]


def test_an_error_that_comes_of_a_lost_process_is_not_shown(job):
    """Gloo may fail, and Python raise, before the watch has said what happened."""
    job.kill(2)
    threading.Thread(target=job.watches[0].end_with_unexpected, args=[1], daemon=True).start()
    assert job.leaves(2) == [(1, 75), (0, 75)]


def test_the_system_looks_after_connections_on_which_nothing_is_said(job):
    """A host without power closes nothing; its silence is noticed within the time."""
    (end,) = job.sockets[1]
    option = {
        name: end.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
        if hasattr(socket, name)
    }
    assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if len(option) == 4:
        probes = option["TCP_KEEPCNT"] * option["TCP_KEEPINTVL"]
        assert option["TCP_KEEPIDLE"] + probes == 8
        assert option["TCP_USER_TIMEOUT"] == 8000
