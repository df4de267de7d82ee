"""One run at a time in a model directory: MODEL_DIR/run_lease.json, with a heartbeat.

with lease.held(model_dir) as held:
    ...                # a thread writes a beat every ten seconds, whatever this one does
    held.check()       # raises if another run has taken the directory meanwhile

Clocks of hosts differ, so nobody compares times: whoever finds a lease of another host watches
whether its beats go on. A beat overwrites the file in place, which a full disk takes as well. In an
object store nothing is created only if absent, so there the lease is advisory: two runs that
start in the same second may both begin, and the first beat tells one of them.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import socket
import threading
import time
from collections.abc import Iterator

import jax
from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints import folders, multihost
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError

FILE = "run_lease.json"
_SECONDS_BETWEEN_BEATS = 10.0
# A lease of another host is dead when so long no beat has come.
_TERM_SECONDS = 60.0
_SECONDS_BETWEEN_LOOKS = 1.0


@dataclasses.dataclass(frozen=True)
class Holder:
    """Who holds a lease. `machine` is where process ids mean the same; `process_start` tells a
    process from a later one with its id; `token` is of this lease alone.
    """

    host: str
    machine: str
    pid: int
    process_start: str
    started: str
    token: str
    # One width, so that a beat overwrites the one before.
    beat: str = f"{0:012}"

    @classmethod
    def this_process(cls) -> "Holder":
        """A new lease of this process."""
        pid = os.getpid()
        return cls(
            socket.gethostname(),
            _machine(),
            pid,
            _process_start(pid) or "",
            time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
            secrets.token_hex(8),
        )

    def with_beat(self, beat: int) -> "Holder":
        """The same lease, alive."""
        return dataclasses.replace(self, beat=f"{beat:012}")

    def to_json(self) -> str:
        """What the file holds."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, started {self.started}"


@contextlib.contextmanager
def held(model_dir: epath.PathLike) -> Iterator["Lease"]:
    """Inside, this job is the one run in a model directory; process 0 sees to it, the others
    follow.

    A run that was killed on this host is superseded at once, that of another host (or container)
    once no beat has come for a minute.

    Raises:
        UserError: a run is alive in there; the message says which.
        OSError: the directory cannot be written.
    """
    lease = Lease(model_dir)
    problem: Exception | None = None
    if jax.process_index() == 0:
        try:
            lease.take()
        except (OSError, UserError) as error:
            problem = error
    try:
        # Process 0 may have waited longer than a collective does.
        multihost.barrier(f"lease_{multihost.number()}")
        if not multihost.all_true(problem is None):
            raise problem or UserError(f"process 0 could not take {lease.path}: see its output.")
        yield lease
    finally:
        lease.release()


class Lease:
    """The lease of one model directory, for one process."""

    def __init__(self, model_dir: epath.PathLike):
        self._model_dir = folders.absolute(model_dir)
        self.path = self._model_dir / FILE
        self._own = Holder.this_process()
        self._lost = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Returns once this process holds the lease; its beats begin.

        Raises:
            UserError: a run is alive in there.
            OSError: the directory cannot be written.
        """
        folders.check_writable(self._model_dir)
        while not self._create():
            found = self._read()
            if found is not None:
                self._supersede(found)
        self._thread = threading.Thread(target=self._beats, name="run lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Called at every step.

        Raises:
            UserError: the directory was taken by another run.
        """
        if self._lost:
            raise UserError(self._lost)

    def release(self) -> None:
        """Ends the beats, and removes the file if it is still this lease's."""
        self._ended.set()
        if self._thread is None:
            return
        self._thread.join()
        self._thread = None
        with contextlib.suppress(OSError):
            if self._is_own(self._read()):
                self.path.unlink()

    def _is_own(self, found: str | None) -> bool:
        return found is not None and self._own.token in found

    # Taking.

    def _create(self) -> bool:
        """Writes the lease if there is none; whether it did."""
        if storage.is_remote(self.path):
            if storage.exists(self.path):
                return False
            storage.write_whole(self.path, self._own.to_json().encode())
            return True
        try:
            file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return False
        try:
            with open(file, "w") as writer:
                writer.write(self._own.to_json())
        except OSError:
            self.path.unlink()
            raise
        return True

    def _read(self) -> str | None:
        """What the file holds; None if there is none."""
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return None

    def _supersede(self, found: str) -> None:
        """Removes what a dead run left.

        Raises:
            UserError: it is alive.
        """
        holder = _parse(found)
        is_alive = None if holder is None else _is_alive_here(holder)
        if is_alive is None:
            is_alive = self._beats_go_on(found, holder)
        if is_alive:
            raise self._occupied(_parse(self._read() or found))
        say(f"{self._model_dir}: takes over from {holder or 'a run'}, which has ended")
        self._remove(found)

    def _beats_go_on(self, found: str, holder: Holder | None) -> bool:
        """Watches until the file changes, or for a whole term."""
        say(
            f"{self._model_dir} is held by {holder or 'a run that left no name'}, which cannot be "
            f"seen from here: waits up to {_TERM_SECONDS:g} s for a sign of its life"
        )
        until = time.monotonic() + _TERM_SECONDS
        while time.monotonic() < until:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            now = self._read()
            if now != found:
                return now is not None
        return False

    def _remove(self, found: str) -> None:
        """Of two that supersede the same lease one renames it; the other, if it came so late that
        it holds the new one, puts that back.
        """
        if storage.is_remote(self.path):
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            return
        aside = self._model_dir / f"{FILE}.{self._own.token}"
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        if (other := aside.read_text()) != found:
            with contextlib.suppress(FileExistsError):
                os.link(aside, self.path)
            aside.unlink()
            raise self._occupied(_parse(other))
        aside.unlink()

    def _occupied(self, holder: Holder | None) -> UserError:
        return UserError(
            f"a run is alive in {self._model_dir}: {holder or 'it has not yet said which'}. Two "
            "would delete each other's checkpoints: end that one, or give another "
            "--gin.MODEL_DIR=..."
        )

    # Beating.

    def _beats(self) -> None:
        beat, is_said = 0, False
        while not self._lost and not self._ended.wait(_SECONDS_BETWEEN_BEATS):
            beat += 1
            try:
                self._beat(beat)
                is_said = False
            except OSError as error:  # it may be back in time, and training can do without
                if not is_said:
                    say(f"WARNING: no sign of life in {self.path}, others may take it: {error}")
                is_said = True

    def _beat(self, beat: int) -> None:
        found = self._read()
        if found is None:
            self._create()
        elif not self._is_own(found):
            self._lost = (
                f"{self._model_dir} was taken by {_parse(found) or 'another run'}, which saw no "
                "sign of life of this one for a minute; so this one ends, and saves nothing more."
            )
        elif storage.is_remote(self.path):
            storage.write_whole(self.path, self._own.with_beat(beat).to_json().encode())
        else:
            with open(self.path, "r+") as file:
                file.write(self._own.with_beat(beat).to_json())


def _parse(text: str) -> Holder | None:
    """Who it is; None if it was not yet written, or is none of ours."""
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None


# Processes, as this one sees them.


def _machine() -> str:
    """Where a process id means the same process: a boot of a kernel, and a container of it."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux
        return socket.gethostname()


def _process_start(pid: int) -> str | None:
    """When a process began, in ticks since the boot; "" if that cannot be told, None if it has
    ended.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    # Z: it has ended, and nobody has asked how.
    return None if fields[0] in "ZX" else fields[19]


def _is_alive_here(holder: Holder) -> bool | None:
    """Whether a process of this machine lives; None if it is of another, or cannot be told."""
    if holder.machine != _machine():
        return None
    start = _process_start(holder.pid)
    if start is None:
        return False
    if not start or not holder.process_start:
        return None
    return start == holder.process_start
