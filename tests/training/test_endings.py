"""How a run ends: what was asked for is heard, and why it ends is not hidden."""

import contextlib

import pytest

from t5x_lite.training import loop


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
