"""What a build works on, and where it keeps what it has done: all that a worker needs to know."""

import dataclasses
import functools
import glob
import json
import os
from typing import Any

from t5x_lite import storage
from t5x_lite.corpus import sentences
from t5x_lite.corpus.bad_words import BadWords, read_bad_words
from t5x_lite.corpus.config import CorpusConfig
from t5x_lite.corpus.counts import Counts, from_json
from t5x_lite.corpus.lists import UrlList, read_domains
from t5x_lite.corpus.rules import LineRules
from t5x_lite.corpus.urls import Domains
from t5x_lite.errors import UserError

# A bucket of hashes, which is sorted in memory, is of so many bytes of input.
_BYTES_A_BUCKET = 1 << 25


@dataclasses.dataclass(frozen=True)
class Plan:
    """One build.

    Attributes:
        inputs: files, each of which is a part.
        folder: where work is kept until all of it is done.
    """

    config: CorpusConfig
    inputs: tuple[str, ...]
    folder: str
    num_buckets: int

    def path(self, *names: str) -> str:
        """Of a file in the folder, whose own folder is made."""
        path = os.path.join(self.folder, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def files(self, *names: str) -> list[str]:
        """What there is of a pattern, sorted."""
        return sorted(glob.glob(os.path.join(glob.escape(self.folder), *names)))

    def is_done(self, stage: str, task: int) -> bool:
        """Whether a task need not be done again."""
        return os.path.exists(os.path.join(self.folder, "done", f"{stage}-{task:05d}.json"))

    def finish(self, stage: str, task: int, counts: Counts) -> None:
        """Marks a task as done."""
        content = json.dumps(counts.to_json()).encode()
        write_whole(self.path("done", f"{stage}-{task:05d}.json"), content)

    def counts(self, stage: str) -> Counts:
        """Of all tasks of a stage, in their order."""
        total = Counts()
        for path in self.files("done", f"{stage}-*.json"):
            with open(path, encoding="utf-8") as file:
                total.merge(from_json(json.load(file)))
        return total

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Of the rules."""
        return self.config.rules


def num_buckets(inputs: tuple[str, ...]) -> int:
    """In proportion to what there is to read."""
    return 1 + sum(os.path.getsize(path) for path in inputs) // _BYTES_A_BUCKET


def write_whole(path: str, content: bytes) -> None:
    """Writes a file whole or not at all; two processes may write the same one."""
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        file.write(content)
    os.replace(partial, path)


# What rules need, once in each process.


def punkt(config: CorpusConfig) -> sentences.Punkt:
    """The one of the config, or of its language."""
    return sentences.punkt(config.punkt or sentences.name_of(config.language))


@functools.lru_cache(maxsize=1)
def line_rules(config: CorpusConfig) -> LineRules:
    """Those of the config."""
    return LineRules(config.rules, punkt(config).has_sentences, config.wording)


@functools.lru_cache(maxsize=1)
def bad_words(config: CorpusConfig) -> BadWords:
    """Of the list, which has been checked to be there."""
    assert config.bad_words is not None
    return read_bad_words(config.bad_words, config.language)


@functools.lru_cache(maxsize=1)
def domains(path: str) -> Domains:
    """Of a file."""
    return read_domains(path)


@functools.lru_cache(maxsize=1)
def url_list(path: str) -> UrlList:
    """Of a file."""
    return UrlList(path)


def forget_lists() -> None:
    """Reads them again when they are asked for: files may have changed between two builds."""
    for cached in (bad_words, domains, url_list):
        cached.cache_clear()


def settings_of(config: CorpusConfig) -> dict[str, Any]:
    """What the corpus depends on, as JSON."""
    values = dataclasses.asdict(config)
    for name in ("wording", "dedup", "detector"):
        values[name] = values[name].value
    del values["output"], values["inputs"]
    return values


def check_no_store(path: str) -> None:
    """Refuses an object store: hashes are read in no order.

    Raises:
        UserError: it is one.
    """
    if storage.is_remote(path):
        raise UserError(f"{path}: corpora are made on local disks; copy it first.")
