"""Which checkpoints stay."""

import re
from collections.abc import Collection, Mapping

from t5x_lite.checkpoints.config import BestMode, SaveCheckpointConfig

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
            sign = -1 if config.best_mode is BestMode.MAX else 1
            scored = [step for step in steps if metric in scores.get(step, {})]
            # Of equal scores the earlier is the better one: it took fewer steps.
            scored.sort(key=lambda step: (sign * scores[step][metric], step))
            kept |= set(scored[: config.keep_best])
    return sorted(set(steps) - kept)
