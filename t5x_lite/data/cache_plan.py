"""What a command is to write that caches tasks: folders, settings and shards, each mistake found
before anything is there.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import seqio
from etils import epath

from t5x_lite import storage
from t5x_lite.data import cache_settings, checks, fingerprint
from t5x_lite.data.cache_shards import Shard, unfinished
from t5x_lite.errors import UserError

# Without --num_shards: as many as there are files, within these bounds.
_FEWEST_SHARDS, _MOST_SHARDS = 16, 1024


@dataclasses.dataclass(frozen=True)
class Cache:
    """A task's folder, and what decides its bytes."""

    root: str
    task: seqio.Task
    settings: Mapping[str, Any]
    shards: Sequence[Shard]

    @property
    def folder(self) -> epath.Path:
        """The task's own, in the root that several share."""
        return _folder(self.root, self.task)

    @property
    def settings_path(self) -> epath.Path:
        """There from the beginning to the end of the work."""
        return unfinished(self.folder) / "settings.json"

    @property
    def completed_path(self) -> epath.Path:
        """There when all is."""
        return self.folder / cache_settings.COMPLETED


def find_tasks(names: Sequence[str], splits: Sequence[str]) -> list[seqio.Task]:
    """Tasks, and those of mixtures, that have one of the splits; no splits are all.

    Raises:
        UserError: a name or split is not known, or a task has no placeholder.
    """
    found: dict[str, seqio.Task] = {}
    for name in names:
        checks.check_mixture_or_task(name)
        provider = seqio.get_mixture_or_task(name)
        for split in splits:
            checks.check_split(name, split, instead="--split=...")
            if split not in provider.splits:
                raise UserError(f"--split={split}: of {name} whole splits are cached.")
        found |= {task.name: task for task in seqio.get_subtasks(provider)}
    if without := [name for name, task in found.items() if not task.supports_caching]:
        raise UserError(
            f"{', '.join(without)}: there is no seqio.CacheDatasetPlaceholder() among the "
            "preprocessors, so nothing says what is to be cached. Put one behind the last step "
            "whose result is the same in each epoch, mostly behind seqio.preprocessors.tokenize; "
            "steps that cut to lengths or draw at random come behind it."
        )
    return [task for task in found.values() if not splits or set(splits) & set(task.splits)]


def plan(
    task: seqio.Task,
    output_cache_dir: str,
    splits: Sequence[str],
    *,
    num_shards: int | None,
    seed: int,
    threads: int,
) -> Cache:
    """The cache of one task; no splits are all.

    Raises:
        UserError: a split has no file, or there is no vocabulary.
    """
    wanted = [split for split in task.splits if not splits or split in splits]
    files = {split: len(task.source.list_shards(split)) for split in wanted}
    if empty := [split for split, count in files.items() if not count]:
        raise UserError(f"{task.name} has no file to read of the split {', '.join(empty)}.")
    shards = {split: num_shards or default_shards(count) for split, count in files.items()}
    settings = {
        "task": task.name,
        "shards": shards,
        "files": files,
        "seed": seed,
        "vocabularies": cache_settings.vocabularies(task),
        "source": cache_settings.source(task),
        "versions": fingerprint.versions(),
    }
    pieces = [
        Shard(
            folder=str(_folder(output_cache_dir, task)),
            task=task.name,
            split=split,
            index=index,
            num_shards=count,
            seed=seed,
            threads=threads,
        )
        for split, count in shards.items()
        for index in range(count)
    ]
    return Cache(output_cache_dir, task, settings, pieces)


def _folder(output_cache_dir: str, task: seqio.Task) -> epath.Path:
    return epath.Path(output_cache_dir) / seqio.get_task_dir_from_name(task.name)


def default_shards(num_files: int) -> int:
    """A multiple of the files or, of very many, fewer: each file is read as rarely as can be."""
    return min(num_files * -(-_FEWEST_SHARDS // num_files), _MOST_SHARDS)


def is_complete(cache: Cache) -> bool:
    """Whether the same command has been through already.

    Raises:
        UserError: another one has.
    """
    if not storage.exists(cache.completed_path):
        return False
    settings = cache_settings.recorded(cache.folder)
    if settings is None:
        raise cached_already(cache)
    if differing := fingerprint.differences(settings, cache.settings, where="there"):
        raise UserError(
            f"{cache.task.name} is cached in {cache.folder} already, otherwise: "
            f"{'; '.join(differing)}. Remove that folder, or take another --output_cache_dir."
        )
    unfinished(cache.folder).rmtree(missing_ok=True)  # killed between the two
    return True


def cached_already(cache: Cache) -> UserError:
    """The error about a cache that is there, and how it is used."""
    return UserError(
        f"{cache.task.name} is cached in {cache.folder} already. Use it: "
        f"--seqio_additional_cache_dirs={cache.root}; to make it anew, remove that folder or take "
        "another --output_cache_dir."
    )
