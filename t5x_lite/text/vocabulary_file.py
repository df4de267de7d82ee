"""`vocabulary.json`: of which kind the vocabulary of a folder is, how many sentinels it has, and
which of its ids are special.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.template import Template
from t5x_lite.text_files import read_json_object

VOCABULARY_FILE = "vocabulary.json"
_Rules = TypeVar("_Rules")
_MAX_SENTINELS = 100_000
_NAMES = {field.name for field in dataclasses.fields(SpecialTokens)}
# Not all vocabularies have them; where a folder says nothing of masks, there is none.
_OPTIONAL, _MAY_BE_MISSING = ("unknown", "mask"), {"mask"}


def description(
    kind: str,
    extra_ids: int,
    special: SpecialTokens | None = None,
    template: Template | None = None,
    **more: Any,
) -> bytes:
    """The content of `vocabulary.json`: what is None it does not say."""
    values = {"kind": kind, "extra_ids": extra_ids, **more}
    if template is not None:
        values["template"] = dataclasses.asdict(template)
    if special is not None:
        ids = dataclasses.asdict(special)
        values["special"] = {
            name: i for name, i in ids.items() if i is not None or name not in _MAY_BE_MISSING
        }
    return (json.dumps(values) + "\n").encode()


def read_extra_ids(path: epath.Path, default: int | None = None) -> int:
    """The number of sentinels that a JSON file states.

    Raises:
        UserError: it is no number of sentinels; or it is not there, and there is no `default`.
    """
    extra_ids = read_json_object(path).get("extra_ids", default)
    if type(extra_ids) is not int or not 0 <= extra_ids <= _MAX_SENTINELS:
        raise UserError(
            f"{path} has extra_ids={extra_ids!r}; needed is the number of sentinels, from 0 to "
            f"{_MAX_SENTINELS:,}."
        )
    return extra_ids


def read_special(values: Mapping[str, Any], source: object) -> SpecialTokens:
    """The special ids of what `description` gives, read as JSON.

    Raises:
        UserError: it says none, or something else than ids.
    """
    special = values.get("special")
    needed = _NAMES - _MAY_BE_MISSING
    if not isinstance(special, Mapping) or not needed <= special.keys() <= _NAMES:
        raise UserError(
            f"{source} has special={special!r}; needed is an object with "
            f"{', '.join(sorted(needed))}."
        )
    for name, i in special.items():
        if type(i) is not int and not (name in _OPTIONAL and i is None):
            raise UserError(f"{source} has {name}={i!r}; needed is an id.")
    return SpecialTokens(**special)


def read_rules(values: Mapping[str, Any], source: object, kind: type[_Rules]) -> _Rules:
    """The switches of what a tokenizer's `files` describe, read as JSON.

    Args:
        kind: the dataclass of switches that they are.

    Raises:
        UserError: it says none, or something else than switches.
    """
    rules, names = values.get("rules"), {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if (
        not isinstance(rules, Mapping)
        or rules.keys() != names
        or not all(isinstance(value, bool) for value in rules.values())
    ):
        raise UserError(
            f"{source} has rules={rules!r}; needed is an object with {', '.join(sorted(names))}, "
            "each true or false."
        )
    return kind(**rules)


def read_template(values: Mapping[str, Any], source: object, default: Template) -> Template:
    """The template of what `description` gives, read as JSON.

    Args:
        default: where it says none.

    Raises:
        UserError: it is no template.
    """
    template = values.get("template", dataclasses.asdict(default))
    names = {field.name for field in dataclasses.fields(Template)}
    if (
        not isinstance(template, Mapping)
        or template.keys() != names
        or not all(isinstance(value, str) for value in template.values())
    ):
        raise UserError(
            f"{source} has template={template!r}; needed is an object with pair and single, such "
            f"as {json.dumps(dataclasses.asdict(default))}."
        )
    return Template(**template)
