"""Signals become wishes, once; the second one acts as always."""

import signal
import threading

import pytest

from t5x_lite.training.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_wish_and_the_second_acts(number, capfd):
    """The handlers of before are back as soon as the first signal is noted."""
    received = []
    before = signal.signal(number, lambda *unused: received.append(number))
    try:
        interrupts = Interrupts()
        with interrupts.listening():
            assert not interrupts.wants_to_stop(1)
            signal.raise_signal(number)
            assert interrupts.wants_to_stop(2)
            assert not received
            signal.raise_signal(number)
            assert received == [number]
        error = interrupts.stopped(2, "/runs/one")
    finally:
        signal.signal(number, before)
    assert error.exit_status == 75
    assert "after step 2" in str(error) and signal.Signals(number).name in str(error)
    assert "saving after this step" in capfd.readouterr().out


def test_what_listened_before_listens_afterwards():
    """Also when training raises."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), Interrupts().listening():
        assert signal.getsignal(signal.SIGTERM) is not before
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_listens_to_nothing():
    """Python lets the main thread alone handle signals; a notebook may train in another."""
    failures = []

    def run() -> None:
        try:
            with Interrupts().listening():
                pass
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failures
