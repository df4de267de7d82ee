"""A file of answers that is written in parts: killed at any moment, it goes on where it stopped.

<name>.jsonl-00003-of-00008 is shard 3 of 8; <the same>.COMPLETED says that it is whole. Until then
its parts lie in tmp-<name>.jsonl-00003-of-00008, next to the settings that they were made with:
parts of other settings are not mixed in, they are made again.
"""

import json
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from t5x_lite import storage
from t5x_lite.display.progress import say
from t5x_lite.json_lines import write_lines

# Examples from `start` up to `end` to their lines.
Answer = Callable[[int, int], Sequence[Mapping]]


def write_shard(
    folder: epath.Path,
    name: str,
    *,
    shard_id: int,
    num_shards: int,
    num_examples: int,
    part_size: int,
    settings: Mapping,
    answer: Answer,
) -> epath.Path:
    """Writes the lines of all examples, `part_size` of them at a time; all processes call it.

    Args:
        settings: all that the lines depend on, as JSON values.
    """
    path = folder / f"{name}.jsonl-{shard_id:05d}-of-{num_shards:05d}"
    shard = _Shard(path, json.dumps({**settings, "part_size": part_size}, sort_keys=True))
    parts = range(0, num_examples, part_size)
    done = _agreed(shard.resume(len(parts)) if jax.process_index() == 0 else 0)
    if done and done == len(parts):
        say(f"{path}: all {num_examples} examples were answered before")
    elif done:
        say(f"{path}: goes on behind the {done * part_size} examples that were answered before")
    for number, start in enumerate(parts):
        if number < done:
            continue
        lines = answer(start, min(start + part_size, num_examples))
        if jax.process_index() == 0:
            write_lines(shard.part(number), lines)
    if jax.process_index() == 0:
        shard.complete(len(parts))
    return path


class _Shard:
    def __init__(self, path: epath.Path, settings: str):
        self._path, self._settings = path, settings
        self._folder = path.parent / f"tmp-{path.name}"
        self._completed = path.parent / f"{path.name}.COMPLETED"

    def part(self, number: int) -> epath.Path:
        return self._folder / f"chunk{number:05d}"

    def resume(self, num_parts: int) -> int:
        """How many parts of these settings are there; those of others are removed."""
        if self._completed.exists():
            if self._completed.read_text() == self._settings:
                return num_parts
            self._completed.unlink()
        settings = self._folder / "settings.json"
        if not settings.exists() or settings.read_text() != self._settings:
            if self._folder.exists():
                say(f"{self._folder} was made with other settings: its parts are made again")
                self._folder.rmtree()
            storage.make_folder(self._folder)
            settings.write_text(self._settings)
        return next((n for n in range(num_parts) if not self.part(n).exists()), num_parts)

    def complete(self, num_parts: int) -> None:
        """Joins the parts. They go last, so that nothing is lost in between."""
        if not self._completed.exists():
            parts = [self.part(number).read_bytes() for number in range(num_parts)]
            storage.write_whole(self._path, b"".join(parts))
            self._completed.write_text(self._settings)
        if self._folder.exists():
            self._folder.rmtree()


def _agreed(done: int) -> int:
    """What the first process found, on all of them: only it need see the files."""
    return int(multihost_utils.broadcast_one_to_all(np.int32(done)))
