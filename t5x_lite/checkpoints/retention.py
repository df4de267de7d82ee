"""Which checkpoints stay."""

import math
import re
from collections.abc import Collection, Mapping

from t5x_lite.checkpoints.config import BestMode, SaveCheckpointConfig

# Of every step, scores by "<task>/<metric>".
Scores = Mapping[int, Mapping[str, float]]

# Of held-out batches; no mode makes a higher one better.
_LOSS = "/loss_per_token"


def superseded(
    steps: Collection[int], scores: Scores, pinned: Collection[int], config: SaveCheckpointConfig
) -> list[int]:
    """The steps whose checkpoints may go: neither among the newest, nor the best, nor pinned."""
    kept = set(pinned) | set(sorted(steps)[-config.keep :])
    metrics = {name for step in steps for name in scores.get(step, {})}
    for metric in metrics:
        if config.keep_best and re.fullmatch(config.best_metric, metric):
            lower = config.best_mode is BestMode.MIN or metric.endswith(_LOSS)
            sign = 1 if lower else -1
            # NaN is no score: it would win or lose every comparison, depending on its place.
            scored = [s for s in steps if not math.isnan(scores.get(s, {}).get(metric, math.nan))]
            # Of equal scores the earlier is the better one: it took fewer steps.
            scored.sort(key=lambda step: (sign * scores[step][metric], step))
            kept |= set(scored[: config.keep_best])
    return sorted(set(steps) - kept)
