"""A window of steps under the profiler, to be looked at in TensorBoard or XProf."""

from collections.abc import Mapping

import jax
from etils import epath
from jaxtyping import Array

from t5x_lite.display.progress import say
from t5x_lite.training.config import ProfileConfig
from t5x_lite.training.state import TrainState
from t5x_lite.training.stopwatch import Stopwatch


class Profile:
    """A hook that traces the steps of the window; a run that begins behind it traces none.

    The first step of a run compiles and is never traced: a window that begins there moves on.
    """

    def __init__(
        self, config: ProfileConfig, folder: epath.Path, stopwatch: Stopwatch, *, first_step: int
    ):
        self._folder, self._stopwatch = folder, stopwatch
        self._before, self._last = -1, -1
        if config.start_step is not None and config.start_step + config.num_steps > first_step + 1:
            self._before = max(config.start_step - 1, first_step + 1)
            self._last = self._before + config.num_steps
        self._is_tracing = False

    def due(self, step: int) -> bool:
        """Never: it looks at no state."""
        return False

    def after_step(self, step: int, state: TrainState, metrics: Mapping[str, Array]) -> None:
        """Begins behind the step before the window, ends behind its last one."""
        if step == self._before:
            jax.block_until_ready(metrics)
            with self._stopwatch.paused():
                jax.profiler.start_trace(str(self._folder))
            self._is_tracing = True
        elif step == self._last:
            jax.block_until_ready(metrics)
            self.close()

    def close(self) -> None:
        """Writes the trace, also if the run ends within the window."""
        if self._is_tracing:
            self._is_tracing = False
            # It takes as long as many steps: the trace of a large program has millions of events.
            with self._stopwatch.paused():
                jax.profiler.stop_trace()
            say(f"profile: {self._folder} (tensorboard --logdir with tensorboard-plugin-profile)")
