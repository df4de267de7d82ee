"""What a forward pass notes beside its result, for who collects it.

Parts of a model note arrays by names. Unless something collects while they are traced, that is
nothing at all. What is noted inside a loop's body has to leave it as a result: `apart`, `add`.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

from jaxtyping import Array

Found = dict[str, Array]


class Collection:
    """One kind of such arrays. Of two of one name `join` makes one; without it the later stays."""

    def __init__(self, kind: str, join: Callable[[Array, Array], Array] | None = None):
        self._found: contextvars.ContextVar[Found | None] = contextvars.ContextVar(
            kind, default=None
        )
        self._join = join

    @contextlib.contextmanager
    def collecting(self) -> Iterator[Found]:
        """What is noted inside, complete at the end. Enter it inside the function given to jax.jit:
        the cache of jit does not know of it.
        """
        found: Found = {}
        token = self._found.set(found)
        try:
            yield found
        finally:
            self._found.reset(token)

    @property
    def is_on(self) -> bool:
        """Whether to note is of use, for what has to be computed first."""
        return self._found.get() is not None

    def note(self, name: str, value: Array) -> None:
        """Adds an array."""
        found = self._found.get()
        if found is None:
            return
        if self._join is not None and name in found:
            value = self._join(found[name], value)
        found[name] = value

    @contextlib.contextmanager
    def apart(self) -> Iterator[Found]:
        """What is noted inside a loop's body, which has to return it; `add` takes what came out."""
        if not self.is_on:
            yield {}
            return
        with self.collecting() as found:
            yield found

    def add(self, found: Found, part: str | None = None) -> None:
        """Notes what was collected apart, with the name of a part of the model in front."""
        for name, value in found.items():
            self.note(name if part is None else f"{part}/{name}", value)
