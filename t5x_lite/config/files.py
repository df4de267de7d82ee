"""gin files and flags -> layers of statements: which file is meant, and who overrides whom."""

import dataclasses
import difflib
import importlib.resources
import os
import pathlib
from collections.abc import Sequence

from etils import epath

from t5x_lite.config.errors import Location, Problem
from t5x_lite.config.parse import (
    Definition,
    Import,
    Include,
    parse_override,
    parse_text,
)
from t5x_lite.errors import UserError
from t5x_lite.text_files import read_text

_MAX_BYTES = 2**20  # a hundred times the longest there is


@dataclasses.dataclass(frozen=True)
class Layer:
    """The definitions of one file or flag; a later layer overrides an earlier one."""

    definitions: tuple[Definition, ...]
    is_command_line: bool = False


@dataclasses.dataclass
class Sources:
    """All that was read, lowest layer first; `files` names what was read, in that order."""

    layers: list[Layer] = dataclasses.field(default_factory=list)
    imports: list[Import] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)
    files: list[str] = dataclasses.field(default_factory=list)


def packaged_root() -> epath.Path:
    """The folder of the gin files that come with t5x_lite.

    It is inside the package once installed; in a checkout it stands beside it.
    """
    package = epath.Path(os.fspath(importlib.resources.files("t5x_lite")))  # type: ignore[call-overload]
    installed = package / "gin"
    return installed if installed.is_dir() else package.parent / "gin"


def read_sources(
    gin_files: Sequence[str],
    overrides: Sequence[tuple[str, str]],
    search_paths: Sequence[str],
) -> Sources:
    """Reads files, what they include, and then the overrides, each a (flag, NAME=VALUE).

    A file's own statements override what it includes. A file that several others include is read
    once, below all of them, so that it cannot undo what they changed.
    """
    reader = _Reader(tuple(search_paths))
    for name in gin_files:
        reader.read(name, included_from=None)
    for flag, text in overrides:
        statements, problems = parse_override(text, flag)
        definitions = tuple(each for each in statements if isinstance(each, Definition))
        reader.sources.layers.append(Layer(definitions, is_command_line=True))
        reader.sources.problems += problems
    return reader.sources


class _Reader:
    def __init__(self, search_paths: tuple[str, ...]):
        self.search_paths = search_paths
        self.sources = Sources()
        self._read: set[epath.Path] = set()

    def read(self, name: str, *, included_from: Include | None) -> None:
        """Appends the layers of a file: first those it includes, then its own."""
        path = self._find(name, included_from)
        if path is None or (included_from and path.resolve() in self._read):
            return
        self._read.add(path.resolve())
        try:
            text = read_text(path, most=_MAX_BYTES)
        except UserError as error:
            self.sources.problems.append(Problem(str(error)))
            return
        statements, problems = parse_text(text, os.fspath(path))
        self.sources.problems += problems
        for statement in statements:
            if isinstance(statement, Include):
                self.read(statement.path, included_from=statement)
        definitions = tuple(each for each in statements if isinstance(each, Definition))
        self.sources.layers.append(Layer(definitions))
        self.sources.files.append(os.fspath(path))
        self.sources.imports += [each for each in statements if isinstance(each, Import)]

    def _find(self, name: str, included_from: Include | None) -> epath.Path | None:
        folders = [epath.Path(folder) for folder in self.search_paths]
        if included_from is not None:
            folders.append(epath.Path(included_from.location.source).parent)
        folders.append(packaged_root())
        folders = list(dict.fromkeys(folders))
        for folder in folders:
            path = folder / name  # an absolute name stays itself
            if path.is_file():
                return path
        self.sources.problems.append(_not_found(name, folders, included_from))
        return None


def _not_found(name: str, folders: Sequence[epath.Path], included_from: Include | None) -> Problem:
    places = ", ".join(os.fspath(folder) for folder in folders)
    message = f"gin file {name!r} is not found; searched in {places}"
    similar = difflib.get_close_matches(name, _candidates(name, folders), n=1)
    if similar:
        message += f"; did you mean {similar[0]}?"
    if included_from is None:
        return Problem(message, Location(f"--gin_file={name}"))
    return Problem(message, included_from.location)


def _candidates(name: str, folders: Sequence[epath.Path]) -> list[str]:
    """Names of gin files like the wanted one: ours all, of other folders only its neighbours."""
    root = pathlib.Path(packaged_root())
    names = [os.fspath(path.relative_to(root)) for path in root.rglob("*.gin")]
    for folder in folders:
        parent = (folder / name).parent
        if parent.is_dir():
            within = os.path.dirname(name)
            names += [os.path.join(within, path.name) for path in parent.glob("*.gin")]
    return names
