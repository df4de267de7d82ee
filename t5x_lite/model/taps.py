"""What layers make on the way, for who asks: their states, the scores of their attention.

A model says `taps.tell("states", lambda: x)`. Unless that is asked for while it is traced, it is
nothing at all. Gradients go through what is told, unlike through `maxima`.
"""

import contextlib
import contextvars
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from jaxtyping import Array, Float

Told = dict[str, Float[Array, "..."]]


class _Asked(NamedTuple):
    names: frozenset[str]
    told: Told


_NOTHING = _Asked(frozenset(), {})
_ASKED: contextvars.ContextVar[_Asked] = contextvars.ContextVar("asked", default=_NOTHING)


@contextlib.contextmanager
def asking(names: Collection[str]) -> Iterator[Told]:
    """What of these is told inside, complete at the end. Enter it inside the function given to
    jax.jit: the cache of jit does not know of it.
    """
    told: Told = {}
    token = _ASKED.set(_Asked(frozenset(names), told))
    try:
        yield told
    finally:
        _ASKED.reset(token)


@contextlib.contextmanager
def within(part: str) -> Iterator[None]:
    """Puts the name of a part of the model before what is told inside."""
    asked, folder = _ASKED.get(), f"{part}/"
    names = [name.removeprefix(folder) for name in asked.names if name.startswith(folder)]
    with asking(names) as told:
        yield
    add({f"{folder}{name}": value for name, value in told.items()})


def apart() -> contextlib.AbstractContextManager[Told]:
    """What is told inside a loop's body, which has to return it; `add` takes what came out."""
    return asking(_ASKED.get().names)


def add(told: Told) -> None:
    """Tells what was told apart."""
    _ASKED.get().told.update(told)


def are_asked(*names: str) -> bool:
    """Whether any of these is."""
    return not _ASKED.get().names.isdisjoint(names)


def tell(name: str, make: Callable[[], Float[Array, "..."]]) -> None:
    """Tells what `make` gives, if it is asked for."""
    if are_asked(name):
        add({name: make()})
