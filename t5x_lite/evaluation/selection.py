"""The best checkpoint of each task, chosen by its validation scores as the T5 paper does it: each
task of a mixture on its own, the mean where a task has several metrics (section 2.4 and 3.1.2).

The scores are those that evaluations during the run left in its log. Which way a metric improves is
told by its name (`metrics/direction.py`); a task without decoded metrics is chosen by its held-out
loss.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from etils import epath

from t5x_lite.checkpoints import folders, multihost
from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.manager import absolute
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.json_lines import write_lines
from t5x_lite.metrics.direction import HELD_OUT_LOSS, lower_is_better

BEST = "best"

_FILE = "best_checkpoints.json"


@dataclasses.dataclass(frozen=True)
class Best:
    """The step at which a task scored best: `value` is the mean of `scores`, of which those that
    are better when lower count as negative.
    """

    step: int
    value: float
    scores: Mapping[str, float]


def best_steps(history: Mapping[int, scores_log.Scores]) -> dict[str, Best]:
    """The best step of each task, the earliest of equal ones; steps without all of a task's metrics
    do not count.
    """
    names = {name for scores in history.values() for name in scores}
    best = {}
    for task in sorted({name.partition("/")[0] for name in names}):
        own = {name for name in names if name.startswith(f"{task}/")}
        chosen = sorted(own - {f"{task}/{HELD_OUT_LOSS}"}) or sorted(own)
        candidates = [
            Best(
                step,
                sum(_signed(name, scores[name]) for name in chosen) / len(chosen),
                {name.partition("/")[2]: scores[name] for name in chosen},
            )
            for step, scores in sorted(history.items())
            if all(name in scores for name in chosen)
        ]
        # NaN would win or lose every comparison, depending on its place.
        candidates = [each for each in candidates if each.value == each.value]
        if candidates:
            best[task] = max(candidates, key=lambda each: each.value)
    return best


def write_best(model_dir: epath.PathLike) -> None:
    """Writes MODEL_DIR/best_checkpoints.json: for each task the best step, and the best one whose
    checkpoint is kept.
    """
    directory, history = absolute(model_dir), scores_log.read(model_dir)
    kept = best_steps(_kept(directory, history))
    entry = {
        task: {
            "best": dataclasses.asdict(best),
            "best_kept": dataclasses.asdict(kept[task]) if task in kept else None,
        }
        for task, best in best_steps(history).items()
    }
    write_lines(directory / _FILE, [entry])


def means_best(path: str) -> bool:
    """Whether a path is MODEL_DIR/best, and no folder of that name."""
    return absolute(path).name == BEST and not multihost.broadcast_result(absolute(path).exists)


def checkpoint_paths(path: str, tasks: Sequence[str]) -> dict[str, str]:
    """The checkpoint for each task: `path` itself, or behind MODEL_DIR/best each task's own, as
    process 0 sees them; all processes must call.

    Raises:
        UserError: no checkpoint with scores of a task is kept.
    """
    if not means_best(path):
        return dict.fromkeys(tasks, path)
    return multihost.broadcast_result(lambda: _best_paths(path, tasks))


def _best_paths(path: str, tasks: Sequence[str]) -> dict[str, str]:
    directory = absolute(path).parent
    history = scores_log.read(directory)
    best, kept = best_steps(history), best_steps(_kept(directory, history))
    missing = [task for task in tasks if task not in kept]
    if missing:
        raise UserError(
            f"{path}: there is no checkpoint to choose for {', '.join(missing)}: {directory} has "
            f"scores of {_list(best)} and keeps scored checkpoints of {_list(kept)}. Needed is a "
            "run that evaluates its tasks (--gin.INFER_EVAL_DATASET=@infer_eval/DatasetConfig()) "
            "at steps that it saves; or name a checkpoint_<step>."
        )
    for task in tasks:
        line = f"{task}: best of {len(history)} evaluated steps is {_shown(best[task])}"
        if kept[task].step != best[task].step:
            line += f", whose checkpoint is gone; of those kept it is {_shown(kept[task])}"
        say(line)
    return {task: str(folders.folder_of(directory, kept[task].step)) for task in tasks}


def _kept(
    directory: epath.Path, history: Mapping[int, scores_log.Scores]
) -> dict[int, scores_log.Scores]:
    steps = set(folders.steps(directory))
    return {step: scores for step, scores in history.items() if step in steps}


def _signed(name: str, value: float) -> float:
    return -value if lower_is_better(name) else value


def _shown(best: Best) -> str:
    scores = ", ".join(f"{name} {value:.4g}" for name, value in best.scores.items())
    return f"step {best.step} ({scores})"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "no task"
