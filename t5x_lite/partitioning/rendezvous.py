"""Who is there? Asked before jax.distributed starts, because JAX aborts when one is missing.

Process 0 listens at the coordinator's address; every other one connects, says who it is and how it
was started, and waits for the verdict: to go on, or the reason why nobody does.
"""

import contextlib
import dataclasses
import select
import socket
import time
from collections.abc import Container, Mapping
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.partitioning import consistency
from t5x_lite.partitioning.consistency import Facts
from t5x_lite.partitioning.messages import Connection

Verdict = Mapping[str, Any]

_SECONDS_TO_INTRODUCE = 10.0
# What answers as no process of ours may be the job as it was before one process started anew: then
# it ends soon, and the address is free for the next rendezvous.
_SECONDS_OF_STRANGENESS = 30.0


@dataclasses.dataclass(frozen=True)
class Process:
    """One of `count`, of several: how it was started, and where it is to meet the others."""

    address: str
    index: int
    count: int
    timeout_s: float
    facts: Facts


def answer(process: Process) -> dict[int, Connection]:
    """Returns once all have met, all started alike: process 0's connections with the others by
    their index, or another's with process 0.

    Raises:
        TimeoutError: some are missing; the message says which.
        UserError: the processes disagree on who they are, or their facts differ; or something else
            is at the address.
    """
    deadline = time.monotonic() + process.timeout_s
    with contextlib.ExitStack() as stack:
        if process.index == 0:
            met = _Meeting(process, stack)
            verdict = met.verdict(deadline)
            met.tell(verdict)
            connections = met.connections
        else:
            connection, verdict = _report(process, deadline, stack)
            connections = {0: connection}
        if not verdict["go_on"]:
            raise (TimeoutError if verdict["is_late"] else UserError)(verdict["reason"])
        stack.pop_all()
    return connections


class _Meeting:
    """Process 0's part; what comes to its port is closed by `stack`."""

    def __init__(self, process: Process, stack: contextlib.ExitStack):
        self._process, self._stack = process, stack
        self.connections: dict[int, Connection] = {}
        self._ours: list[Connection] = []
        self._facts = {0: process.facts}

    def verdict(self, deadline: float) -> Verdict:
        process = self._process
        port = int(process.address.rpartition(":")[2])
        with socket.create_server(("", port), backlog=process.count) as server:
            while len(self._facts) < process.count:
                ready, _, _ = select.select([server], [], [], max(0.0, deadline - time.monotonic()))
                if not ready:
                    return _refusal(_missing(process, self._facts), is_late=True)
                if problem := self._welcome(server.accept()[0]):
                    return _refusal(problem)
        problem = consistency.differences(self._facts)
        return _refusal(problem) if problem else _GO_ON

    def _welcome(self, newcomer: socket.socket) -> str:
        """What is wrong with who has come; strangers are let go."""
        connection = Connection(newcomer)
        said = connection.receive(_SECONDS_TO_INTRODUCE)
        if said is None or not said.keys() >= {"index", "count", "facts"}:
            connection.close()
            return ""
        self._stack.callback(connection.close)
        self._ours.append(connection)
        problem = _disagreement(said["index"], said["count"], self._process, self._facts)
        self._facts[said["index"]] = said["facts"]
        self.connections[said["index"]] = connection
        return problem

    def tell(self, verdict: Verdict) -> None:
        for connection in self._ours:
            with contextlib.suppress(OSError):  # it may have given up by itself
                connection.send(**verdict)


def _report(
    process: Process, deadline: float, stack: contextlib.ExitStack
) -> tuple[Connection, Verdict]:
    """Another's part: asks until there is a verdict."""
    host, _, port = process.address.rpartition(":")
    strange_since = None
    while (left := deadline - time.monotonic()) > 0:
        try:
            reached = socket.create_connection((host.strip("[]"), int(port)), timeout=left)
        except OSError:  # not there yet, or its name not known yet
            strange_since = None
            time.sleep(min(0.2, left))
            continue
        connection = Connection(reached)
        if (verdict := _ask(connection, process)) is not None:
            stack.callback(connection.close)
            return connection, verdict
        connection.close()
        strange_since = strange_since or time.monotonic()
        if time.monotonic() >= strange_since + _SECONDS_OF_STRANGENESS:
            raise UserError(_strange(process))
        time.sleep(0.2)
    raise UserError(_strange(process)) if strange_since else TimeoutError(_no_coordinator(process))


def _ask(connection: Connection, process: Process) -> Verdict | None:
    with contextlib.suppress(OSError):
        connection.send(index=process.index, count=process.count, facts=process.facts)
        # Process 0 may have started up to timeout_s later and then waits as long again.
        said = connection.receive(process.timeout_s + 10)
        return said if said is not None and "go_on" in said else None
    return None


# Verdicts, as process 0 sends them.

_GO_ON: Verdict = {"go_on": True}


def _refusal(reason: str, *, is_late: bool = False) -> Verdict:
    return {"go_on": False, "reason": reason, "is_late": is_late}


# What can be wrong.


def _no_coordinator(process: Process) -> str:
    return (
        f"process {process.index} of {process.count} found no coordinator at {process.address} "
        f"within {process.timeout_s:g} s. Start process 0 (--process_index=0) on that host, check "
        "that --coordinator_address is its name or address as seen from here, and that the port is "
        "open."
    )


def _strange(process: Process) -> str:
    return (
        f"what listens at {process.address} holds no rendezvous of t5x_lite: either the job "
        f"already runs, and its process {process.index} was started again alone (end the others "
        "and start all of them), or another program has that port (give another "
        "--coordinator_address)."
    )


def _missing(process: Process, present: Container[int]) -> str:
    count, address = process.count, process.address
    absent = [str(index) for index in range(count) if index not in present]
    return (
        f"{count - len(absent)} of {count} processes met at the coordinator {address} within "
        f"{process.timeout_s:g} s; missing: process {', '.join(absent)}. Start the same command "
        f"there with --process_index={absent[0]} (and so on), check that these hosts reach "
        f"{address}, or lower --process_count."
    )


def _disagreement(index: int, given: int, process: Process, present: Container[int]) -> str:
    count = process.count
    if given != count:
        return (
            f"process {index} was started with --process_count={given}, process 0 with "
            f"--process_count={count}: give all the same."
        )
    if not 0 < index < count or index in present:
        return (
            f"two processes were started with --process_index={index}: give each of the {count} "
            f"its own, 0 to {count - 1}."
        )
    return ""
