"""Whether a value is of the type that a field declares, and that value in its final form."""

import collections.abc
import enum
import typing
from collections.abc import Callable

from t5x_lite.config.configurables import find, is_configurable, is_tuple_of_configs, options
from t5x_lite.config.errors import did_you_mean
from t5x_lite.config.parse import Reference

Build = Callable[[Reference], object]

_WORDS = {
    int: "int",
    float: "float",
    bool: "True or False",
    str: "str",
    type(None): "None",
}


class WrongValueError(Exception):
    """A value, perhaps a member of a container, of another type than needed."""

    def __init__(self, value: object, needed: str, hint: str = ""):
        super().__init__(value, needed, hint)
        self.value = value
        self.needed = needed
        self.hint = hint


class RefusedValueError(Exception):
    """A value that the type itself refuses, with its reason."""


def convert(value: object, annotation: object, build: Build) -> object:
    """A gin value as the annotation wants it: enums by value, sequences as tuples, int as float.

    `build` makes the config that a reference stands for.
    """
    if isinstance(value, Reference) and is_tuple_of_configs(annotation):
        value = (value,)  # what was one config once may be several now
    members = [member for member in options(annotation) if _same_kind(value, member)]
    hint = "" if members else _hint(value, options(annotation))
    for member in sorted(members, key=lambda member: type(value) is not member):
        try:
            return _convert_one(value, member, build)
        except WrongValueError as error:
            if len(members) == 1 and isinstance(value, tuple | list | dict):
                raise  # it names the wrong member, which says more than the type of the whole
            hint = error.hint
    raise WrongValueError(value, f"needs {describe(annotation)}", hint)


def _same_kind(value: object, wanted: object) -> bool:
    """Whether a value may be meant for a type, though it may still be wrong inside."""
    if isinstance(value, Reference):
        return is_configurable(wanted) and value.called and find(value.selector) is wanted
    if isinstance(value, tuple | list):
        return typing.get_origin(wanted) in (tuple, list)
    if isinstance(value, dict):
        return typing.get_origin(wanted) in (dict, collections.abc.Mapping)
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return value is not None
    return type(value) is wanted or (type(value) is int and wanted is float)  # bool is no int


def _convert_one(value: object, wanted: object, build: Build) -> object:
    if isinstance(value, Reference):
        return build(value)
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return _enum(value, wanted)
    if isinstance(value, dict):
        keys, values = typing.get_args(wanted)
        return {
            convert(key, keys, build): convert(member, values, build)
            for key, member in value.items()
        }
    if isinstance(value, tuple | list):
        return _sequence(value, wanted, build)
    if wanted is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise RefusedValueError("needed is a number of less than 309 digits") from None
    return value


def _sequence(value: tuple | list, wanted: object, build: Build) -> tuple | list:
    arguments = typing.get_args(wanted)
    make = list if typing.get_origin(wanted) is list else tuple
    if make is list or arguments[-1] is Ellipsis:
        return make(convert(member, arguments[0], build) for member in value)
    if len(arguments) != len(value):
        raise WrongValueError(value, f"needs {describe(wanted)}")
    pairs = zip(value, arguments, strict=True)
    return tuple(convert(member, argument, build) for member, argument in pairs)


def _enum(value: object, wanted: type[enum.Enum]) -> enum.Enum:
    for member in wanted:
        # By type too: True == 1, and an enum may have a bool among its values.
        if type(member.value) is type(value) and member.value == value:
            return member
    try:
        wanted(value)
    except ValueError as error:
        if not str(error).endswith(f"is not a valid {wanted.__qualname__}"):
            raise RefusedValueError(str(error)) from error
    similar = did_you_mean(str(value), [str(member.value) for member in wanted])
    raise WrongValueError(value, f"needs {describe(wanted)}", similar.removeprefix("; "))


def describe(annotation: object) -> str:
    """A type in the user's words."""
    members = options(annotation)
    if len(members) > 1:
        return " or ".join(describe(member) for member in members)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list or (origin is tuple and Ellipsis in arguments):
        return f"a tuple of ({describe(arguments[0])})"
    if origin is tuple:
        return f"a tuple ({', '.join(describe(argument) for argument in arguments)})"
    if origin in (dict, collections.abc.Mapping):
        return f"a mapping {{{describe(arguments[0])}: {describe(arguments[1])}}}"
    assert isinstance(annotation, type), f"no config field may have the type {annotation}"
    if is_configurable(annotation):
        return f"@{annotation.__name__}()"
    if issubclass(annotation, enum.Enum):
        return "one of " + ", ".join(repr(member.value) for member in annotation)
    return _WORDS[annotation]


def _hint(value: object, members: tuple[object, ...]) -> str:
    """How to write what was probably meant, if the value's kind is wrong."""
    if isinstance(value, Reference):
        if not value.called and find(value.selector) in members:
            return f"a reference needs its parentheses: {value}()"
    elif isinstance(value, float) and int in members and value.is_integer():
        return f"write {int(value)}"
    elif isinstance(value, str):
        if any(typing.get_origin(member) is tuple for member in members):
            return f"a tuple of one needs a comma: ({value!r},)"
        if bool in members and value.lower() in ("true", "false"):
            return f"write {value.capitalize()}"
    elif isinstance(value, int | float) and not isinstance(value, bool) and str in members:
        return f"quote it: \"'{value}'\" on the command line, '{value}' in a file"
    return ""
