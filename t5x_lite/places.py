"""Paths that name a place files can be at, checked before anything waits for a network (no JAX)."""

import os

from t5x_lite.errors import UserError

REMOTE = ("gs",)


def check_place(name: str, path: object) -> None:
    """Refuses what is no path of this machine nor of an object store that is supported.

    Args:
        name: what the path was given as.
        path: what is no string, such as None, is let pass.

    Raises:
        UserError: it is empty, an unsupported URL, or below the home of nobody.
    """
    if isinstance(path, str) and (problem := problem_of(path)):
        raise UserError(f"{name}={path!r}: {problem}")


def problem_of(path: str) -> str | None:
    """What is wrong with a path, as a sentence, whether anything is there or not."""
    scheme, is_url, _ = path.partition("://")
    if is_url and scheme not in REMOTE:
        return (
            f"needed is a path of this machine or gs://bucket/folder; {scheme}:// is not "
            "supported: copy or mount it first."
        )
    if not path.strip() or "\0" in path:
        return "needed is a path."
    if path.startswith("~") and os.path.expanduser(path).startswith("~"):
        user = path.partition("/")[0][1:]
        return f"there is no user {user!r} here, so no home; a folder of that name is ./~{user}."
    return None
