"""SIGTERM and Ctrl-C, turned into a wish that all processes hear at the same step.

A signal reaches one process at one moment; a save is a collective of all processes at one step. So
a handler only notes the signal, and the loop asks at the end of a step whether anyone has one.
"""

import contextlib
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from t5x_lite.training.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupts:
    """Notes signals; the loop saves and leaves when it is told so.

    Args:
        period: with several processes they talk every so many steps, since talking costs a
            collective; a lone process hears itself at every step.
    """

    def __init__(self, *, period: int = 10):
        self._period = period if jax.process_count() > 1 else 1
        self._signal_name = ""

    def wants_to_stop(self, step: int) -> bool:
        """Whether any process was asked to stop, the same on all; to be asked at every step."""
        if step % self._period:
            return False
        if jax.process_count() == 1:
            return bool(self._signal_name)
        return bool(np.any(multihost_utils.process_allgather(np.int32(bool(self._signal_name)))))

    def stopped(self, step: int, model_dir: object) -> Interrupted:
        """What the loop raises once the step is saved."""
        whence = self._signal_name or "a signal to another process"
        return Interrupted(
            f"stopped by {whence} after step {step}, which is saved in {model_dir}; start the same "
            f"command again to go on (exit status {Interrupted.exit_status})."
        )

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, the first SIGTERM or SIGINT becomes a wish; the next one acts as always, also
        when the loop was left and entered again in between.
        """
        if self._signal_name or threading.current_thread() is not threading.main_thread():
            # Only the main thread may handle signals; a notebook's thread stops by other means.
            yield
            return
        before = {each: signal.getsignal(each) for each in _SIGNALS}

        def restore() -> None:
            for each, handler in before.items():
                signal.signal(each, handler)

        def note(number: int, frame: types.FrameType | None) -> None:
            self._signal_name = signal.Signals(number).name
            # Not print: the signal may have come in the middle of one.
            text = f"{self._signal_name}: saving after this step, then stopping (again: at once)"
            os.write(sys.__stdout__.fileno() if sys.__stdout__ else 1, f"\n{text}\n".encode())
            restore()

        for each in _SIGNALS:
            signal.signal(each, note)
        try:
            yield
        finally:
            restore()
