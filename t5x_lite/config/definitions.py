"""Layers of statements -> definitions by what they define, with names that are ours."""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

from t5x_lite.config.configurables import (
    field_types,
    find,
    renamed_fields,
    unknown_selector,
)
from t5x_lite.config.errors import Location, Problem, did_you_mean
from t5x_lite.config.files import Layer
from t5x_lite.config.moved import as_now
from t5x_lite.config.parse import Definition, Reference, nested

Scope = tuple[str, ...]
BindingKey = tuple[Scope, type, str]


def split_scope(scope: str) -> Scope:
    """The names in a scope, outermost first; no scope is the empty tuple."""
    return tuple(scope.split("/")) if scope else ()


def prefixes(scope: Scope) -> Iterator[Scope]:
    """The scopes whose bindings hold inside `scope`, the most specific first, as in gin."""
    return (scope[:length] for length in range(len(scope), -1, -1))


@dataclasses.dataclass(frozen=True)
class Ranked:
    """A definition and the layer it came from."""

    definition: Definition
    layer: int
    is_command_line: bool


class Definitions:
    """All definitions by what they define, each list ends with the one that counts."""

    def __init__(self, layers: Sequence[Layer]):
        self.macros: dict[str, list[Ranked]] = collections.defaultdict(list)
        self.bindings: dict[BindingKey, list[Ranked]] = collections.defaultdict(list)
        self.problems: list[Problem] = []
        for number, layer in enumerate(layers):
            first: dict[object, Definition] = {}
            for definition in as_now(layer.definitions):
                self._add(Ranked(definition, number, layer.is_command_line), first)

    def __iter__(self) -> Iterator[Ranked]:
        for ranked in (*self.macros.values(), *self.bindings.values()):
            yield from ranked

    def _add(self, ranked: Ranked, first: dict[object, Definition]) -> None:
        """`first` holds what the same layer has defined so far."""
        definition = ranked.definition
        self._check_references(definition)
        if definition.is_macro:
            key: object = definition.selector
            self.macros[definition.selector].append(ranked)
        else:
            binding = self._binding_key(definition)
            if binding is None:
                return
            key = binding
            self.bindings[binding].append(ranked)
        earlier = first.setdefault(key, definition)
        if earlier is not definition:
            message = f"{definition} is defined twice in this file, first in line"
            self._report(f"{message} {earlier.location.line}", definition.location)

    def _binding_key(self, definition: Definition) -> BindingKey | None:
        cls = find(definition.selector)
        if cls is None:
            message = unknown_selector(definition.selector, definition.field)
            self._report(message, definition.location)
            return None
        field = renamed_fields(cls).get(definition.field, definition.field)
        if field not in field_types(cls):
            similar = did_you_mean(definition.field, field_types(cls))
            message = f"{cls.__name__} has no parameter {definition.field}{similar}"
            self._report(message, definition.location)
            return None
        return split_scope(definition.scope), cls, field

    def _check_references(self, definition: Definition) -> None:
        for each in nested(definition.value):
            if isinstance(each, Reference) and find(each.selector) is None:
                self._report(f"{each}: {unknown_selector(each.selector)}", definition.location)

    def _report(self, message: str, location: Location) -> None:
        self.problems.append(Problem(message, location))
