"""Who is there? Asked before jax.distributed starts, because JAX aborts when one is missing.

Process 0 listens at the coordinator's address; every other one connects, says who it is and how it
was started, and waits for the verdict: to go on, or the reason why nobody does.
"""

import contextlib
import select
import socket
import time
from collections.abc import Container, Mapping
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.partitioning import likeness
from t5x_lite.partitioning.likeness import Facts
from t5x_lite.partitioning.messages import Connection

_SECONDS_TO_INTRODUCE = 10.0
# What answers as no process of ours may be the job as it was before one process started anew: then
# it ends soon, and the address is free for the next roll call.
_SECONDS_OF_STRANGENESS = 30.0


def answer(address: str, index: int, count: int, timeout_s: float, facts: Facts) -> None:
    """Returns once all `count` processes, of several, have met at `address`, all started alike.

    Raises:
        TimeoutError: some are missing; the message says which.
        UserError: the processes disagree on who they are, or their facts differ; or something else
            is at `address`.
    """
    deadline = time.monotonic() + timeout_s
    if index == 0:
        _collect(address, count, deadline, timeout_s, facts)
    else:
        _report(address, index, count, deadline, timeout_s, facts)


def _collect(address: str, count: int, deadline: float, timeout_s: float, facts: Facts) -> None:
    port = int(address.rpartition(":")[2])
    present = {0: facts}
    connections: list[Connection] = []
    verdict = _GO_ON
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("", port), backlog=count))
        while verdict == _GO_ON and len(present) < count:
            ready, _, _ = select.select([server], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                verdict = _refusal(_missing(address, present, count, timeout_s), is_late=True)
                break
            connection = Connection(server.accept()[0])
            stack.callback(connection.close)
            said = connection.receive(_SECONDS_TO_INTRODUCE)
            if said is None or not said.keys() >= {"index", "count", "facts"}:
                continue  # not one of us
            connections.append(connection)
            problem = _disagreement(said["index"], said["count"], count, present)
            verdict = _refusal(problem) if problem else _GO_ON
            present[said["index"]] = said["facts"]
        if verdict == _GO_ON and (problem := likeness.differences(present)):
            verdict = _refusal(problem)
        for connection in connections:
            with contextlib.suppress(OSError):  # it may have given up by itself
                connection.send(**verdict)
    _obey(verdict)


def _report(
    address: str, index: int, count: int, deadline: float, timeout_s: float, facts: Facts
) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    strange_since = None
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(_no_coordinator(address, index, count, timeout_s))
        try:
            connection = Connection(socket.create_connection((host, int(port)), timeout=left))
        except OSError:  # not there yet, or its name not known yet
            strange_since = None
            time.sleep(min(0.2, left))
            continue
        # Process 0 may have started up to timeout_s later and then waits as long again.
        verdict = _verdict(connection, timeout_s + 10, index=index, count=count, facts=facts)
        if verdict is not None:
            return _obey(verdict)
        now = time.monotonic()
        strange_since = strange_since or now
        if now >= min(deadline, strange_since + _SECONDS_OF_STRANGENESS):
            raise UserError(_strange(address, index))
        time.sleep(0.2)


def _verdict(
    connection: Connection, timeout_s: float, **introduction: Any
) -> Mapping[str, Any] | None:
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.send(**introduction)
        said = connection.receive(timeout_s)
        return said if said is not None and "go_on" in said else None
    return None


# Verdicts, as process 0 sends them.

_GO_ON: Mapping[str, Any] = {"go_on": True}


def _refusal(reason: str, *, is_late: bool = False) -> Mapping[str, Any]:
    return {"go_on": False, "reason": reason, "is_late": is_late}


def _obey(verdict: Mapping[str, Any]) -> None:
    if not verdict["go_on"]:
        kind = TimeoutError if verdict["is_late"] else UserError
        raise kind(verdict["reason"])


# What can be wrong.


def _no_coordinator(address: str, index: int, count: int, timeout_s: float) -> str:
    return (
        f"process {index} of {count} found no coordinator at {address} within {timeout_s:g} s. "
        "Start process 0 (--process_index=0) on that host, check that --coordinator_address is its "
        "name or address as seen from here, and that the port is open."
    )


def _strange(address: str, index: int) -> str:
    return (
        f"what listens at {address} holds no roll call of t5x_lite: either the job already runs, "
        f"and its process {index} was started again alone (end the others and start all of them), "
        "or another program has that port (give another --coordinator_address)."
    )


def _missing(address: str, present: Container[int], count: int, timeout_s: float) -> str:
    absent = [str(index) for index in range(count) if index not in present]
    return (
        f"{count - len(absent)} of {count} processes met at the coordinator {address} within "
        f"{timeout_s:g} s; missing: process {', '.join(absent)}. Start the same command there with "
        f"--process_index={absent[0]} (and so on), check that these hosts reach "
        f"{address}, or lower --process_count."
    )


def _disagreement(index: int, given: int, count: int, present: Container[int]) -> str:
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
