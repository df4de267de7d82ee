"""Whether the processes of a job were started alike: else they train to the end, and train nothing.

A process is described by facts, a text by name: the settings of its configuration, the versions of
what computes and reads, the contents of its vocabulary.
"""

import importlib.metadata
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite import gin_text
from t5x_lite.errors import UserError

Facts = Mapping[str, str]

# What decides batches and numbers. Python's patch releases do not.
_DISTRIBUTIONS = (
    "t5x_lite",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "numpy",
    "seqio",
    "tensorflow",
    "sentencepiece",
)
# Files that are only read may lie elsewhere on each host.
_LOCAL = re.compile(r"(.*\.)?(vocabulary|task_files|data)", re.IGNORECASE)
_KEY = "t5x_lite_facts_{}"
_SHOWN, _SHOWN_LENGTH = 5, 80


def versions() -> Facts:
    """Of Python, ourselves and the libraries that decide numbers."""
    found = {f"version of {name}": _version(name) for name in _DISTRIBUTIONS}
    python = ".".join(map(str, sys.version_info[:2]))
    return {"version of python": python, **found}


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def settings(operative_config: str) -> Facts:
    """What a gin text says, without the paths of files that are only read."""
    given = dict.fromkeys(gin_text.imports(operative_config), "given")
    named = gin_text.statements(operative_config)
    return given | {name: value for name, value in named.items() if not _LOCAL.fullmatch(name)}


def differences(facts_of: Mapping[int, Facts]) -> str:
    """Where processes differ from process 0, as an error says it; empty if nowhere."""
    first = facts_of[0]
    processes_with: dict[tuple[str, ...], list[int]] = {}
    for index, facts in sorted(facts_of.items()):
        if lines := tuple(_lines(first, facts)):
            processes_with.setdefault(lines, []).append(index)
    if not processes_with:
        return ""
    found = "\n".join(
        f"  process {', '.join(map(str, indices))}: {_listed(lines)}"
        for lines, indices in processes_with.items()
    )
    return (
        f"the processes of this job were not started alike:\n{found}\nGive all of them the same "
        "command, all but --process_index, and the same versions."
    )


def compare(facts: Facts, client: Any, index: int, count: int, timeout_s: float) -> None:
    """For processes that JAX has brought together: all tell process 0, which answers.

    Args:
        client: of JAX's distributed runtime, whose key-value store carries it.

    Raises:
        UserError: they were not started alike; the message says where.
    """
    timeout_ms = int(1000 * timeout_s)
    client.key_value_set(_KEY.format(index), json.dumps(facts))
    if index == 0:
        told = {i: client.blocking_key_value_get(_KEY.format(i), timeout_ms) for i in range(count)}
        problem = differences({i: json.loads(text) for i, text in told.items()})
        client.key_value_set(_KEY.format("compared"), json.dumps(problem))
    if problem := json.loads(client.blocking_key_value_get(_KEY.format("compared"), timeout_ms)):
        raise UserError(problem)


def _lines(first: Facts, other: Facts) -> list[str]:
    return [
        f"{name} = {_short(other.get(name))} (process 0: {_short(first.get(name))})"
        for name in dict.fromkeys([*first, *other])
        if first.get(name) != other.get(name)
    ]


def _short(value: str | None) -> str:
    if value is None:
        return "not given"
    return value if len(value) <= _SHOWN_LENGTH else f"{value[:_SHOWN_LENGTH]}..."


def _listed(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
