"""Every score that evaluations during a run gave: what early stopping and the choice of the best
checkpoint rest on, also after a restart.

MODEL_DIR/evaluation_scores.jsonl has lines {"step": n, "scores": {"<task>/<metric>": value}};
several lines of one step count as one.
"""

import json
from collections.abc import Mapping

from etils import epath

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.training.writers import append_line, drop_lines_behind

Scores = Mapping[str, float]

_NAME = "evaluation_scores.jsonl"


def append_scores(model_dir: epath.PathLike, step: int, scores: Scores) -> None:
    """Adds scores of one step; of all processes only the first may do so."""
    append_line(absolute(model_dir) / _NAME, {"step": step, "scores": dict(scores)})


def read_scores(model_dir: epath.PathLike) -> dict[int, dict[str, float]]:
    """The scores of each step that was evaluated, steps in order; empty if there is none."""
    path = absolute(model_dir) / _NAME
    if not path.exists():
        return {}
    found: dict[int, dict[str, float]] = {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        found.setdefault(entry["step"], {}).update(entry["scores"])
    return dict(sorted(found.items()))


def drop_scores_behind(model_dir: epath.PathLike, step: int) -> None:
    """Forgets steps beyond the one that a run goes on from: it will make them again."""
    drop_lines_behind(absolute(model_dir) / _NAME, step)
