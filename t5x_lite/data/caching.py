"""`t5x_lite cache TASK...`: what a task's preprocessors make before its CacheDatasetPlaceholder,
written once in the layout of SeqIO's caches, which jobs here and SeqIO itself read.

    <output_cache_dir>/<task>/train.tfrecord-00000-of-00016 ...   the examples
                              info.train.json, stats.train.json   their features, their statistics
                              COMPLETED                           all of it is there
                              unfinished/                         goes when it is

Each shard is made by itself (`cache_shards`), so whoever is killed leaves the finished ones, and
the same command goes on from there.
"""

import collections
import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import seqio
from etils import epath

from t5x_lite import storage
from t5x_lite.data import cache_plan, cache_shards, fingerprint
from t5x_lite.data.cache_examples import Counts
from t5x_lite.data.cache_plan import Cache
from t5x_lite.data.cache_shards import Shard, unfinished
from t5x_lite.data.worker_processes import work_through
from t5x_lite.display.shards import ShardProgress
from t5x_lite.errors import UserError
from t5x_lite.text_files import parse_json, read_text


def cache_tasks(
    names: Sequence[str],
    output_cache_dir: str,
    *,
    register: Callable[[], None],
    num_workers: int,
    splits: Sequence[str] = (),
    num_shards: int | None = None,
    seed: int = 0,
) -> None:
    """Caches tasks, and of mixtures each task.

    Args:
        register: makes the tasks known to another process, so it is a function of a module, or a
            partial of one; they are known to this one already.
        splits: of each task, those that it has; none are all of them.
        num_shards: files of each split; None is the number of the source's files, 16 to 1024.
        seed: of random preprocessors before the placeholder.

    Raises:
        UserError: a task is not known or has no placeholder, all of them are cached already, the
            folder holds something else, or the disk is full.
    """
    threads = max((os.cpu_count() or 1) // num_workers, 1)
    caches = [
        cache_plan.plan(
            task, output_cache_dir, splits, num_shards=num_shards, seed=seed, threads=threads
        )
        for task in cache_plan.find_tasks(names, splits)
    ]
    wanted = [cache for cache in caches if not cache_plan.is_complete(cache)]
    if not wanted:
        raise cache_plan.cached_already(caches[0])
    for cache in caches:
        if cache not in wanted:
            print(f"{cache.task.name}: cached in {cache.folder} already", flush=True)
    with contextlib.ExitStack() as held:
        for cache in wanted:
            held.enter_context(_begun(cache))
        _write(wanted, register, num_workers)
    print(f"Use it: --seqio_additional_cache_dirs={output_cache_dir}", flush=True)


@contextlib.contextmanager
def _begun(cache: Cache) -> Iterator[None]:
    """Inside, this process alone writes into the folder, which says with what settings."""
    place = unfinished(cache.folder)
    others = [path for path in storage.listed(cache.folder) if path.name != place.name]
    if others and not storage.exists(cache.settings_path):
        raise UserError(
            f"{cache.folder} has files that this command did not write ({others[0].name} ...): "
            "remove them, or take another --output_cache_dir."
        )
    storage.make_folder(place)
    with _locked(place):
        if storage.exists(cache.settings_path):
            before = parse_json(read_text(cache.settings_path), str(cache.settings_path))
            if differing := fingerprint.differences(before, cache.settings, where="then"):
                raise UserError(
                    f"{cache.folder} was begun otherwise: {'; '.join(differing)}. Go on as it was "
                    "begun, remove that folder, or take another --output_cache_dir."
                )
        else:
            storage.write_whole(cache.settings_path, _json(cache.settings))
        yield


@contextlib.contextmanager
def _locked(folder: epath.Path) -> Iterator[None]:
    """Held until the process ends, however it does; a store has no locks."""
    if storage.is_remote(folder):
        yield
        return
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"Another t5x_lite cache is writing into {folder.parent}: wait until it is done."
            ) from None
        yield


# Writing.


def _write(caches: Sequence[Cache], register: Callable[[], None], num_workers: int) -> None:
    finished: dict[Shard, Counts] = {}
    for cache in caches:
        there = set(map(str, storage.listed(cache.folder)))
        done = [shard for shard in cache.shards if str(shard.path) in there]
        finished |= {shard: cache_shards.read_counts(shard) for shard in done}
        _remove_partial(cache)
    by_folder = {str(cache.folder): cache for cache in caches}
    pieces = [shard for cache in caches for shard in cache.shards if shard not in finished]
    left = dict.fromkeys(by_folder, 0) | collections.Counter(shard.folder for shard in pieces)
    total = sum(len(cache.shards) for cache in caches)
    told = work_through(pieces, cache_shards.write_shard, set_up=register, num_workers=num_workers)
    with (
        contextlib.closing(told),
        ShardProgress("cache", finished=len(finished), total=total) as progress,
    ):
        for folder in [folder for folder, count in left.items() if not count]:
            _finish(by_folder[folder], finished)
        for each in told:
            progress.update(examples=each.count, shards=int(each.is_done))
            if not each.is_done:
                continue
            finished[each.piece] = each.result
            left[each.piece.folder] -= 1
            if not left[each.piece.folder]:
                _finish(by_folder[each.piece.folder], finished)


def _finish(cache: Cache, finished: Mapping[Shard, Counts]) -> None:
    """Writes what stands beside the shards, all of which are there."""
    counts = {split: Counts() for split in cache.settings["shards"]}
    for shard in cache.shards:
        counts[shard.split].add(finished[shard], task=cache.task.name)
    if not any(each.examples for each in counts.values()):
        raise UserError(
            f"Task {cache.task.name} has no examples in {', '.join(counts)}; are the files empty, "
            "or do the preprocessors before the placeholder drop all?"
        )
    for split, each in counts.items():
        _describe_split(cache, split, each)
    storage.write_whole(cache.completed_path, _json(cache.settings))
    unfinished(cache.folder).rmtree()


def _describe_split(cache: Cache, split: str, counts: Counts) -> None:
    folder, num_shards = str(cache.folder), cache.settings["shards"][split]
    if not counts.examples:
        # Without an example there is nothing by which features could be read.
        print(f"{cache.task.name} {split}: no examples, so this split is not cached", flush=True)
        return
    info = {
        "num_shards": num_shards,
        "features": counts.features,
        "seqio_version": seqio.__version__,
    }
    stats = {"examples": counts.examples}
    stats |= {f"{name}_tokens": count for name, count in counts.tokens.items()}
    stats |= {f"{name}_max_tokens": count for name, count in counts.max_tokens.items()}
    storage.write_whole(epath.Path(seqio.get_cached_info_path(folder, split)), _json(info))
    storage.write_whole(epath.Path(seqio.get_cached_stats_path(folder, split)), _json(stats))
    tokens = "".join(f", {n:,} tokens of {name}" for name, n in counts.tokens.items())
    print(
        f"{cache.task.name} {split}: {counts.examples:,} examples{tokens} in {num_shards} "
        f"files of {folder}",
        flush=True,
    )


def _remove_partial(cache: Cache) -> None:
    """What killed processes left half written."""
    names = {shard.path.name for shard in cache.shards}
    for path in storage.listed(unfinished(cache.folder)):
        stem, _, end = path.name.rpartition(".")
        if stem in names and end.isdigit():
            path.unlink(missing_ok=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
