"""Files of a user's own, in place of a registered task: flags -> macros of a job, or the config of
a command that looks at data without one.
"""

import argparse
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from t5x_lite import config
from t5x_lite.errors import UsageError
from t5x_lite.features.layouts import Layout
from t5x_lite.model.config import ModelConfig
from t5x_lite.records import formats
from t5x_lite.records.config import MACROS, BadRows, RecordsConfig, Told

TASK, ENCODER_TASK = "data", "data_encoder"
HELD_OUT, ALL = "validation", "all"  # splits; the second is of every row
# flag -> the field.
_FLAGS = {
    "data": "paths",
    "field": "field",
    "objective": "objective",
    "inputs": "inputs",
    "targets": "targets",
    "prefix": "prefix",
    "labels": "labels",
    "metric": "metrics",
    "held_out": "held_out",
    "on_bad_row": "bad_rows",
}
_PAIR_LENGTHS = {"inputs": 512, "targets": 128}
_ENCODER_LENGTH = 128


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fields of RecordsConfig that flags give."""
    found = {field: getattr(arguments, flag, None) for flag, field in _FLAGS.items()}
    given = {name: value for name, value in found.items() if value is not None}
    given |= {name: tuple(given[name]) for name in ("labels", "metrics") if name in given}
    if given.get("prefix", "").strip():
        given["prefix"] = given["prefix"].rstrip() + " "
    return given


def bindings(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """The flags as macros of a job, each with the flag's name."""
    flag_of = {field: f"--{flag}" for flag, field in _FLAGS.items()}
    return [
        (flag_of[field], f"{MACROS[field]}={value!r}") for field, value in _given(arguments).items()
    ]


def of_flags(arguments: argparse.Namespace) -> RecordsConfig:
    """The same for a command without a job: labels are classes."""
    given = _given(arguments)
    if "bad_rows" in given:
        given["bad_rows"] = BadRows(given["bad_rows"])
    return RecordsConfig(told=Told.CLASSES if "labels" in given else Told.TEXT, **given)


def overrides(
    in_files: Mapping[str, object],
    flags: Mapping[str, object],
    facts: Mapping[str, object],
    *,
    trains: bool,
) -> list[tuple[str, str]]:
    """Macros that files of one's own make needless to give, as flags.

    Args:
        in_files, flags: what gin files and flags define.
        facts: what a checkpoint says of its run.
    """
    named = {**in_files, **flags}
    given = {name: value for name, value in named.items() if not config.is_macro(value)}
    if flags.get("DATA") is None and "DATA" in facts:
        return []  # the checkpoint says it all
    found = dict(_assumed({**facts, **given}))
    if not trains and found:
        found = {"MIXTURE_OR_TASK_NAME": found["MIXTURE_OR_TASK_NAME"], "SPLIT": ALL}
    found = {name: value for name, value in found.items() if name not in given}
    labels = flags.get("DATA_LABELS")
    if trains and given.get("DATA_TOLD") == "classes" and isinstance(labels, tuple):
        found |= {"LABELS": labels, "NUM_CLASSES": len(labels)}  # of the model as well
    return [("what --data makes of it", f"{name}={value!r}") for name, value in found.items()]


def _assumed(given: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The task's name, and lengths, of an objective those that it fills."""
    if given.get("DATA") is None:
        return
    told, is_pair = given.get("DATA_TOLD", "text"), given.get("DATA_TARGETS") is not None
    is_text = not is_pair or told == "text"
    yield "MIXTURE_OR_TASK_NAME", TASK if is_text else ENCODER_TASK
    if not is_pair:
        from t5x_lite.objectives import default_lengths

        objective = given.get("DATA_OBJECTIVE", RecordsConfig.objective)
        yield "TASK_FEATURE_LENGTHS", default_lengths.of(str(objective))
        return
    beside = {} if is_text else {"token_types": _ENCODER_LENGTH, str(told): 1}
    read = _PAIR_LENGTHS if is_text else {"inputs": _ENCODER_LENGTH}
    yield "TASK_FEATURE_LENGTHS", read | beside


def _has_fields(records: RecordsConfig) -> bool:
    found = map(formats.format_of, formats.files(str(records.paths)))
    return any(each is not None and each.has_fields for each in found)


def no_vocabulary(records: RecordsConfig, model: ModelConfig | None) -> UsageError:
    """The error about files without a vocabulary: the command that makes one of them."""
    words = ["t5x_lite", "vocab", *(f"--file={path}" for path in str(records.paths).split(","))]
    fields = records.fields if records.told is Told.TEXT else records.fields[:1]
    words += [f"--field={field}" for field in fields if _has_fields(records)]
    kind, name = [], "my.model"
    if model is not None and model.layout is Layout.ENCODER:
        kind, name = ["--kind=wordpiece"], "my_wordpiece"
    line = shlex.join([*words, *kind, f"--output={name}"])
    return UsageError(
        f"--data={records.paths} needs a vocabulary, --gin.VOCABULARY=PATH; this trains one: {line}"
    )
