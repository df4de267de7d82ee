"""Statements -> frozen configs: scopes, macros, defaults and types, every error kept."""

import collections
import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence

from t5x_lite.config.configurables import (
    built_by_itself,
    built_if_bound,
    field_types,
    find,
    if_missing,
    is_configurable,
    is_tuple_of_configs,
    options,
)
from t5x_lite.config.definitions import BindingKey, Definitions, Scope, prefixes, split_scope
from t5x_lite.config.errors import Location, Problem, did_you_mean
from t5x_lite.config.parse import MAX_DEPTH, Definition, Macro, Reference, join_scope, nested
from t5x_lite.config.values import RefusedValueError, WrongValueError, convert, describe
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True)
class FieldValue:
    """Where one field of a built config got its value: a binding, itself, or its default."""

    binding: BindingKey | None
    final: object


@dataclasses.dataclass
class Built:
    """What came of a root class: the config, or problems, and all that was consulted.

    `is_partial` says that a reference was wrong, so that what it would have used is not known.
    """

    config: object = None
    is_partial: bool = False
    problems: list[Problem] = dataclasses.field(default_factory=list)
    instances: dict[tuple[Scope, type], dict[str, FieldValue]] = dataclasses.field(
        default_factory=dict
    )
    macros: set[str] = dataclasses.field(default_factory=set)
    bindings: set[BindingKey] = dataclasses.field(default_factory=set)


# Ten macros of ten members each make ten billion of them.
_MAX_MEMBERS = 100_000
_SHOWN = 500


class _InvalidError(Exception):
    """Raised past a value whose problem is already noted."""


def build(root: type, definitions: Definitions) -> Built:
    """Builds `root` with all it holds."""
    builder = _Builder(definitions)
    try:
        builder.built.config = builder.make(root, ())
    except _InvalidError:
        pass
    builder.report_missing_macros()
    return builder.built


class _Builder:
    def __init__(self, definitions: Definitions):
        self.definitions = definitions
        self.built = Built()
        self._made: dict[tuple[Scope, type], object] = {}
        self._room = 0  # members that the value being expanded may still have
        self._wanted: dict[str, list[Definition]] = collections.defaultdict(list)

    def make(self, cls: type, scope: Scope) -> object:
        """The config of a class in a scope; the same one wherever it is referred to."""
        if (scope, cls) not in self._made:
            self._made[scope, cls] = None
            self._made[scope, cls] = self._make(cls, scope)
        if self._made[scope, cls] is None:
            raise _InvalidError
        return self._made[scope, cls]

    def _make(self, cls: type, scope: Scope) -> object:
        values: dict[str, FieldValue] = {}
        self.built.instances[scope, cls] = values
        fields = dataclasses.fields(cls)
        for field in fields:
            try:
                values[field.name] = self._field(cls, scope, field)
            except _InvalidError:
                continue
        given = {name: value.final for name, value in values.items()}
        try:
            if len(given) == len(fields):
                return cls(**given)
            _check_partly(cls, given)
        except UserError as error:
            self._report_refusal(cls, scope, values, str(error))
        return None

    def _field(self, cls: type, scope: Scope, field: dataclasses.Field[object]) -> FieldValue:
        annotation = field_types(cls)[field.name]
        for outer in prefixes(scope):
            key = (outer, cls, field.name)
            if key in self.definitions.bindings:
                self.built.bindings.add(key)
                return FieldValue(key, self._bound(key, scope, annotation))
        itself = built_by_itself(field, annotation) or self._bound_anywhere(field, annotation)
        if itself is not None:
            made = self.make(itself, scope)
            return FieldValue(None, (made,) if is_tuple_of_configs(annotation) else made)
        if field.default is not dataclasses.MISSING:
            return FieldValue(None, field.default)
        if field.default_factory is not dataclasses.MISSING:
            return FieldValue(None, field.default_factory())
        name = join_scope("/".join(scope), f"{cls.__name__}.{field.name}")
        self._report(f"{name} has no value; needed is {describe(annotation)}: --gin.{name}=...")
        raise _InvalidError

    def _bound_anywhere(self, field: dataclasses.Field[object], annotation: object) -> type | None:
        cls = built_if_bound(field, annotation)
        return cls if any(bound is cls for _, bound, _ in self.definitions.bindings) else None

    def _bound(self, key: BindingKey, scope: Scope, annotation: object) -> object:
        definition = self.definitions.bindings[key][-1].definition
        try:
            self._room = _MAX_MEMBERS
            value = self._expand(definition.value, (definition,))
        except _InvalidError:
            self.built.is_partial |= any(is_configurable(each) for each in options(annotation))
            raise
        references = [each for each in nested(value) if isinstance(each, Reference)]
        if any(find(reference.selector) is None for reference in references):
            self.built.is_partial = True
            raise _InvalidError

        chain = self._chain(definition)
        try:
            return convert(value, annotation, functools.partial(self._refer, scope))
        except WrongValueError as error:
            message = _wrong_value(error, value, chain)
        except RefusedValueError as error:
            message = f"{error} (for {definition})"
        self.built.is_partial |= bool(references)
        self._report(message, chain[-1].location)
        raise _InvalidError

    def _refer(self, scope: Scope, reference: Reference) -> object:
        """What a reference stands for: as in gin, a scope of its own replaces the active one."""
        cls = find(reference.selector)
        assert cls is not None, f"{reference} was looked up before"
        return self.make(cls, split_scope(reference.scope) or scope)

    def _expand(self, value: object, stack: tuple[Definition, ...]) -> object:
        """`value` with macros replaced; `stack` holds the definitions it is inside of."""
        self._room -= 1
        if self._room == 0:
            self._report(
                f"{stack[0]} has more than {_MAX_MEMBERS:,} members once its macros are expanded",
                stack[0].location,
            )
        if self._room <= 0:
            raise _InvalidError
        if isinstance(value, Macro):
            return self._macro(value, stack)
        if isinstance(value, dict):
            keys, values = (
                self._expand_all(part, stack) for part in (value.keys(), value.values())
            )
            return dict(zip(keys, values, strict=True))
        if isinstance(value, list | tuple):
            return type(value)(self._expand_all(value, stack))
        return value

    def _expand_all(self, values: Iterable[object], stack: tuple[Definition, ...]) -> list[object]:
        """Each of `values` expanded; the problems of all are noted before one is raised."""
        expanded, are_valid = [], True
        for value in values:
            try:
                expanded.append(self._expand(value, stack))
            except _InvalidError:
                are_valid = False
        if not are_valid:
            raise _InvalidError
        return expanded

    def _macro(self, macro: Macro, stack: tuple[Definition, ...]) -> object:
        user = stack[-1]
        if macro.is_required:
            self._wanted[str(user)].append(stack[0])
            raise _InvalidError
        self.built.macros.add(macro.name)
        if macro.name not in self.definitions.macros:
            self._wanted[macro.name].append(user)
            raise _InvalidError
        definition = self.definitions.macros[macro.name][-1].definition
        if definition in stack:
            self._report(f"%{macro.name} is defined by itself", definition.location)
            raise _InvalidError
        if len(stack) > MAX_DEPTH:
            self._report(
                f"{stack[0]} needs more than {MAX_DEPTH} macros in a row", definition.location
            )
            raise _InvalidError
        return self._expand(definition.value, (*stack, definition))

    def _chain(self, definition: Definition) -> list[Definition]:
        """A binding, and the macros its whole value stands for: the last one holds the value."""
        chain = [definition]
        while isinstance(chain[-1].value, Macro):
            chain.append(self.definitions.macros[chain[-1].value.name][-1].definition)
        return chain

    def report_missing_macros(self) -> None:
        """One problem for each name that somebody has to give a value, with all who need it."""
        used = {
            each.name
            for ranked in self.definitions
            for each in nested(ranked.definition.value)
            if isinstance(each, Macro)
        }
        for name, users in self._wanted.items():
            # Of a name with a definition, that definition asks for another: only a macro that
            # nobody uses may be meant. One without may be misspelt where it is used.
            defined = set(self.definitions.macros)
            candidates = defined - used if name in defined else defined
            similar = did_you_mean(name, candidates)
            needed = "; ".join(dict.fromkeys(f"{user}, {user.location}" for user in users))
            advice = "".join(dict.fromkeys(map(if_missing, users)))
            self._report(f"{name} has no value: --gin.{name}=... (for {needed}){similar}{advice}")

    def _report_refusal(
        self, cls: type, scope: Scope, values: Mapping[str, FieldValue], message: str
    ) -> None:
        """A config refused its values together: show where those it speaks of come from."""
        sources = {
            name: self.definitions.bindings[value.binding][-1].definition
            for name, value in values.items()
            if value.binding is not None
        }
        spoken_of = set(re.findall(r"\w+", message))
        chosen = [each for field, each in sources.items() if field in spoken_of]
        name = join_scope("/".join(scope), cls.__name__)
        origins = "; ".join(
            ", ".join(f"{each} at {each.location}" for each in self._chain(definition))
            for definition in chosen or sources.values()
        )
        self._report(f"{name}: {message}{f' (from {origins})' if origins else ''}")

    def _report(self, message: str, location: Location | None = None) -> None:
        self.built.problems.append(Problem(message, location))


def _wrong_value(error: WrongValueError, value: object, chain: Sequence[Definition]) -> str:
    """What a field needs, what was given, through which macro, and how to write it."""
    given = _show(error.value)
    if error.value is not value:
        given += f" in {_show(value)}"
    if len(chain) > 1:
        given += f" = %{chain[-1]} (bound to it at {chain[0].location})"
    hint = f"; {error.hint}" if error.hint else ""
    return f"{chain[0]} {error.needed}; given {given}{hint}"


def _show(value: object) -> str:
    """A value as its author wrote it, or its beginning."""
    shown = str(value) if isinstance(value, Reference) else repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _check_partly(cls: type, given: Mapping[str, object]) -> None:
    """Runs the checks of a config of which some fields are wrong or missing, as far as they go."""
    config: object = object.__new__(cls)
    for name in field_types(cls):
        object.__setattr__(config, name, given.get(name, _UNKNOWN))
    # A check that looks into an unknown value cannot be made; only a ValueError is its verdict.
    with contextlib.suppress(TypeError, AttributeError):
        getattr(config, "__post_init__", lambda: None)()


class _Unknown:
    """A value that nothing is known of, not even whether it equals another."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("unknown")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "(no value)"


_UNKNOWN = _Unknown()
