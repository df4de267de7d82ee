"""Every score that evaluations during a run gave: MODEL_DIR/evaluation_scores.jsonl.

It decides which checkpoints stay, which is a task's best, and whether a run ends early, also
after a restart. Lines are {"step": n, "scores": {"<task>/<metric>": value}}; a later line about a
step adds to an earlier one, and overrides it.
"""

from collections.abc import Mapping

from etils import epath

from t5x_lite import json_lines, storage
from t5x_lite.checkpoints.folders import absolute
from t5x_lite.errors import UserError

Scores = Mapping[str, float]

_FILE = "evaluation_scores.jsonl"


def append(model_dir: epath.PathLike, step: int, scores: Scores) -> None:
    """Adds scores of one step; of all processes only the first may do so."""
    json_lines.append_line(absolute(model_dir) / _FILE, {"step": step, "scores": dict(scores)})


def read(model_dir: epath.PathLike) -> dict[int, dict[str, float]]:
    """The scores of each step that was evaluated, steps in order; empty if there is none.

    Raises:
        UserError: a line holds something else.
    """
    path = absolute(model_dir) / _FILE
    found: dict[int, dict[str, float]] = {}
    for line in json_lines.read_lines(path) if storage.exists(path) else []:
        if not _is_line(line):
            raise UserError(
                f'{path} has {str(line)[:200]}; needed are lines {{"step": 4, "scores": {{"task/'
                'metric": 1.5}}: remove that line.'
            )
        found.setdefault(line["step"], {}).update(line["scores"])
    return dict(sorted(found.items()))


def _is_line(line: object) -> bool:
    if not isinstance(line, dict) or type(line.get("step")) is not int:
        return False
    scores = line.get("scores")
    return isinstance(scores, dict) and all(
        type(score) in (int, float) for score in scores.values()
    )


def drop_behind(model_dir: epath.PathLike, step: int) -> None:
    """Forgets steps beyond the one that a run goes on from: it will make them again."""
    json_lines.drop_lines_behind(absolute(model_dir) / _FILE, step)
