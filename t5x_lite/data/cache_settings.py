"""What decided the bytes of a cache, which `t5x_lite cache` leaves in it, and whether a job may
read them: ids mean something in the vocabulary only that they were made with.
"""

import json
from collections.abc import Mapping
from typing import Any

import seqio
from etils import epath

from t5x_lite.data.source import Source
from t5x_lite.errors import UserError
from t5x_lite.text.seqio_vocabulary import describe, resolve
from t5x_lite.text_files import read_text

COMPLETED = "COMPLETED"


def recorded(folder: epath.PathLike) -> Mapping[str, Any] | None:
    """The settings of a complete cache; None of one that SeqIO has written."""
    try:
        found = json.loads(read_text(epath.Path(folder) / COMPLETED))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def vocabularies(task: seqio.Task) -> dict[str, str]:
    """That of each feature: the same text for the same ids."""
    return {name: describe(resolve(f.vocabulary)) for name, f in task.output_features.items()}


def source(task: seqio.Task) -> dict[str, Any]:
    """What a source of ours says of itself."""
    return dict(task.source.description()) if isinstance(task.source, Source) else {}


def check(task: seqio.Task, split: str) -> None:
    """Refuses a cache whose ids are of another vocabulary than the task's, texts may be of any; or
    whose examples are of other files than a task of files reads.
    """
    settings = recorded(task.cache_dir)
    if settings is None:
        return
    cached, own = settings.get("source", {}), source(task)
    if differing := sorted(
        name for name in cached.keys() | own.keys() if cached.get(name) != own.get(name)
    ):
        raise UserError(
            f"{task.name} is cached in {task.cache_dir} from another source (different: "
            f"{', '.join(differing)}). Cache it anew into another folder, or make the examples on "
            "the fly: --gin.USE_CACHED_TASKS=False."
        )
    info = json.loads(read_text(epath.Path(seqio.get_cached_info_path(task.cache_dir, split))))
    then, now = settings["vocabularies"], vocabularies(task)
    differing = [
        f"{name}: {then[name]} there, {now[name]} now"
        for name in then.keys() & now.keys() & info["features"].keys()
        if info["features"][name]["dtype"] != "string" and then[name] != now[name]
    ]
    if differing:
        raise UserError(
            f"{task.name} is cached in {task.cache_dir} with another vocabulary "
            f"({'; '.join(sorted(differing))}). Take that one, cache the task with this one into "
            "another folder, or make the examples on the fly: --gin.USE_CACHED_TASKS=False."
        )
