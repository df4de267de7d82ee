"""Frozen dataclasses <-> JSON: enums by value, tuples as lists; the types decide."""

import collections.abc
import dataclasses
import difflib
import enum
import types
import typing
from typing import Any, TypeVar

from t5x_lite.bounds import FINITE
from t5x_lite.errors import UserError

T = TypeVar("T")
_SHOWN = 200


def to_json(value: Any) -> Any:
    """A value made of dataclasses, enums, sequences, mappings and plain values, for json.dumps."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_json(member) for member in value]
    if isinstance(value, dict):
        return {key: to_json(member) for key, member in value.items()}
    return value


def from_json(cls: type[T], values: Any, where: str = "") -> T:
    """The dataclass that `to_json` was given. A field that is absent takes its default, and one
    that was renamed its new name, so that a checkpoint outlives changes.

    Raises:
        UserError: a field is unknown, absent without a default, or of another type.
    """
    name = where or cls.__name__
    if not isinstance(values, collections.abc.Mapping):
        raise UserError(f"{name} is {_show(values)}; needed is a mapping with its fields.")
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    former = {f.metadata["formerly"]: n for n, f in fields.items() if "formerly" in f.metadata}
    values = {former.get(key, key): value for key, value in values.items()}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise UserError(
                f"{name} has an unknown field {key!r}{hint}: was it written by a newer t5x_lite? "
                "Needed is then that version."
            )
    hints = typing.get_type_hints(cls)
    given = {}
    for key, field in fields.items():
        if key in values:
            given[key] = _value(hints[key], values[key], f"{name}.{key}")
        elif _has_no_default(field):
            raise UserError(f"{name} lacks the field {key!r}, which has no default.")
    try:
        return cls(**given)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _show(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def _has_no_default(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _value(annotation: Any, value: Any, where: str) -> Any:
    if annotation is Any:
        return value
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, where)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return from_json(annotation, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_value(arguments[0], member, where) for member in value)
        if len(arguments) == len(value):
            pairs = zip(arguments, value, strict=True)
            return tuple(_value(kind, member, where) for kind, member in pairs)
    if origin in (dict, collections.abc.Mapping) and isinstance(value, dict):
        return {key: _value(arguments[1], member, where) for key, member in value.items()}
    if isinstance(annotation, type):
        if issubclass(annotation, enum.Enum):
            return _enum(annotation, value, where)
        if type(value) is annotation:  # bool is no int
            return value
        if annotation is float and type(value) is int and abs(value) <= FINITE:
            return float(value)
    raise UserError(f"{where} is {_show(value)}; needed is {annotation}.")


def _enum(annotation: type[enum.Enum], value: Any, where: str) -> enum.Enum:
    known = [member.value for member in annotation]
    if value in known:
        return annotation(value)
    raise UserError(f"{where} is {_show(value)}; needed is one of {', '.join(map(repr, known))}.")


def _one_of(members: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in members:
        return None
    problems = []
    # An int stays one where both int and float are allowed.
    for member in sorted(members, key=lambda member: type(value) is not member):
        if member is not type(None):
            try:
                return _value(member, value, where)
            except UserError as error:
                problems.append((_is_meant(member, value), error))
    # The last of those that may be meant says most.
    raise max(reversed(problems), key=lambda problem: problem[0])[1]


def _is_meant(member: Any, value: Any) -> bool:
    """Whether the value is a word where members of an enumeration are named by words."""
    is_enum = isinstance(member, type) and issubclass(member, enum.Enum)
    return is_enum and isinstance(value, str)
