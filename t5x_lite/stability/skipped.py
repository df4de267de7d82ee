"""Steps that a run leaves out: MODEL_DIR/skipped_steps.jsonl, one event a line, on disk for good.

A run that is started again, or rolled back, reads it and passes over the same steps; step k is
batch k whatever was left out. To have them trained on after all, delete the file.
"""

import dataclasses
import json

import jax
from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints import together
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
        UserError: a line in the middle is none of ours.
    """
    path = model_dir / FILE
    lines = together.first_finds(
        lambda: path.read_text().splitlines() if storage.exists(path) else []
    )
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            events.append(Skipped(tuple(fields["steps"]), fields["reason"], fields["policy"]))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
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
    before = path.read_text() if storage.exists(path) else ""
    if before and not before.endswith("\n"):
        before = before[: before.rfind("\n") + 1]
    line = json.dumps(dataclasses.asdict(event)) + "\n"
    storage.write_whole(path, (before + line).encode())
