"""The fields of a config.json, checked: each error says what the file has and what is needed."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from t5x_lite.errors import UserError

Values = Mapping[str, Any]
_Choice = TypeVar("_Choice")


def check_present(values: Values, names: Iterable[str]) -> None:
    """Refuses a file without one of the fields that size the model."""
    if absent := [name for name in names if values.get(name) is None]:
        raise UserError(f"config.json lacks {', '.join(absent)}: they size the model.")


def check_sizes(values: Values, most: Mapping[str, int]) -> None:
    """Refuses numbers that are none, or that size no model there is; a field may be absent."""
    for name, bound in most.items():
        value = values.get(name)
        if value is not None and (type(value) is not int or not 1 <= value <= bound):
            raise UserError(
                f"config.json has {name}={value!r}; needed is a number from 1 to {bound:,}."
            )


def check_switches(values: Values, names: Iterable[str]) -> None:
    """Refuses what is neither true nor false."""
    for name in names:
        if name in values and type(values[name]) is not bool:
            raise UserError(f"config.json has {name}={values[name]!r}; needed is true or false.")


def check_rates(values: Values, names: Iterable[str]) -> None:
    """Refuses what is no rate of dropout."""
    for name in names:
        rate = values.get(name, 0.0)
        if type(rate) not in (int, float) or not 0 <= rate < 1:
            raise UserError(
                f"config.json has {name}={rate!r}; needed is a number from 0 to below 1."
            )


def positive(values: Values, name: str, default: float) -> float:
    """A number above 0."""
    value = values.get(name, default)
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise UserError(f"config.json has {name}={value!r}; needed is a number above 0.")
    return value


def token(values: Values, name: str, default: int) -> int:
    """The id of a special token; `vocab_size` is known to be a number."""
    value = values.get(name, default)
    if type(value) is not int or not 0 <= value < values["vocab_size"]:
        raise UserError(
            f"config.json has {name}={value!r}; needed is an id from 0 to below "
            f"vocab_size={values['vocab_size']:,}."
        )
    return value


def check_fixed(values: Values, needed: Values, model: str) -> None:
    """Refuses another value of what is built into a model here; a field may be absent."""
    for name, value in needed.items():
        if values.get(name) not in (None, value):
            raise UserError(
                f"config.json has {name}={values[name]}; {model} here has {value} built in."
            )


def choice(values: Values, name: str, default: str, choices: Mapping[str, _Choice]) -> _Choice:
    """What the name in a field stands for."""
    value = values.get(name, default)
    if not isinstance(value, str) or value not in choices:
        raise UserError(f"config.json has {name}={value!r}; needed is one of {', '.join(choices)}.")
    return choices[value]
