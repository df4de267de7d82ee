"""The gin text of a run, read to be shown and compared; nothing of it is imported or built.

It is the text that `config.operative` writes: imports, then NAME = VALUE, a long value over several
lines.
"""

import re

_STATEMENT = re.compile(r"(\S+) = (.*)")
_MACRO = re.compile(r"[A-Z][A-Z0-9_]*")
_CONTINUED = (" ", "}", "]", ")")
_IMPORTS = ("import ", "from ")


def statements(gin_text: str) -> dict[str, str]:
    """Name (`MACRO`, `scope/Class.field`) -> value in gin's notation, on one line."""
    found: dict[str, str] = {}
    name = None
    for line in gin_text.splitlines():
        if start := _STATEMENT.match(line):
            name, found[start[1]] = start[1], start[2]
        elif name is not None and line.startswith(_CONTINUED):
            found[name] += " " + line.strip()
        else:
            name = None
    return found


def macros(gin_text: str) -> dict[str, str]:
    """The statements that bind macros."""
    found = statements(gin_text)
    return {name: value for name, value in found.items() if _MACRO.fullmatch(name)}


def imports(gin_text: str) -> list[str]:
    """The lines that import modules."""
    return [line for line in gin_text.splitlines() if line.startswith(_IMPORTS)]


def without_imports(gin_text: str) -> str:
    """The same text for a reader who needs no module of the run's."""
    lines = gin_text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(_IMPORTS))
