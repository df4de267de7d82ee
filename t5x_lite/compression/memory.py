"""What a teacher said of rows, kept on disk: in later epochs it is read and not computed again.

A row's key is a hash of the teacher, of what is wanted of it, in which shape and dtype (activations
of an accelerator are others than a CPU's), and of all features of the row, so what changes from
epoch to epoch (masks, packing) is asked anew. One SQLite file holds the rows, as the bytes that the
devices gave.
"""

import contextlib
import functools
import hashlib
import pathlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Array, Shaped

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Outputs, Scores, Wanted

_FILE = "teacher.sqlite"
# Before the names of features that a teacher said.
_SAID = "teacher/"

Rows = Mapping[str, Shaped[np.ndarray, "rows ..."]]
Said = dict[str, Shaped[Array, "rows ..."]]


def said_of(outputs: Outputs) -> Said:
    """What of outputs is of rows, by names of features; weights of heads are not."""
    heads = {f"{_SAID}heads/{name}": scores.hidden for name, scores in outputs.heads.items()}
    hidden = {f"{_SAID}hidden/{name}": each for name, each in outputs.hidden.items()}
    inside = {f"{_SAID}inside/{n}": each.swapaxes(0, 1) for n, each in outputs.inside.items()}
    return heads | hidden | inside


def with_said(outputs: Outputs, batch: Mapping[str, Array]) -> Outputs:
    """The outputs with what a batch says of them, where it says it: that is then not computed."""
    given = {**said_of(outputs), **{n: each for n, each in batch.items() if n.startswith(_SAID)}}

    def scores_of(name: str, scores: Scores) -> Scores:
        hidden = given[f"{_SAID}heads/{name}"]
        return Scores(hidden, scores.weights, scores.head, scores.chunk)

    return outputs._replace(
        heads={name: scores_of(name, scores) for name, scores in outputs.heads.items()},
        hidden={name: given[f"{_SAID}hidden/{name}"] for name in outputs.hidden},
        inside={n: given[f"{_SAID}inside/{n}"].swapaxes(0, 1) for n in outputs.inside},
    )


class Memory:
    """A folder's file of rows.

    Args:
        teacher: what changes with its parameters.

    Raises:
        UserError: the folder is in an object store, or several processes would write the file.
    """

    def __init__(self, folder: str, teacher: str, wanted: Wanted):
        if "://" in folder or jax.process_count() > 1:
            raise UserError(
                f"teacher_cache={folder} in {jax.process_count()} processes: needed are a folder "
                "of this machine and one process, or none: --gin.TEACHER_CACHE=None"
            )
        self._folder = pathlib.Path(folder)
        self._of_all = hashlib.sha256(f"{teacher}{wanted}".encode())

    @functools.cached_property
    def _file(self) -> sqlite3.Connection:
        """Not there before a row is asked for."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = sqlite3.connect(self._folder / _FILE)
        file.execute("CREATE TABLE IF NOT EXISTS said (row BLOB PRIMARY KEY, bytes BLOB)")
        return file

    def recall(
        self, rows: Rows, shapes: Mapping[str, jax.ShapeDtypeStruct], ask: Callable[[], Rows]
    ) -> Rows:
        """What was said of these rows; if it was not of each, what `ask` gives, kept from now on.

        Args:
            shapes: of what is said of all rows.
        """
        keys = self._keys(rows, shapes)
        with self._errors():
            found = [
                self._file.execute("SELECT bytes FROM said WHERE row=?", (key,)).fetchone()
                for key in keys
            ]
        if all(found):
            return _joined([content for (content,) in found], shapes)
        said = ask()
        lines = [b"".join(said[name][row].tobytes() for name in shapes) for row in range(len(keys))]
        with self._errors(), self._file:
            self._file.executemany(
                "INSERT OR REPLACE INTO said VALUES (?, ?)", zip(keys, lines, strict=True)
            )
        return said

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the file cannot do is an error that names it and the flag."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"teacher_cache={self._folder}: {error} ({_FILE} in it); needed is a folder, new "
                "or of an earlier run, with room and without another run that writes: "
                "--gin.TEACHER_CACHE=... (None: no cache)"
            ) from error

    def _keys(self, rows: Rows, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> list[bytes]:
        of_all, keys = self._of_all.copy(), []
        for name, shape in shapes.items():
            of_all.update(f"{name}{shape.dtype}{shape.shape[1:]}".encode())
        for row in range(len(next(iter(rows.values())))):
            key = of_all.copy()
            for name in sorted(rows):
                key.update(f"{name}{rows[name].dtype}{rows[name].shape[1:]}".encode())
                key.update(rows[name][row].tobytes())
            keys.append(key.digest())
        return keys


def _joined(contents: Sequence[bytes], shapes: Mapping[str, jax.ShapeDtypeStruct]) -> Rows:
    """The rows of their bytes."""
    found, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape.shape[1:])) * shape.dtype.itemsize
        parts = [content[start : start + size] for content in contents]
        whole = np.frombuffer(b"".join(parts), shape.dtype)
        found[name] = whole.reshape(len(contents), *shape.shape[1:])
        start += size
    return found
