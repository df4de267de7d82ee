"""What a gin file may configure: dataclasses of t5x_lite's rooms, by class name.

They stand in config.py or, called ...Config, in another file of the room. All these files are
imported for every command, so they need the standard library only.
"""

import dataclasses
import functools
import importlib
import pathlib
import re
import types
import typing
from collections.abc import Iterator, Mapping

from t5x_lite.config import t5x_names
from t5x_lite.config.errors import did_you_mean
from t5x_lite.config.parse import Definition

_CONFIG_CLASS = re.compile(rb"\nclass \w+Config\b")


@functools.cache
def configurables() -> Mapping[str, type]:
    """Class name -> dataclass, of every room of the package; without those that others extend."""
    found: dict[str, type] = {}
    for module in map(importlib.import_module, _modules()):
        for name, member in vars(module).items():
            if dataclasses.is_dataclass(member) and member.__module__ == module.__name__:
                assert isinstance(member, type) and name not in found, f"{name} is defined twice"
                found[name] = member
    bases = {base for cls in found.values() for base in cls.__mro__[1:]}
    return types.MappingProxyType({name: cls for name, cls in found.items() if cls not in bases})


def _modules() -> Iterator[str]:
    package = pathlib.Path(__file__).resolve().parents[1]
    for file in sorted(package.glob("*/*.py")):
        if file.name == "config.py" or _CONFIG_CLASS.search(file.read_bytes()):
            yield f"{package.name}.{file.parent.name}.{file.stem}"


def find(selector: str) -> type | None:
    """The class a selector means: its name, perhaps after its module or the end of its module."""
    qualifier, _, name = selector.rpartition(".")
    found = configurables().get(name)
    if found is None or not f".{found.__module__}".endswith(f".{qualifier}" if qualifier else ""):
        return None
    return found


def unknown_selector(selector: str, field: str = "") -> str:
    """A message about a selector, or a parameter of it, that is not ours."""
    shown = f"{selector}.{field}" if field else selector
    ours = t5x_names.replacement(selector, field)
    if ours:
        return f"{shown} is a name of T5X; here it is {ours}"
    last = selector.rpartition(".")[2]
    return f"nothing configurable is called {selector}{did_you_mean(last, configurables())}"


@functools.cache
def field_types(cls: type) -> Mapping[str, object]:
    """Field name -> annotation, with names resolved."""
    return types.MappingProxyType(typing.get_type_hints(cls))


def options(annotation: object) -> tuple[object, ...]:
    """The members of a union, and for a class what extends it; else the annotation itself."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return tuple(each for member in typing.get_args(annotation) for each in options(member))
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        extending = [cls for cls in configurables().values() if issubclass(cls, annotation)]
        return tuple(extending) or (annotation,)
    return (annotation,)


def is_configurable(annotation: object) -> bool:
    """Whether an annotation is one of our dataclasses."""
    return isinstance(annotation, type) and dataclasses.is_dataclass(annotation)


def is_tuple_of_configs(annotation: object) -> bool:
    """Whether an annotation is a tuple of any length of our dataclasses."""
    arguments = typing.get_args(annotation)
    is_tuple = typing.get_origin(annotation) is tuple and arguments[-1] is Ellipsis
    return is_tuple and all(is_configurable(each) for each in options(arguments[0]))


def built_by_itself(field: dataclasses.Field[object], annotation: object) -> type | None:
    """The class of a field that needs no `@Class()`: what it would hold is clear without, or said
    by its metadata {"built_unless_bound": Class} where it may be one of several.
    """
    if chosen := field.metadata.get("built_unless_bound"):
        assert isinstance(chosen, type), "metadata names a class"
        return chosen
    if not isinstance(annotation, type) or not dataclasses.is_dataclass(annotation):
        return None
    if options(annotation) != (annotation,):
        return None
    has_default = field.default is not dataclasses.MISSING
    other_factory = field.default_factory not in (dataclasses.MISSING, annotation)
    return None if has_default or other_factory else annotation


@functools.cache
def renamed_fields(cls: type) -> Mapping[str, str]:
    """Names that fields had once -> those they have, from the metadata {"formerly": name}: what
    users and runs wrote before stays valid.
    """
    fields = dataclasses.fields(cls)
    return {f.metadata["formerly"]: f.name for f in fields if "formerly" in f.metadata}


def built_if_bound(field: dataclasses.Field[object], annotation: object) -> type | None:
    """The class of an optional field that is built as soon as any statement binds one of its
    parameters, and left None otherwise: fields with the metadata {"built_if_bound": True}.
    """
    if not field.metadata.get("built_if_bound"):
        return None
    (cls,) = (each for each in options(annotation) if is_configurable(each))
    assert isinstance(cls, type), "is_configurable says so"
    return cls


def if_missing(definition: Definition) -> str:
    """What may be meant instead by who gives no value to what a definition binds: the metadata
    {"if_missing": ...} of its field, behind a semicolon.
    """
    cls = find(definition.selector)
    if definition.is_macro or cls is None:
        return ""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    name = renamed_fields(cls).get(definition.field, definition.field)
    advice = fields[name].metadata.get("if_missing")
    return f"; {advice}" if advice else ""
