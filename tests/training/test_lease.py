"""One run at a time in a model directory: a live one is an error, a dead one is taken over."""

import json
import os
import subprocess
import sys
import threading

import pytest

from t5x_lite.errors import UserError
from t5x_lite.training import lease
from t5x_lite.training.lease import Holder, Lease


class FakeTime:
    """Seconds pass in `sleep` alone, which does `while_asleep`."""

    def __init__(self):
        self.now = 0.0
        self.while_asleep = lambda: None
        self.strftime, self.gmtime = lease.time.strftime, lease.time.gmtime

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.while_asleep()


@pytest.fixture
def clock(monkeypatch):
    """A clock of our own."""
    fake = FakeTime()
    monkeypatch.setattr(lease, "time", fake)
    return fake


def held_by(folder, **changes) -> Holder:
    """A lease that another run has left, of this process unless said otherwise."""
    holder = Holder(**{**vars(Holder.this_process()), **changes})
    written = folder / "written"
    written.write_text(holder.to_json())
    written.replace(folder / lease.FILE)  # no beat sees the half of it
    return holder


def ended_process() -> int:
    """The id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def holder_in(folder) -> Holder:
    """Who holds a directory now."""
    return Holder(**json.loads((folder / lease.FILE).read_text()))


def assert_taken_over(folder, clock, capsys, seconds):
    """Another run takes the directory after so many seconds, and says so."""
    before = holder_in(folder)
    taken = Lease(folder)
    taken.take()
    assert holder_in(folder).token != before.token
    taken.release()
    assert clock.now == seconds
    assert f"takes over from process {before.pid} on {before.host}" in capsys.readouterr().out
    assert not list(folder.iterdir())


def test_a_second_run_is_told_which_one_is_alive(tmp_path, clock):
    """Host, process and start; at once, and the first keeps its lease. It ends with its run."""
    with lease.held(tmp_path) as first:
        own = holder_in(tmp_path)
        with pytest.raises(UserError, match="a run is alive") as error, lease.held(tmp_path):
            pass
        for fact in (own.host, f"process {os.getpid()}", own.started, "--gin.MODEL_DIR"):
            assert fact in str(error.value)
        assert holder_in(tmp_path) == own
        first.check()
    assert clock.now == 0
    assert not list(tmp_path.iterdir())
    with lease.held(tmp_path):
        pass


def test_the_run_of_a_process_that_ended_is_taken_over_at_once(tmp_path, clock, capsys):
    """A run that was killed and is started again waits for nothing."""
    held_by(tmp_path, pid=ended_process())
    assert_taken_over(tmp_path, clock, capsys, seconds=0)


def test_a_process_with_the_id_of_one_that_ended_is_another(tmp_path, clock, capsys):
    """Ids come again; the start of the process does not."""
    held_by(tmp_path, process_start="1")
    assert_taken_over(tmp_path, clock, capsys, seconds=0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
def test_a_process_that_nobody_has_waited_for_has_ended(tmp_path, clock, capsys):
    """In a container nobody may ever do so."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    held_by(tmp_path, pid=child.pid)
    assert_taken_over(tmp_path, clock, capsys, seconds=0)
    child.wait()


def test_a_silent_run_of_another_host_is_waited_out(tmp_path, clock, capsys):
    """What a clock says elsewhere counts for nothing, and its processes cannot be seen."""
    held_by(tmp_path, host="elsewhere", machine="other", started="2999-01-01 00:00:00 UTC")
    assert_taken_over(tmp_path, clock, capsys, seconds=60)


def test_a_run_of_another_host_that_beats_is_alive(tmp_path, clock, capsys):
    """However late its first beat comes within the term."""
    holder = held_by(tmp_path, host="elsewhere", machine="other", pid=7)

    def beat():
        if clock.now == 59:
            held_by(tmp_path, **vars(holder.with_beat(1)))

    clock.while_asleep = beat
    with pytest.raises(UserError, match="process 7 on elsewhere"):
        Lease(tmp_path).take()
    assert "waits up to 60 s" in capsys.readouterr().out


def test_a_run_that_ends_while_another_waits_makes_way(tmp_path, clock):
    """Its lease is gone, so the other need not wait longer."""
    held_by(tmp_path, machine="other")
    clock.while_asleep = lambda: (tmp_path / lease.FILE).unlink(missing_ok=True)
    taken = Lease(tmp_path)
    taken.take()
    taken.release()
    assert clock.now == 1


def test_a_lease_that_was_never_written_is_waited_out(tmp_path, clock):
    """The run was killed between the file and its first line."""
    (tmp_path / lease.FILE).write_text("")
    taken = Lease(tmp_path)
    taken.take()
    taken.release()
    assert clock.now == 60


def test_of_two_that_supersede_one_lease_one_gets_it(tmp_path):
    """The slower one finds the lease of the faster, and leaves it there."""
    dead = held_by(tmp_path, pid=ended_process())
    slow, fast = Lease(tmp_path), Lease(tmp_path)
    fast.take()
    own = holder_in(tmp_path)
    with pytest.raises(UserError, match="a run is alive"):
        slow._remove(dead.to_json())
    assert holder_in(tmp_path) == own
    fast.release()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def beating(tmp_path, monkeypatch):
    """A lease whose beats come at once, and a way to wait for its next attempt."""
    monkeypatch.setattr(lease, "_SECONDS_BETWEEN_BEATS", 0.001)
    attempts = threading.Semaphore(0)
    original = Lease._beat

    def beat(self, number):
        try:
            original(self, number)
        finally:
            attempts.release()

    monkeypatch.setattr(Lease, "_beat", beat)

    def wait():
        while attempts.acquire(blocking=False):
            pass
        for _ in range(2):
            assert attempts.acquire(timeout=10)

    taken = Lease(tmp_path)
    taken.take()
    yield taken, wait
    taken.release()


def test_beats_go_on_beside_the_main_thread(tmp_path, beating):
    """In place, so that a full disk takes them, and without a look at the clock."""
    _, wait = beating
    before, inode = holder_in(tmp_path), (tmp_path / lease.FILE).stat().st_ino
    wait()
    after = holder_in(tmp_path)
    assert int(after.beat) > int(before.beat)
    assert after.with_beat(0) == before.with_beat(0)
    assert (tmp_path / lease.FILE).stat().st_ino == inode


def test_a_beat_that_cannot_be_written_ends_nothing(beating, monkeypatch, capsys):
    """It is said once, and the beats go on when the disk is back."""
    taken, wait = beating

    def refuse(*unused):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Lease, "_read", refuse)
        wait()
        wait()
        taken.check()
    assert capsys.readouterr().out.count("No space left") == 1
    wait()
    taken.check()


def test_a_run_whose_directory_was_taken_ends(tmp_path, beating):
    """A laptop that slept must not write into what another run goes on with; nor delete its
    lease.
    """
    taken, wait = beating
    other = held_by(tmp_path, host="elsewhere", token="of another")
    taken._thread.join(10)
    with pytest.raises(UserError, match="was taken by process .* on elsewhere"):
        taken.check()
    taken.release()
    assert holder_in(tmp_path) == other


def test_in_an_object_store_a_lease_is_held_as_well(tmp_path, monkeypatch, clock):
    """Without renames; a beat of another still shows that it is alive."""
    monkeypatch.setattr(lease.folders, "is_remote", lambda path: True)
    held_by(tmp_path, machine="other")
    with lease.held(tmp_path):
        with pytest.raises(UserError, match="a run is alive"):
            Lease(tmp_path).take()
        assert clock.now == 60
    assert not list(tmp_path.iterdir())
