"""Steps that a run leaves out: MODEL_DIR/skipped_steps.jsonl, one event a line, on disk for good.

A run that is started again, or rolled back, reads it and passes over the same steps; step k is
batch k whatever was left out. To have them trained on after all, delete the file.
"""

import dataclasses

import jax
from etils import epath

from t5x_lite import json_lines, storage
from t5x_lite.checkpoints import multihost
from t5x_lite.errors import UserError
from t5x_lite.stability.config import HealthConfig, InstabilityPolicy
from t5x_lite.stability.guard import Event

FILE = "skipped_steps.jsonl"


@dataclasses.dataclass(frozen=True)
class Skipped:
    """One event: the steps left out, up to and including the bad one, and why."""

    steps: tuple[int, ...]
    reason: str
    policy: str


def read(model_dir: epath.Path) -> list[Skipped]:
    """The events of a run, oldest first, as process 0 sees them; all processes must call.

    A last line that a killed process left half written is no event.

    Raises:
        UserError: a line is none of ours.
    """
    path = model_dir / FILE
    lines = multihost.broadcast_result(lambda: _lines(path))
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(Skipped(tuple(line["steps"]), line["reason"], line["policy"]))
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{path}, line {number}: needed is an event such as "
                '{"steps": [7], "reason": "loss is nan", "policy": "skip"}; given is '
                f"{line!r}. Remove the line."
            ) from error
    return events


def steps_of(events: list[Skipped]) -> frozenset[int]:
    """All steps left out."""
    return frozenset(step for event in events for step in event.steps)


def choose(event: Event, config: HealthConfig, *, newest_checkpoint: int) -> Skipped:
    """What to leave out because of an event. What came before the checkpoint from which a
    rolled-back run goes on cannot be left out any more.
    """
    first = event.step
    if config.policy is InstabilityPolicy.ROLLBACK:
        first = max(event.step - config.skipped_batches, newest_checkpoint) + 1
    return Skipped(tuple(range(first, event.step + 1)), event.reason, config.policy.value)


def record(model_dir: epath.Path, event: Skipped) -> None:
    """Adds an event, by the first process. On disk when it returns there; the other processes have
    to wait before they read (a rollback restores a checkpoint, which waits).
    """
    if jax.process_index():
        return
    path = model_dir / FILE
    json_lines.write_lines(path, [*_lines(path), dataclasses.asdict(event)])


def _lines(path: epath.Path) -> list[dict]:
    return json_lines.read_lines(path) if storage.exists(path) else []
