"""Every score that evaluations during a run gave: MODEL_DIR/evaluation_scores.jsonl.

It decides which checkpoints stay, which is a task's best, and whether a run ends early, also
after a restart. Lines are {"step": n, "scores": {"<task>/<metric>": value}}; a later line about a
step adds to an earlier one, and overrides it.
"""

from collections.abc import Mapping

from etils import epath

from t5x_lite import json_lines, storage
from t5x_lite.checkpoints.folders import absolute

Scores = Mapping[str, float]

_FILE = "evaluation_scores.jsonl"


def append(model_dir: epath.PathLike, step: int, scores: Scores) -> None:
    """Adds scores of one step; of all processes only the first may do so."""
    json_lines.append_line(absolute(model_dir) / _FILE, {"step": step, "scores": dict(scores)})


def read(model_dir: epath.PathLike) -> dict[int, dict[str, float]]:
    """The scores of each step that was evaluated, steps in order; empty if there is none."""
    path = absolute(model_dir) / _FILE
    found: dict[int, dict[str, float]] = {}
    for line in json_lines.read_lines(path) if storage.exists(path) else []:
        found.setdefault(line["step"], {}).update(line["scores"])
    return dict(sorted(found.items()))


def drop_behind(model_dir: epath.PathLike, step: int) -> None:
    """Forgets steps beyond the one that a run goes on from: it will make them again."""
    json_lines.drop_lines_behind(absolute(model_dir) / _FILE, step)
