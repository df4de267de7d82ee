"""Signals are heard at once; a process of its own leaves, another one notes the wish."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from t5x_lite.training.signals import Signals

STOPPING = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT]


@pytest.fixture
def pythons_own_handler():
    """Whatever ran in this process before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def heard(signals: Signals) -> threading.Event:
    """Set when the signals' thread answers."""
    event = threading.Event()
    signals.answer_with(event.set)
    return event


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_is_heard_and_kills_nothing(number, pythons_own_handler):
    """Its name is known to whoever answers."""
    signals = Signals()
    event = heard(signals)
    with signals.listening():
        signal.raise_signal(number)
        assert event.wait(10)
        assert signals.name == number.name


def test_more_signals_change_nothing_but_a_second_ctrl_c(pythons_own_handler):
    """Shells and schedulers send several, and the save goes on; a person who insists is obeyed."""
    signals = Signals()
    event = heard(signals)
    with pytest.raises(KeyboardInterrupt), signals.listening():
        for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            signal.raise_signal(number)
        assert event.wait(10)
        signal.raise_signal(signal.SIGINT)
    assert signals.name == "SIGHUP"


def test_a_wish_outlives_a_rollback(pythons_own_handler):
    """The loop is left and entered again; the next Ctrl-C acts at once, as was promised."""
    signals = Signals()
    event = heard(signals)
    with signals.listening():
        signal.raise_signal(signal.SIGINT)
        assert event.wait(10)
    with pytest.raises(KeyboardInterrupt), signals.listening():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is pythons_own_handler


def test_what_listened_before_listens_afterwards():
    """Also when training raises; and where it is listened already, nothing changes."""
    before = [signal.getsignal(number) for number in STOPPING]
    signals = Signals()
    with pytest.raises(RuntimeError), signals.listening():
        inside = [signal.getsignal(number) for number in STOPPING]
        assert not set(inside) & set(before)
        with signals.listening():
            pass
        assert [signal.getsignal(number) for number in STOPPING] == inside
        raise RuntimeError
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_what_is_ignored_stays_ignored():
    """nohup lets the terminal's end pass by a run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals().listening():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_signals_reach_the_event_loop_that_waits_for_them():
    """A notebook's own; the file descriptor is given back, too."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    before = signal.set_wakeup_fd(writes)
    handler = signal.signal(signal.SIGUSR2, lambda *unused: None)
    try:
        with Signals().listening():
            signal.raise_signal(signal.SIGUSR2)
            assert os.read(reads, 1) == bytes([signal.SIGUSR2])
        assert signal.set_wakeup_fd(before) == writes
    finally:
        signal.signal(signal.SIGUSR2, handler)
        os.close(reads)
        os.close(writes)


def test_a_thread_listens_to_nothing():
    """Python lets the main thread alone handle signals; a notebook may train in another."""
    failures = []

    def run() -> None:
        try:
            with Signals().listening():
                pass
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failures


def test_a_process_with_nothing_to_save_leaves_while_its_main_thread_is_not_in_python():
    """As in a compiler: a handler would wait for the end of the C call."""
    code = """
import ctypes
from t5x_lite.training.signals import Signals
signals = Signals(may_exit=True)
signals.before_leaving(lambda: print("second", flush=True))
signals.before_leaving(lambda: 1 / 0)
signals.before_leaving(lambda: print("first", flush=True))
lock, mutex = ctypes.CDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64)
with signals.listening():
    print("ready", flush=True)
    lock(mutex)
    lock(mutex)  # for ever, and not in Python
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGUSR1)
    output, error = child.communicate(timeout=60)
    assert child.returncode == 75
    assert output == "first\nsecond\n"
    assert "stopped by SIGUSR1 while there was nothing new to save" in error
