"""Which checkpoints stay."""

import math
import re
from collections.abc import Collection, Mapping

from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.metrics.direction import lower_is_better

# Of every step, scores by "<task>/<metric>".
Scores = Mapping[int, Mapping[str, float]]


def superseded(
    steps: Collection[int], scores: Scores, pinned: Collection[int], config: SaveCheckpointConfig
) -> list[int]:
    """The steps whose checkpoints may go: neither among the newest, nor the best, nor pinned."""
    kept = set(pinned) | set(sorted(steps)[-config.keep :])
    metrics = {name for step in steps for name in scores.get(step, {})}
    for metric in metrics:
        if config.keep_best and re.fullmatch(config.best_metric, metric):
            sign = 1 if lower_is_better(metric, config.best_mode) else -1
            values = {step: scores.get(step, {}).get(metric, math.nan) for step in steps}
            # NaN would win or lose every comparison, depending on its place.
            scored = [step for step, value in values.items() if not math.isnan(value)]
            # Of equal scores the earlier is the better one: it took fewer steps.
            scored.sort(key=lambda step: (sign * values[step], step))
            kept |= set(scored[: config.keep_best])
    return sorted(set(steps) - kept)
