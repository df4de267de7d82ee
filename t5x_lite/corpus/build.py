"""A config -> a folder with a corpus: documents as jsonl.gz, and a report of every rule."""

import functools
import glob
import hashlib
import json
import os
import shutil
import time
from typing import Any

from t5x_lite.corpus import plan as plans
from t5x_lite.corpus import report, sentences, stages
from t5x_lite.corpus.config import CorpusConfig, check_rules
from t5x_lite.corpus.counts import Counts
from t5x_lite.corpus.engine import Progress, engine
from t5x_lite.corpus.language import check_language
from t5x_lite.corpus.plan import Plan, write_whole
from t5x_lite.errors import UserError

REPORT = "report.json"
_WORK = ".work"
# With what files in the folder of work cannot be of another version.
_VERSION = 1
_LABELS = {
    "clean": "rules for lines",
    "addresses": "one page per URL",
    "units": "hashes",
    "choose": "duplicates",
    "write": "documents",
}


def build(config: CorpusConfig, *, workers: int) -> dict[str, Any]:
    """Builds a corpus, or goes on where a build of it was killed.

    Args:
        workers: processes; the corpus is the same for any number, byte by byte.

    Returns:
        The report, which is also written beside the documents.

    Raises:
        UserError: something that was given cannot be used, or another corpus is there.
    """
    started = time.monotonic()
    check(config)
    plan = make_plan(config)
    settings = _identity(plan)
    if (found := _finished(config, settings)) is not None:
        return found
    _claim(plan, settings)
    progress = Progress()
    with engine(workers) as processes:
        for stage in stages.STAGES:
            numbers = stages.tasks(plan, stage)
            left = [each for each in numbers if not plan.is_done(stage, each)]
            with progress.step(_LABELS[stage], len(numbers), len(numbers) - len(left)) as advance:
                for _ in processes.run(functools.partial(stages.run, plan, stage), left):
                    advance()
    counts = plan.counts("clean")
    counts.merge(plan.counts("write"))
    return _publish(plan, settings, counts, time.monotonic() - started)


def check(config: CorpusConfig) -> None:
    """Refuses what cannot be built, before anything is read.

    Raises:
        UserError: what was given, what is needed.
    """
    check_rules(config)
    for path in (*config.inputs, config.output):
        plans.check_no_store(path)
    plans.forget_lists()
    names = config.rules
    if {"sentences", "duplicates"} & names:
        sentences.check_model(config.punkt or sentences.name_of(config.language))
    if "language" in names:
        check_language(config.language, config.detector)
    if "bad_words" in names:
        plans.bad_words(config)
    if "domains" in names:
        plans.domains(str(config.domains))
    if "url_list" in names:
        plans.url_list(str(config.urls))


def make_plan(config: CorpusConfig) -> Plan:
    """The files to read, each once and in the order of their names.

    Raises:
        UserError: a pattern is of no file.
    """
    found: set[str] = set()
    for pattern in config.inputs:
        files = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
        if not files:
            raise UserError(f"--input={pattern}: there is no such file")
        found.update(files)
    inputs = tuple(sorted(found))
    folder = os.path.join(config.output, _WORK)
    return Plan(config, inputs, folder, plans.num_buckets(inputs))


def _identity(plan: Plan) -> dict[str, Any]:
    """What two builds have in common if one can go on with the other's files."""
    files = {}
    for name in ("bad_words", "domains", "urls"):
        if (path := getattr(plan.config, name)) is not None:
            with open(path, "rb") as file:
                files[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "version": _VERSION,
        "settings": plans.settings_of(plan.config),
        "rules": sorted(plan.names),
        "lists": files,
        "inputs": [[path, os.path.getsize(path)] for path in plan.inputs],
    }


def _finished(config: CorpusConfig, settings: dict[str, Any]) -> dict[str, Any] | None:
    """The report of the corpus if it is there already.

    Raises:
        UserError: another one is there.
    """
    path = os.path.join(config.output, REPORT)
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    if found["corpus"] != json.loads(json.dumps(settings)):
        _refuse(config.output, found["corpus"], settings)
    shutil.rmtree(os.path.join(config.output, _WORK), ignore_errors=True)
    return found


def _refuse(output: str, found: dict[str, Any], settings: dict[str, Any]) -> None:
    settings = json.loads(json.dumps(settings))
    theirs, ours = found.get("settings", {}), settings["settings"]
    differ = [
        f"{name} {_shown(theirs.get(name))}, here {_shown(value)}"
        for name, value in ours.items()
        if theirs.get(name) != value
    ]
    what = f"settings: {'; '.join(differ)}" if differ else ""
    others = [name for name in ("inputs", "lists", "version") if found.get(name) != settings[name]]
    raise UserError(
        f"{output} has a corpus of other {what or ', '.join(others)}; give another --output, or "
        "remove it."
    )


def _shown(value: Any) -> str:
    return (", ".join(value) if isinstance(value, list) else str(value or "")) or "none"


def _claim(plan: Plan, settings: dict[str, Any]) -> None:
    """Writes down what the folder is for.

    Raises:
        UserError: it is for something else.
    """
    path = plan.path("plan.json")
    content = json.dumps(settings)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if found != json.loads(content):
            _refuse(plan.config.output, found, settings)
        for partial in plan.files("**", "*.partial"):
            os.unlink(partial)
        return
    if strangers := sorted(set(os.listdir(plan.config.output)) - {_WORK}):
        raise UserError(
            f"{plan.config.output} is not empty ({strangers[0]}, ...); needed is a new folder."
        )
    write_whole(path, content.encode())


def _publish(
    plan: Plan, settings: dict[str, Any], counts: Counts, seconds: float
) -> dict[str, Any]:
    """Moves documents to where they belong, the report last: it says that all of it is there."""
    output = plan.config.output
    made = report.as_json(settings, plan.names, counts, seconds)
    parts = len(plan.inputs)
    for part in range(parts):
        source = os.path.join(plan.folder, "output", f"train-{part:05d}.gz")
        target = os.path.join(output, f"train-{part:05d}-of-{parts:05d}.jsonl.gz")
        if os.path.exists(source):
            os.replace(source, target)
    _join(plan, os.path.join(output, "validation-00000-of-00001.jsonl.gz"))
    write_whole(os.path.join(output, "report.html"), report.as_page(made).encode())
    write_whole(os.path.join(output, REPORT), (json.dumps(made, indent=1) + "\n").encode())
    shutil.rmtree(plan.folder)
    return made


def _join(plan: Plan, target: str) -> None:
    """Makes one file of the documents for validation, of which a part has a few."""
    partial = f"{target}.partial"
    with open(partial, "wb") as file:
        for part in range(len(plan.inputs)):
            with open(plan.path("output", f"validation-{part:05d}.gz"), "rb") as members:
                shutil.copyfileobj(members, file)
    os.replace(partial, target)
