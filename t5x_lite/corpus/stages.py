"""The steps of a build, each of many tasks that know of each other by files alone.

    clean       a file of input -> pages with what the rules for lines left of them, addresses
    addresses   a range of hashes -> which pages there is a newer one of
    units       a file of input -> hashes of its lines or spans
    choose      a range of hashes -> which of those that recur stay
    write       a file of input -> documents of the corpus

A task that is done again writes the same files, byte by byte.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from t5x_lite.corpus import duplicates, readers, runs, urls
from t5x_lite.corpus import plan as plans
from t5x_lite.corpus.apply import lines_left, page_rule, text_left
from t5x_lite.corpus.counts import Counts, Effect
from t5x_lite.corpus.files import Output, Records, records
from t5x_lite.corpus.page import num_bytes
from t5x_lite.corpus.plan import Plan
from t5x_lite.corpus.warc import Damage

STAGES = ("clean", "addresses", "units", "choose", "write")
SPLITS = ("train", "validation")
_ADDRESS = np.dtype([("hash", "<u8"), ("time", "S32"), ("part", "<u4"), ("page", "<u4")])
_OLDER = np.dtype([("part", "<u4"), ("page", "<u4")])


def tasks(plan: Plan, stage: str) -> range:
    """Those of a stage; none if no rule needs it."""
    needed = {
        "addresses": "one_page_per_url",
        "units": "duplicates",
        "choose": "duplicates",
    }
    if needed.get(stage, stage) not in (*plan.names, stage):
        return range(0)
    return range(plan.num_buckets if stage in ("addresses", "choose") else len(plan.inputs))


def run(plan: Plan, stage: str, task: int) -> None:
    """Does a task, and marks it as done."""
    does = (clean, addresses, units, choose, write)
    plan.finish(stage, task, does[STAGES.index(stage)](plan, task))


def clean(plan: Plan, part: int) -> Counts:
    """Reads a file, and writes each page with the effects of the rules on it."""
    counts = Counts()
    written = runs.RunWriter(plan.path("addresses", f"{part:05d}"), _ADDRESS)
    with Records(plan.path("pages", f"{part:05d}.zst")) as written_pages:
        for page in readers.pages(plan.inputs[part], field=plan.config.field):
            if isinstance(page, Damage):
                counts.hurt(str(page))
                continue
            counts.saw(num_bytes(page.text))
            if rule := page_rule(plan, page):
                counts.add([Effect(rule, True, 0, num_bytes(page.text))])
                continue
            if page.url and "one_page_per_url" in plan.names:
                time = page.timestamp.encode()
                number = written_pages.number
                written.add([(duplicates.hash_of(page.key), time, part, number)])
            text, effects = lines_left(plan, page.text)
            written_pages.add({
                "text": text,
                "bytes": num_bytes(page.text),
                "effects": effects,
                "url": page.url,
                "key": page.key,
                "timestamp": page.timestamp,
                "id": page.id or urls.digest(page.key),
                "more": page.more if text is not None else {},
            })  # fmt: skip
    written.flush()
    return counts


def addresses(plan: Plan, bucket: int) -> Counts:
    """Writes which pages have a URL of which there is a newer page, or as new a one before."""
    paths = plan.files("addresses", "*.npy")
    rows = runs.bucket(paths, bucket, plan.num_buckets, _ADDRESS)
    # The newest last, and of several the first one.
    order = np.lexsort(
        [-rows["page"].astype(np.int64), -rows["part"].astype(np.int64), rows["time"], rows["hash"]]
    )
    rows = rows[order]
    is_last = np.ones(len(rows), bool)
    is_last[:-1] = rows["hash"][1:] != rows["hash"][:-1]
    found = np.empty(int((~is_last).sum()), _OLDER)
    for name in ("part", "page"):
        found[name] = rows[name][~is_last]
    found = found[np.lexsort([found["page"], found["part"]])]
    runs.save(plan.path("older", f"{bucket:05d}.npy"), found)
    return Counts()


def units(plan: Plan, part: int) -> Counts:
    """Writes the hashes of all lines or spans of a file."""
    written = runs.RunWriter(plan.path("units", f"{part:05d}"), duplicates.UNIT)
    punkt = plans.punkt(plan.config)
    for number, record in _newest(plan, part, Counts()):
        if record["text"] is not None:
            place = duplicates.rank(record["url"] or record["key"])
            found = duplicates.units(record["text"], plan.config.dedup, punkt)
            written.add([(each, place, part, number, unit) for unit, each in enumerate(found)])
    written.flush()
    return Counts()


def choose(plan: Plan, bucket: int) -> Counts:
    """Writes which lines or spans that recur stay, and which go."""
    paths = plan.files("units", "*.npy")
    rows = runs.bucket(paths, bucket, plan.num_buckets, duplicates.UNIT)
    runs.save(plan.path("choices", f"{bucket:05d}.npy"), duplicates.choose(rows))
    return Counts()


def write(plan: Plan, part: int) -> Counts:
    """Writes the documents of a file, by the rules that come after duplicates."""
    counts = Counts()
    chosen = _Choices(plan, part)
    outputs = {name: Output(plan.path("output", f"{name}-{part:05d}.gz")) for name in SPLITS}
    for number, record in _newest(plan, part, counts):
        effects = [Effect(*each) for each in record["effects"]]
        text = record["text"]
        if text is not None:
            text, more = text_left(plan, text, *chosen.of(number), counts)
            effects += more
        counts.add(effects)
        if text is not None:
            split = SPLITS[urls.is_validation(record["key"])]
            outputs[split].add(_document(record, text))
            counts.keep(num_bytes(text), split, is_changed=bool(effects))
    for output in outputs.values():
        output.close()
    return counts


def _newest(plan: Plan, part: int, counts: Counts) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, record) of the pages of a file that there are no newer ones of."""
    older = set(runs.of_part(plan.files("older", "*.npy"), part, _OLDER)["page"].tolist())
    for number, record in enumerate(records(plan.path("pages", f"{part:05d}.zst"))):
        if number in older:
            counts.add([Effect("one_page_per_url", True, 0, record["bytes"])])
        else:
            yield number, record


class _Choices:
    """Which units of the pages of a file go, and which stay though they recur."""

    def __init__(self, plan: Plan, part: int):
        rows = runs.of_part(plan.files("choices", "*.npy"), part, duplicates.CHOICE)
        self._rows = rows[np.argsort(rows["page"], kind="stable")]

    def of(self, page: int) -> tuple[set[int], set[int]]:
        start, end = np.searchsorted(self._rows["page"], [page, page + 1])
        rows = self._rows[start:end]
        stays = rows["stays"]
        return set(rows["unit"][~stays].tolist()), set(rows["unit"][stays].tolist())


def _document(record: dict[str, Any], text: str) -> bytes:
    """One line; a field that came along replaces none of ours."""
    own = {"text": text, **{name: record[name] for name in ("url", "id", "timestamp")}}
    more = {name: value for name, value in record["more"].items() if name not in own}
    return json.dumps(own | more, ensure_ascii=False).encode() + b"\n"
