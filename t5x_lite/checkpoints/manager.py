"""The checkpoints of a run: MODEL_DIR/checkpoint_<step>, written in the background, atomically.

Each holds `state` (parameters, optimizer slots, step), `config` (its Description) and what else the
run gives along, such as the positions of its data; see folders.py for the layout.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints import folders, multihost, retention
from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import Description
from t5x_lite.checkpoints.description import read as description
from t5x_lite.checkpoints.folders import absolute, step_of
from t5x_lite.checkpoints.lookup import find, newest
from t5x_lite.checkpoints.restoring import restore
from t5x_lite.checkpoints.saving import Files, Save

__all__ = [
    "Checkpoints",
    "Description",
    "absolute",
    "description",
    "find",
    "newest",
    "restore",
    "step_of",
]

# How often several processes ask process 0 for the time.
_STEPS_BETWEEN_LOOKS_AT_THE_CLOCK = 10


class Checkpoints:
    """The checkpoints of one model directory; every process of the job makes one.

    A save that fails says so in one line and is tried again when the next is due; only `close`
    raises, if then the newest state is not on disk.

    Raises:
        OSError: the directory cannot be written.
    """

    def __init__(self, model_dir: epath.PathLike, config: SaveCheckpointConfig):
        self.directory = absolute(model_dir)
        self.period = config.period
        self.size_of_last_save = 0
        self._config = config
        self._save: Save | None = None
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._prepare()

    def _prepare(self) -> None:
        """Fails on all processes if it fails on one: the others would wait for it."""
        problem: OSError | None = None
        try:
            folders.check_writable(self.directory, process_index=jax.process_index())
            if jax.process_index() == 0 and (removed := folders.remove_left_overs(self.directory)):
                _say(f"removed what a killed run left in {self.directory}: {', '.join(removed)}")
        except OSError as error:
            problem = error
        if not multihost.all_true(problem is None):
            raise problem or OSError(f"another process cannot write to {self.directory}.")

    def due(self, step: int) -> bool:
        """Whether a checkpoint is due at this step, by steps or by minutes; asked at every step.

        With several processes the minutes are those of process 0, looked at every ten steps.
        """
        if step % self.period == 0:
            return True
        if self._config.minutes is None:
            return False
        late = time.monotonic() - self._began >= 60 * self._config.minutes
        if jax.process_count() == 1:
            return late
        return step % _STEPS_BETWEEN_LOOKS_AT_THE_CLOCK == 0 and multihost.broadcast_bool(late)

    def save(
        self, step: int, state: Any, description: Description, files: Files | None = None
    ) -> None:
        """Starts to write a checkpoint; a step that is already there is left alone.

        Returns as soon as the state is copied to the host. `files` holds small files by item and
        name, such as {"dataset": {"shard_0": b"..."}}; several processes give different names.
        """
        self.wait()
        self._began = time.monotonic()
        folder = folders.folder_of(self.directory, step)
        if multihost.broadcast_result(lambda: storage.exists(folder / folders.MANIFEST)):
            return
        self._save = Save(
            folder,
            as_dict(state),
            description,
            files or {},
            dtype=self._config.dtype,
            after=self._retire,
        )

    def record(self, step: int, scores: Mapping[str, float]) -> None:
        """Notes scores of a step, by "<task>/<metric>", and lets go what they supersede."""
        if jax.process_index() == 0:
            try:
                scores_log.append(self.directory, step, scores)
            except OSError as error:
                _say(f"WARNING: the scores of step {step} choose no checkpoint: {error}")
            self._retire()

    def wait(self) -> bool:
        """Waits for the save under way; whether the newest state given is on disk."""
        save = self._save
        if save is None:
            return True
        save.wait()
        if not save.is_settled:
            save.is_settled = True
            self.size_of_last_save = save.num_bytes or self.size_of_last_save
            if save.problem:
                _say(f"WARNING: {self._message(save)} Training goes on; the next one may succeed.")
        return not save.problem

    def close(self) -> None:
        """Waits until everything is on disk.

        Raises:
            OSError: the newest state could not be written.
        """
        save, self._save = self._save, None
        if save is None:
            return
        save.wait()
        self.size_of_last_save = save.num_bytes or self.size_of_last_save
        if save.problem:
            raise OSError(f"{self._message(save)} The newest state is lost.")

    def _message(self, save: Save) -> str:
        found = folders.steps(self.directory)
        kept = f"the newest whole one is of step {found[-1]}" if found else "there is no other one"
        return (
            f"the checkpoint of step {save.step} was not written to {self.directory}: "
            f"{save.problem}; {kept}."
        )

    def _retire(self) -> None:
        """Deletes what need not stay; called only when a newer checkpoint is whole."""
        with self._lock:
            steps = folders.steps(self.directory)
            pinned = [
                step
                for step in steps
                if storage.exists(folders.folder_of(self.directory, step) / folders.PINNED)
            ]
            scores = scores_log.read(self.directory)
            for step in retention.superseded(steps, scores, pinned, self._config):
                folder = folders.folder_of(self.directory, step)
                try:
                    folders.delete(folder)
                except OSError as error:
                    _say(f"WARNING: {folder}, no longer needed, could not be deleted: {error}")


def as_dict(state: Any) -> dict[str, Any]:
    """A state as a plain dictionary, so that a checkpoint's names do not depend on our classes."""
    return state if isinstance(state, dict) else dict(vars(state))


def _say(text: str) -> None:
    if jax.process_index() == 0:
        print(text, flush=True)
