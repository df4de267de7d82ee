"""Many processes, one job: called once, before JAX starts a backend."""

import atexit
import collections
import glob
import importlib.util
import math
import os
import sys
import threading
from collections.abc import Callable, Mapping

import jax
from jax._src import distributed  # the only way to its key-value store

from t5x_lite.errors import UserError
from t5x_lite.partitioning import consistency, launchers, rendezvous
from t5x_lite.partitioning.consistency import Facts
from t5x_lite.partitioning.messages import Connection
from t5x_lite.partitioning.watch import Watch

# Each process of a TPU slice sees the whole slice only after jax.distributed.initialize.
_TPU_HOSTS = ("TPU_PROCESS_ADDRESSES", "TPU_WORKER_HOSTNAMES")
_REMIND_AFTER_SECONDS = 60.0
_SECONDS_TO_LEAVE = 20.0


def initialize(
    coordinator_address: str | None = None,
    process_count: int | None = None,
    process_index: int | None = None,
    *,
    timeout_s: int | float = 300,
    facts: Callable[[], Facts] = dict,
) -> None:
    """Joins the other processes of the job, so that none trains alone.

    On TPU VMs nothing needs to be given, nor under SLURM (srun); other launchers say how many
    processes there are and which this is, so the address is enough. Elsewhere give all three, the
    same command on every host but for `process_index`; without them this is the only process. A
    `process_count` of 1 makes it the only one also under a launcher.

    Args:
        facts: what all processes of the job must have in common besides versions, by name.

    Raises:
        UserError: the flags contradict each other or JAX's view; all problems are listed. Or a
            launcher started several processes, and not all that they need is known. Or they were
            not started alike; the message says where they differ.
        TimeoutError: some process did not come; the message says which.
    """
    given = (coordinator_address, process_count, process_index)
    # It would take SIGTERM away from Python, without which no run saves when asked to stop.
    jax.config.update("jax_enable_preemption_service", False)
    if given == (None, None, None) and on_tpu_vm():
        _join_tpu_slice(timeout_s)
        return _compare(facts, timeout_s)
    if given in ((None, 1, None), (None, 1, 0)):
        return None
    place = launchers.find(os.environ)
    if given == (None, None, None) and (place is None or place.may_be_the_only_one):
        return None
    address, count, index = _completed(given, place)
    problems = _problems(address, count, index, timeout_s)
    if problems or address is None or count is None or index is None:
        raise UserError("these flags do not start a job of many processes:\n" + "\n".join(problems))
    if place is not None and index == 0:
        print(f"{place.launcher}: {count} processes meet at {address}", flush=True)
    if count > 1:
        said = {**consistency.versions(), **facts()}
        process = rendezvous.Process(address, index, count, float(timeout_s), said)
        _keep_watch(index, rendezvous.answer(process))
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Under SLURM and Open MPI JAX would give each process one of the devices of its host.
    shares_host = place is not None and not place.has_host
    jax.distributed.initialize(
        address,
        count,
        index,
        initialization_timeout=math.ceil(timeout_s),
        cluster_detection_method=None if shares_host else "deactivate",
    )
    if jax.process_count() != count:
        raise UserError(
            f"--process_count={count}, but JAX's {jax.default_backend()} devices belong to "
            f"{jax.process_count()} process(es): start one process per host of the slice, no more."
        )
    return _check_devices()


_Given = tuple[str | None, int | None, int | None]


def _completed(given: _Given, place: launchers.Place | None) -> _Given:
    """Address, count and index; what is not given is what a launcher says."""
    if place is None:
        return given
    address, count, index = given
    address = place.address if address is None else address
    count = place.count if count is None else count
    if address is None or count is None:
        raise UserError(_incomplete(place))
    return address, count, place.index if index is None else index


def _incomplete(place: launchers.Place) -> str:
    several = "several" if place.count is None else f"{place.count}"
    count = " --process_count=N" if place.count is None else ""
    return (
        f"{place.launcher} started this as process {place.index} of {several}, and each would work "
        f"alone in one directory. Give --coordinator_address=HOST:PORT{count} to all of them, with "
        "the host of process 0 and a port that is free there; or --process_count=1 if each is to "
        "work alone, in a directory of its own."
    )


def leave_soon(status: int, *, is_expected: bool = True) -> None:
    """For a process that ends with an error, which the others may not have.

    JAX would wait five minutes for them to end as well, while they wait for this one's part of a
    sum.

    Args:
        is_expected: else the error may be a consequence of the end of another process, and this
            process ends for that reason.
    """
    if _watch is not None:
        if is_expected:
            _watch.end(status)
        else:
            _watch.end_with_unexpected(status)
    elif jax.distributed.is_initialized() and jax.process_count() > 1:
        timer = threading.Timer(_SECONDS_TO_LEAVE, os._exit, [status])
        timer.daemon = True
        timer.start()


_watch: Watch | None = None


def _keep_watch(index: int, connections: Mapping[int, Connection]) -> None:
    """From here on the end of one process is the end of all."""
    global _watch
    _watch = Watch(index, connections)
    # Before JAX waits for the others at exit, as what is registered last runs first.
    atexit.register(_end_in_order, _watch)


def _end_in_order(watch: Watch) -> None:
    """At exit; Python leaves the error that ends a program in `sys.last_value`."""
    if hasattr(sys, "last_value"):
        watch.end_with_unexpected(1)
    else:
        watch.end()


def on_tpu_vm() -> bool:
    """Whether this host drives TPU chips, found without starting a backend."""
    platforms = jax.config.values["jax_platforms"]
    if platforms and "tpu" not in platforms.split(","):
        return False
    if importlib.util.find_spec("libtpu") is None and "TPU_LIBRARY_PATH" not in os.environ:
        return False
    return bool(glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"))


def _join_tpu_slice(timeout_s: int | float) -> None:
    """JAX asks the metadata server for the other hosts and ends the process if they do not come."""
    reminder = threading.Timer(
        _REMIND_AFTER_SECONDS,
        lambda: print(
            "still waiting for the other hosts of this TPU slice: is the same command running on "
            "all of them (gcloud compute tpus tpu-vm ssh ... --worker=all)?",
            file=sys.stderr,
            flush=True,
        ),
    )
    reminder.daemon = True
    reminder.start()
    try:
        jax.distributed.initialize(initialization_timeout=math.ceil(timeout_s))
    except ValueError as error:  # JAX found no metadata: a lone chip, as in a notebook
        hosts = next((os.environ[name] for name in _TPU_HOSTS if name in os.environ), "")
        if "," in hosts:
            raise UserError(
                f"this TPU slice has the hosts {hosts}, but JAX cannot tell which one this is "
                f"({error}); give --coordinator_address, --process_count and --process_index."
            ) from error
    finally:
        reminder.cancel()


def _compare(facts: Callable[[], Facts], timeout_s: int | float) -> None:
    """Of processes that have met without a rendezvous, if they are several."""
    client = distributed.global_state.client
    if client is not None and jax.process_count() > 1:
        said = {**consistency.versions(), **facts()}
        consistency.compare(said, client, jax.process_index(), jax.process_count(), timeout_s)


def _check_devices() -> None:
    """All that all processes do together they do with as many devices each."""
    counts = collections.Counter(device.process_index for device in jax.devices())
    most = max(counts, key=lambda index: (counts[index], -index))
    if few := [str(index) for index in sorted(counts) if counts[index] != counts[most]]:
        raise UserError(
            f"process {', '.join(few)} has fewer devices ({counts[int(few[0])]}) than process "
            f"{most} ({counts[most]}): needed are as many on each. Look at the host's devices, at "
            "CUDA_VISIBLE_DEVICES and at what the launcher gives to each process."
        )


def _problems(
    address: str | None, count: int | None, index: int | None, timeout_s: int | float
) -> list[str]:
    flags = {"coordinator_address": address, "process_count": count, "process_index": index}
    missing = ", ".join(f"--{name}" for name, value in flags.items() if value is None)
    host, _, port = (address or "").rpartition(":")
    found = []
    if missing:
        found.append(f"  {missing} missing: give all of {', '.join(f'--{name}' for name in flags)}")
    if address is not None and not (host and port.isdigit() and 0 < int(port) < 65536):
        found.append(
            f"  --coordinator_address={address}: needed is host:port of process 0, "
            "e.g. 10.0.0.2:8476"
        )
    if count is not None and count < 1:
        found.append(f"  --process_count={count}: needed is at least 1")
    if index is not None and (index < 0 or (count is not None and count >= 1 and index >= count)):
        last = "process_count - 1" if count is None else max(count - 1, 0)
        found.append(f"  --process_index={index}: needed is 0 to {last}")
    if timeout_s < 1:
        found.append(f"  --initialization_timeout={timeout_s}: needed is at least 1 second")
    return found
