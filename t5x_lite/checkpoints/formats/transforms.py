"""How a tensor of a foreign file holds one of our parameters, to be read in slices and written."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from t5x_lite.checkpoints.formats.weights import Index, Shape, Stored


@runtime_checkable
class Transform(Protocol):
    """One of ours, of which a process may ask for any part, and a tensor of theirs."""

    def shape(self, ours: Shape) -> Shape:
        """What holds a parameter of this shape."""
        ...

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """A part of ours: one slice for each of its axes, or () for all of it."""
        ...

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Puts ours into the array that becomes theirs."""
        ...


@dataclasses.dataclass(frozen=True)
class Same:
    """Theirs is ours."""

    def shape(self, ours: Shape) -> Shape:
        """As it is."""
        return ours

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """The same part."""
        return theirs.read(index)

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """All of it."""
        theirs[...] = ours


@dataclasses.dataclass(frozen=True)
class Transposed:
    """Theirs has the axes of ours in reverse: [out, in], as torch's Linear keeps a kernel."""

    def shape(self, ours: Shape) -> Shape:
        """In reverse."""
        return ours[::-1]

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """The turned part, turned back."""
        return np.ascontiguousarray(theirs.read(index[::-1]).T)

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Turned."""
        theirs[...] = ours.T


@dataclasses.dataclass(frozen=True)
class Columns:
    """Theirs holds `parts` of ours side by side along its last axis, each as wide as the others;
    this is number `part`, counted from 0.
    """

    part: int
    parts: int

    def shape(self, ours: Shape) -> Shape:
        """All parts together."""
        return (*ours[:-1], ours[-1] * self.parts)

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """Of all other parts nothing is read."""
        *rest, columns = index or (slice(None),) * len(theirs.shape)
        width = theirs.shape[-1] // self.parts
        first, last, _ = columns.indices(width)
        offset = self.part * width
        return theirs.read((*rest, slice(offset + first, offset + last)))

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Into its own columns."""
        width = ours.shape[-1]
        theirs[..., self.part * width : (self.part + 1) * width] = ours


@dataclasses.dataclass(frozen=True)
class Split:
    """Theirs has our last axis, or with `transposed` our first one behind the second, as two: heads
    of `head_dim` numbers each. A table of names does not know that, see `names.of_heads`.
    """

    transposed: bool = False
    head_dim: int = 1

    def shape(self, ours: Shape) -> Shape:
        """With heads apart."""
        *rest, joined = ours[::-1] if self.transposed else ours
        return (*rest, joined // self.head_dim, self.head_dim)

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """Of all heads that are not asked for nothing is read."""
        index = index or (slice(None),) * (len(theirs.shape) - 1)
        *rest, columns = index[::-1] if self.transposed else index
        first, last, _ = columns.indices(theirs.shape[-2] * self.head_dim)
        begin, end = first // self.head_dim, -(-last // self.head_dim)
        heads = theirs.read((*rest, slice(begin, end), slice(None)))
        joined = heads.reshape(*heads.shape[:-2], -1)
        offset = begin * self.head_dim
        part = joined[..., first - offset : last - offset]
        return np.ascontiguousarray(part.T) if self.transposed else part

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """Heads apart."""
        theirs[...] = (ours.T if self.transposed else ours).reshape(theirs.shape)


@dataclasses.dataclass(frozen=True)
class Lifted:
    """Theirs has two axes of length 1 in front."""

    def shape(self, ours: Shape) -> Shape:
        """With them."""
        return (1, 1, *ours)

    def read(self, theirs: Stored, index: Index) -> np.ndarray:
        """Without them."""
        whole = slice(None)
        return theirs.read((whole, whole, *index) if index else ())[0, 0]

    def write(self, ours: np.ndarray, theirs: np.ndarray) -> None:
        """All of it."""
        theirs[0, 0] = ours


SAME = Same()
TRANSPOSED = Transposed()
