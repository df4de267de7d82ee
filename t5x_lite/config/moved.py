"""What users and runs wrote before a class gave some of its parameters to others stays valid."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from t5x_lite.config.configurables import field_types, find
from t5x_lite.config.parse import Definition, Reference


def as_now(definitions: Sequence[Definition]) -> Iterator[Definition]:
    """The definitions of a file in today's names.

    A field with the metadata {"formerly_named": {name: Class}} held one of these names, and the
    parameters of each Class stood beside it: the name becomes a reference to its class, and they
    become its own. Those of a class that the file did not choose had no effect and go.
    """
    chosen: dict[tuple[str, type], type] = {}
    for definition in definitions:
        named = _named(definition).get(definition.field, {})
        if isinstance(definition.value, str) and definition.value in named:
            owner = find(definition.selector)
            assert owner is not None, "a field of it was found"
            chosen[definition.scope, owner] = named[definition.value]
    for definition in definitions:
        classes = _named(definition)
        owner = find(definition.selector)
        if definition.field in classes and isinstance(definition.value, str):
            cls = classes[definition.field].get(definition.value)
            value = definition.value if cls is None else Reference("", cls.__name__, called=True)
            yield dataclasses.replace(definition, value=value)
        elif owner is None or not classes or definition.field in field_types(owner):
            yield definition
        else:
            takers = [cls for named in classes.values() for cls in named.values()]
            now = next((cls for cls in takers if definition.field in field_types(cls)), owner)
            if now is owner or chosen.get((definition.scope, owner), now) is now:
                yield dataclasses.replace(definition, selector=now.__name__)


def _named(definition: Definition) -> Mapping[str, Mapping[str, type]]:
    """Of the class that a definition is of: fields that held names -> these names -> classes."""
    cls = None if definition.is_macro else find(definition.selector)
    if cls is None:
        return {}
    fields = dataclasses.fields(cls)
    return {f.name: f.metadata["formerly_named"] for f in fields if "formerly_named" in f.metadata}
