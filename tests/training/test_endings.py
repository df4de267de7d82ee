"""How a run ends: what was asked for is heard, and why it ends is not hidden."""

import contextlib
import signal

import pytest

from t5x_lite.training import loop
from t5x_lite.training.interrupts import Interrupts


@pytest.fixture
def pythons_own_handler():
    """Whatever ran in this process before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_wish_to_stop_outlives_a_rollback(pythons_own_handler, capfd):
    """The loop is left and entered again; the next signal acts at once, as was promised."""
    interrupts = Interrupts()
    with interrupts.listening():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interrupts.listening():
        assert interrupts.wants_to_stop(3)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is pythons_own_handler
    assert capfd.readouterr().out.count("saving after this step") == 1


def test_what_closing_raises_does_not_hide_why_a_run_ends(capsys):
    """Or a run that became unhealthy while the disk was full would not say so."""

    def close():
        raise OSError("the newest state is lost")

    with pytest.raises(ValueError, match="unhealthy"), contextlib.ExitStack() as stack:
        stack.push(loop._closing(close))
        raise ValueError("unhealthy")
    assert "WARNING: the newest state is lost" in capsys.readouterr().out
    with pytest.raises(OSError, match="lost"), contextlib.ExitStack() as stack:
        stack.push(loop._closing(close))
