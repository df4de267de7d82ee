"""A resolved configuration as a gin text that holds every value and gives the same again."""

import enum
from collections.abc import Mapping, Sequence

from t5x_lite.config.build import Built, FieldValue
from t5x_lite.config.configurables import is_configurable
from t5x_lite.config.definitions import Definitions, Scope
from t5x_lite.config.parse import Import, Macro, Reference, join_scope

_WIDTH = 100


def operative_text(definitions: Definitions, built: Built, imports: Sequence[Import]) -> str:
    """Imports, the macros in use, and all fields of all configs, defaults included."""
    sections = []
    if imports:
        sections.append(sorted({_import_line(each) for each in imports}))
    if built.macros:
        sections.append(
            [
                _assignment(name, definitions.macros[name][-1].definition.value)
                for name in sorted(built.macros)
            ]
        )
    for (scope, cls), values in built.instances.items():
        sections.append(_instance(scope, cls, values, definitions))
    # A class may have no fields.
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _instance(
    scope: Scope, cls: type, values: Mapping[str, FieldValue], definitions: Definitions
) -> list[str]:
    lines = []
    for name, value in values.items():
        if value.binding is not None:
            written = definitions.bindings[value.binding][-1].definition.value
        else:
            written = _without_configs(value.final)
        place = join_scope("/".join(scope), f"{cls.__name__}.{name}")
        lines.append(_assignment(place, written))
    return lines


def _without_configs(value: object) -> object:
    """A value in which each config that was built by itself is a reference to its class."""
    if isinstance(value, tuple):
        return tuple(map(_without_configs, value))
    if is_configurable(type(value)):
        return Reference("", type(value).__name__, True)
    return value


def _import_line(statement: Import) -> str:
    if statement.member is None:
        return f"import {statement.module}"
    return f"from {statement.module} import {statement.member}"


def _assignment(name: str, value: object) -> str:
    line = f"{name} = {_gin(value)}"
    if len(line) <= _WIDTH or not isinstance(value, dict | list | tuple):
        return line
    members = [f"    {_gin(each)}," for each in value]
    if isinstance(value, dict):
        members = [f"    {_gin(key)}: {_gin(each)}," for key, each in value.items()]
    brackets = {dict: "{}", list: "[]", tuple: "()"}[type(value)]
    return "\n".join([f"{name} = {brackets[0]}", *members, brackets[1]])


def _gin(value: object) -> str:
    """A value in gin's notation."""
    if isinstance(value, Macro):
        return f"%{value.name}"
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, enum.Enum):
        return repr(value.value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_gin(key)}: {_gin(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_gin, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_gin, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
