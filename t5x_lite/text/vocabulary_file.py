"""`vocabulary.json`: of which kind the vocabulary of a folder is, and how many sentinels it has."""

import json
from typing import Any

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import read_json_object

VOCABULARY_FILE = "vocabulary.json"
_MAX_SENTINELS = 100_000


def description(kind: str, extra_ids: int, **more: Any) -> bytes:
    """The content of `vocabulary.json`."""
    return (json.dumps({"kind": kind, "extra_ids": extra_ids, **more}) + "\n").encode()


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
