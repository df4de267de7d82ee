"""Which checkpoints stay, and the scores that decide it: MODEL_DIR/checkpoint_scores.jsonl."""

import json
import re
from collections.abc import Collection, Mapping

from etils import epath

from t5x_lite.checkpoints.config import BestMode, SaveCheckpointConfig

_SCORES = "checkpoint_scores.jsonl"

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


def append_scores(model_dir: epath.Path, step: int, scores: Mapping[str, float]) -> None:
    """Notes scores of a step."""
    path, line = model_dir / _SCORES, json.dumps({"step": step, "scores": dict(scores)})
    before = path.read_text() if path.is_file() else ""
    # A line that a killed process cut off must not swallow this one.
    separator = "" if not before or before.endswith("\n") else "\n"
    with path.open("a") as file:
        file.write(f"{separator}{line}\n")


def read_scores(model_dir: epath.Path) -> dict[int, dict[str, float]]:
    """All that was noted; a later line about a step adds to an earlier one, and overrides it.

    A last line cut off by a killed process is passed over.
    """
    path = model_dir / _SCORES
    found: dict[int, dict[str, float]] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        found.setdefault(entry["step"], {}).update(entry["scores"])
    return found
