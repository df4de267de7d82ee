"""Ends a run whose scores no longer rise.

stopping = EarlyStopping(config.early_stopping, history=scores.read(model_dir))
stopping.check_names(names)        # at start: a metric that nothing gives is refused
if stopping.update(step, scores):  # after an evaluation, on every process
    print(stopping.reason)

It knows nothing but scores, so processes that have the same scores decide the same, and a run that
is started again decides as if it had never ended.
"""

import math
import re
from collections.abc import Iterable, Mapping

from t5x_lite.errors import UserError
from t5x_lite.metrics.direction import HELD_OUT_LOSS, Direction, lower_is_better
from t5x_lite.training.config import EarlyStoppingConfig


class EarlyStopping:
    """Counts the evaluations since the best one."""

    def __init__(
        self,
        config: EarlyStoppingConfig,
        history: Mapping[int, Mapping[str, float]] | None = None,
    ):
        self._config = config
        self._best_step, self._last_step = 0, -1
        self._best = self._best_shown = math.nan
        self.num_evaluations_without_gain = 0
        for step, scores in (history or {}).items():
            self.update(step, scores)

    def check_names(self, names: Iterable[str]) -> None:
        """Refuses a metric that no evaluation of this run will give, and a loss that is to rise.

        Raises:
            UserError: with the names there are.
        """
        names = sorted(names)
        metric = self._config.metric
        if metric is None:
            return
        found = [name for name in names if re.fullmatch(metric, name)]
        names_a_loss = any(name.endswith(f"/{HELD_OUT_LOSS}") for name in found)
        if names_a_loss and self._config.mode is Direction.MAX:
            raise UserError(
                f"EARLY_STOPPING_METRIC={metric!r} names a loss, {', '.join(found)}, and the mode "
                "'max' would end the run for its falling: give "
                "--gin.EarlyStoppingConfig.mode='min' too."
            )
        if not found:
            known = ", ".join(names) or "none: set INFER_EVAL_DATASET or EVAL_STEPS"
            raise UserError(
                f"EARLY_STOPPING_METRIC={metric!r} matches no score of this run's evaluations "
                f"({known}). Name one, or a regular expression that matches the whole of some: "
                "--gin.EARLY_STOPPING_METRIC=..."
            )

    def update(self, step: int, scores: Mapping[str, float]) -> bool:
        """Whether to stop after this evaluation.

        A step seen before, and scores without the metric, change nothing. Of several scores that
        match the mean counts; NaN is no gain.
        """
        if self._config.metric is None:
            return False
        found = {
            name: value for name, value in scores.items() if re.fullmatch(self._config.metric, name)
        }
        if found and step > self._last_step:
            self._last_step = step
            signed = [self._sign(name) * value for name, value in found.items()]
            self._count(step, sum(signed) / len(signed), sum(found.values()) / len(found))
        return self.is_over

    def _sign(self, name: str) -> int:
        """1 for a score that has to rise, -1 for one that has to fall."""
        return -1 if lower_is_better(name, self._config.mode) else 1

    @property
    def is_over(self) -> bool:
        """Whether the scores so far end the run; a run started again may ask before it trains."""
        return self.num_evaluations_without_gain >= self._config.patience

    def _count(self, step: int, value: float, shown: float) -> None:
        gain = value - self._best
        if gain > self._config.min_delta or (math.isnan(self._best) and not math.isnan(value)):
            self._best_step, self._best, self._best_shown = step, value, shown
            self.num_evaluations_without_gain = 0
        else:
            self.num_evaluations_without_gain += 1

    @property
    def reason(self) -> str:
        """Why it stopped, and where the best step is."""
        return (
            f"stopped early after step {self._last_step}: {self._config.metric} was best at step "
            f"{self._best_step} ({self._best_shown:.4g}) and has not improved by more than "
            f"{self._config.min_delta:g} in {self.num_evaluations_without_gain} evaluations "
            "(--gin.EARLY_STOPPING_PATIENCE=...)"
        )
