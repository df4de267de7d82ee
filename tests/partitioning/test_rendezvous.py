"""The meeting before jax.distributed, between threads of one process."""

import concurrent.futures
import socket
import threading
import time

import pytest

from t5x_lite.errors import UserError
from t5x_lite.partitioning import rendezvous


@pytest.fixture(name="address")
def _address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


FACTS = {"LEARNING_RATE": "1.0"}


def process(address, index):
    return rendezvous.Process(address, index, 2, 20.0, FACTS)


def call(address, indices, count, timeout_s, counts=None, facts=None):
    """What each process got: None if it may go on, connected with the others, else its error."""
    counts, facts = counts or [count] * len(indices), facts or [FACTS] * len(indices)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [
            pool.submit(
                rendezvous.answer, rendezvous.Process(address, index, given, timeout_s, each)
            )
            for index, given, each in zip(indices, counts, facts, strict=True)
        ]
        errors = [future.exception() for future in futures]
        for index, future in zip(indices, futures, strict=True):
            if not future.exception():
                others = set(range(1, count)) if index == 0 else {0}
                assert parted(future) == others
        return errors


def parted(future):
    """The indices of the processes that one is connected with, once it no longer is."""
    for connection in future.result().values():
        connection.close()
    return future.result().keys()


def test_all_go_on_once_all_are_there(address):
    assert call(address, [2, 0, 1], 3, 20.0) == [None] * 3


def test_the_missing_process_is_named_to_all_that_came(address):
    """JAX would abort each of them with DEADLINE_EXCEEDED and name nobody."""
    errors = call(address, [0, 2], 3, 1.5)
    assert [type(error) for error in errors] == [TimeoutError] * 2
    for error in errors:
        assert f"2 of 3 processes met at the coordinator {address}" in str(error)
        assert "missing: process 1." in str(error)


def test_a_missing_coordinator_is_named(address):
    (error,) = call(address, [1], 2, 0.5)
    assert isinstance(error, TimeoutError)
    assert f"process 1 of 2 found no coordinator at {address} within 0.5 s" in str(error)


def test_a_process_may_come_before_the_coordinator(address):
    """Hosts start in any order."""
    early = concurrent.futures.ThreadPoolExecutor().submit(rendezvous.answer, process(address, 1))
    time.sleep(0.5)
    rendezvous.answer(process(address, 0))[1].close()
    assert parted(early) == {0}


def test_two_processes_with_one_index_are_refused(address):
    """A copied command line: the third place would stay empty until the time-out."""
    errors = call(address, [0, 1, 1], 3, 20.0)
    assert all("two processes were started with --process_index=1" in str(e) for e in errors[:1])
    assert any(isinstance(error, ValueError) for error in errors[1:])


def test_processes_that_disagree_on_their_number_are_refused(address):
    errors = call(address, [0, 1], 2, 20.0, counts=[2, 4])
    assert all("process 1 was started with --process_count=4" in str(error) for error in errors)


def test_processes_that_were_not_started_alike_are_refused(address):
    """All of them hear which setting it is; else they would train to the end and exit with 0."""
    other = {**FACTS, "LEARNING_RATE": "0.5"}
    errors = call(address, [0, 1, 2], 3, 20.0, facts=[FACTS, FACTS, other])
    assert [type(error) for error in errors] == [UserError] * 3
    assert all("process 2: LEARNING_RATE = 0.5 (process 0: 1.0)" in str(error) for error in errors)


def test_strangers_at_the_port_are_ignored(address):
    """A port scanner or a health check is nobody's process."""

    def knock():
        host, port = address.split(":")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((host, int(port))) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n")
                return
            except ConnectionRefusedError:
                time.sleep(0.02)

    coordinator = concurrent.futures.ThreadPoolExecutor().submit(
        rendezvous.answer, process(address, 0)
    )
    visitor = threading.Thread(target=knock)
    visitor.start()
    visitor.join()
    rendezvous.answer(process(address, 1))[0].close()
    assert parted(coordinator) == {1}


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\x00\x18\x04\x00\xff\xff\n",  # of gRPC, as JAX's coordinator speaks it
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b'{"index": 1}\n',
        b"",
    ],
)
def test_what_is_no_verdict_is_said_in_one_sentence(said, address, monkeypatch):
    """A worker that starts again alone finds the coordinator of JAX where the rendezvous was."""
    monkeypatch.setattr(rendezvous, "_SECONDS_OF_STRANGENESS", 0.0)
    host, port = address.split(":")

    def speak(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(64)
            connection.sendall(said)

    with socket.create_server((host, int(port))) as server:
        threading.Thread(target=speak, args=[server], daemon=True).start()
        with pytest.raises(UserError, match="process 1 was started again alone") as error:
            rendezvous.answer(process(address, 1))[0].close()
    assert "\n" not in str(error.value)


def test_a_strange_answer_is_not_the_last_word(address, monkeypatch):
    """The job that the worker was part of ends soon; then all of them meet anew."""
    host, port = address.split(":")
    server = socket.create_server((host, int(port)))
    worker = concurrent.futures.ThreadPoolExecutor().submit(rendezvous.answer, process(address, 1))
    connection, _ = server.accept()
    connection.sendall(b"\xff\xff\n")
    connection.close()
    server.close()
    rendezvous.answer(process(address, 0))[1].close()
    assert parted(worker) == {0}
