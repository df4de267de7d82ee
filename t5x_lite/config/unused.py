"""Definitions that change nothing: a misspelt macro or scope must not pass in silence.

A file may define what this configuration does not reach, because another file chose otherwise (the
number of encoder layers, when a language model drops the encoder), as long as some statement could
make use of it. A flag has to have an effect now.
"""

import dataclasses
from collections.abc import Iterator

from t5x_lite.config import t5x_names
from t5x_lite.config.build import Built
from t5x_lite.config.configurables import (
    built_by_itself,
    built_if_bound,
    configurables,
    field_types,
    find,
)
from t5x_lite.config.definitions import (
    BindingKey,
    Definitions,
    Ranked,
    Scope,
    prefixes,
    split_scope,
)
from t5x_lite.config.errors import Problem, did_you_mean, nearest
from t5x_lite.config.parse import Macro, Reference, join_scope, nested


def unused_definitions(root: type, definitions: Definitions, built: Built) -> list[Problem]:
    """A problem for each macro and binding that has no effect and could have none."""
    users = _users(definitions)
    reachable = _reachable(root, definitions)
    problems = []
    for name, every in definitions.macros.items():
        message = None if name in built.macros else _unused_macro(name, every[-1], users, built)
        if message:
            problems.append(Problem(message, every[-1].definition.location))
    for key, every in definitions.bindings.items():
        if key in built.bindings:
            continue
        message = _unused_binding(key, every[-1], definitions, built, reachable)
        if message:
            problems.append(Problem(message, every[-1].definition.location))
    return problems


def _unused_macro(
    name: str, ranked: Ranked, users: dict[str, list[str]], built: Built
) -> str | None:
    if name not in users:
        ours = t5x_names.macro_replacement(name)
        if ours:
            return f"{name} is a macro of T5X; here it is {ours}"
        return f"no statement uses %{name}{did_you_mean(name, users)}"
    if _must_have_effect(ranked, built):
        only = "; ".join(dict.fromkeys(users[name]))
        return f"{name} has no effect: it is used only by {only}, which is not in effect here"
    return None


def _must_have_effect(ranked: Ranked, built: Built) -> bool:
    """Flags, unless a wrong reference hides what would have used them."""
    return ranked.is_command_line and not built.is_partial


def _unused_binding(
    key: BindingKey,
    ranked: Ranked,
    definitions: Definitions,
    built: Built,
    reachable: set[tuple[Scope, type]],
) -> str | None:
    scope, cls, field = key
    shadows = [
        definitions.bindings[value.binding][-1]
        for (inner, built_class), values in built.instances.items()
        if built_class is cls and scope in prefixes(inner)
        for name, value in values.items()
        if name == field and value.binding is not None
    ]
    if shadows:
        # Later means more wanted: a general rule written after a special one is thought to hold.
        if not ranked.is_command_line and any(each.layer >= ranked.layer for each in shadows):
            return None
        winners = "; ".join(f"{each.definition} at {each.definition.location}" for each in shadows)
        return f"{ranked.definition} has no effect: more specific is {winners}"
    if not _must_have_effect(ranked, built) and any(
        cls is each and scope in prefixes(inner) for inner, each in reachable
    ):
        return None
    opened = {"/".join(outer) for inner, _ in reachable for outer in prefixes(inner) if outer}
    hint = "" if not scope else did_you_mean("/".join(scope), opened - {"/".join(scope)})
    place = join_scope("/".join(scope), cls.__name__)
    return f"{ranked.definition} has no effect: nothing here builds @{place}(){hint}"


def _users(definitions: Definitions) -> dict[str, list[str]]:
    """Macro name -> the statements that use it, anywhere."""
    users: dict[str, list[str]] = {}
    for ranked in definitions:
        definition = ranked.definition
        for each in nested(definition.value):
            if isinstance(each, Macro) and not each.is_required:
                users.setdefault(each.name, []).append(f"{definition} at {definition.location}")
    return users


def _reachable(root: type, definitions: Definitions) -> set[tuple[Scope, type]]:
    """What `root` could hold, were any of the definitions of a name the one that counts."""
    reachable: set[tuple[Scope, type]] = set()
    pending: list[tuple[Scope, type]] = [((), root)]
    while pending:
        scope, cls = pending.pop()
        if (scope, cls) in reachable:
            continue
        reachable.add((scope, cls))
        for field in dataclasses.fields(cls):
            bound = [
                ranked
                for outer in prefixes(scope)
                for ranked in definitions.bindings.get((outer, cls, field.name), ())
            ]
            annotation = field_types(cls)[field.name]
            itself = built_by_itself(field, annotation) or built_if_bound(field, annotation)
            if itself is not None and not bound:
                pending.append((scope, itself))
            pending += [
                (split_scope(reference.scope) or scope, found)
                for ranked in bound
                for reference in _references(ranked.definition.value, definitions)
                if (found := _intended(reference)) is not None
            ]
    return reachable


def _references(value: object, definitions: Definitions) -> Iterator[Reference]:
    """The references in a value, those behind its macros included."""
    seen: set[str] = set()
    pending = [value]
    while pending:
        for each in nested(pending.pop()):
            if isinstance(each, Reference):
                yield each
            elif each.name not in seen:
                seen.add(each.name)
                every = definitions.macros.get(each.name, ())
                pending += [ranked.definition.value for ranked in every]


def _intended(reference: Reference) -> type | None:
    """The class, also of a misspelt reference: one error is enough for one mistake."""
    found = find(reference.selector)
    if found is None:
        name = nearest(reference.selector.rpartition(".")[2], configurables())
        found = configurables()[name] if name else None
    return found
