"""Who is there? Asked before jax.distributed starts, because JAX aborts when one is missing.

Process 0 listens at the coordinator's address; every other one connects, says `index count`, and
waits for the verdict: an empty line to go on, or the reason why nobody does.
"""

import contextlib
import select
import socket
import time

from t5x_lite.errors import UserError


def answer(address: str, index: int, count: int, timeout_s: float) -> None:
    """Returns once all `count` processes have met at `address`.

    Raises:
        TimeoutError: some are missing; the message says which.
        UserError: the processes disagree on who they are.
    """
    if count == 1:
        return
    deadline = time.monotonic() + timeout_s
    if index == 0:
        _collect(address, count, deadline, timeout_s)
    else:
        _report(address, index, count, deadline, timeout_s)


def _collect(address: str, count: int, deadline: float, timeout_s: float) -> None:
    port = int(address.rpartition(":")[2])
    present = {0}
    connections: list[socket.socket] = []
    verdict = ""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", port), backlog=count))
        while not verdict and len(present) < count:
            ready, _, _ = select.select([server], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                verdict = _missing(address, present, count, timeout_s)
                break
            connection = stack.enter_context(server.accept()[0])
            said = _read_line(connection).split()
            if len(said) != 2 or not all(word.isdigit() for word in said):
                continue  # not one of us
            index, given = map(int, said)
            connections.append(connection)
            verdict = _disagreement(index, given, count, present)
            present.add(index)
        for connection in connections:
            with contextlib.suppress(OSError):  # it may have given up by itself
                connection.sendall(f"{verdict}\n".encode())
    _raise(verdict)


def _read_line(connection: socket.socket) -> str:
    connection.settimeout(10)
    with contextlib.suppress(OSError, UnicodeDecodeError), connection.makefile() as lines:
        return lines.readline(64)
    return ""


def _report(address: str, index: int, count: int, deadline: float, timeout_s: float) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(
                f"process {index} of {count} found no coordinator at {address} within "
                f"{timeout_s:g} s. Start process 0 (--process_index=0) on that host, check that "
                "--coordinator_address is its name or address as seen from here, and that the port "
                "is open."
            )
        try:
            connection = socket.create_connection((host, int(port)), timeout=left)
        except OSError:  # not there yet, or its name not known yet
            time.sleep(min(0.2, left))
            continue
        with connection:
            # Process 0 may have started up to timeout_s later and then waits as long again.
            connection.settimeout(timeout_s + 10)
            try:
                connection.sendall(f"{index} {count}\n".encode())
                verdict = connection.makefile().readline()
            except OSError:
                continue
        if verdict:
            return _raise(verdict.strip())


def _missing(address: str, present: set[int], count: int, timeout_s: float) -> str:
    absent = ", ".join(str(index) for index in range(count) if index not in present)
    return (
        f"TimeoutError {len(present)} of {count} processes met at the coordinator {address} within "
        f"{timeout_s:g} s; missing: process {absent}. Start the same command there with "
        f"--process_index={absent.split(',')[0]} (and so on), check that these hosts reach "
        f"{address}, or lower --process_count."
    )


def _disagreement(index: int, given: int, count: int, present: set[int]) -> str:
    if given != count:
        return (
            f"UserError process {index} was started with --process_count={given}, process 0 with "
            f"--process_count={count}: give all the same."
        )
    if not 0 < index < count or index in present:
        return (
            f"UserError two processes were started with --process_index={index}: give each of the "
            f"{count} its own, 0 to {count - 1}."
        )
    return ""


def _raise(verdict: str) -> None:
    if verdict:
        kind, _, message = verdict.partition(" ")
        raise {"TimeoutError": TimeoutError, "UserError": UserError}[kind](message)
