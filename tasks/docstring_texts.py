"""The docstrings of installed packages, read from their source files and never imported.

About 19,000 texts (11 MB) of English that every installation of t5x_lite has on its disk. A text
belongs to the module it stands in, and modules are divided into splits before anything else is
done, so that no module is in two splits; a text that occurs in several modules is kept once.
"""

import ast
import dataclasses
import gc
import importlib.metadata
import importlib.util
import json
import os
import platform
import sysconfig
import warnings
from collections.abc import Iterator

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks.splits import digest, split_of

LIBRARIES = ("stdlib", "numpy", "scipy", "jax", "flax", "optax")
# Raise it when what is extracted changes: it is part of the name of the cache file.
_VERSION = 1
# Tests hardly have docstrings; site-packages inside the standard library's folder are not its own.
_SKIPPED_FOLDERS = {"site-packages", "dist-packages", "test", "tests", "testing", "idle_test"}
_MINIMUM_CHARS = 20


@dataclasses.dataclass(frozen=True)
class Docstring:
    """A text, the library and module it comes from, the split of that module."""

    text: str
    library: str
    module: str
    split: str


def load() -> list[Docstring]:
    """All docstrings in a random but fixed order; extracted once per set of package versions.

    They are cached under $XDG_CACHE_HOME (or ~/.cache), since several processes of a run need them
    and parsing 2,400 source files takes a while.
    """
    path = _cache_path()
    if not path.exists():
        _write(path, extract())
    return [Docstring(**json.loads(line)) for line in path.read_text().splitlines()]


def extract() -> list[Docstring]:
    """Reads the source files; `load` is what a task wants."""
    seen: set[str] = set()
    found = []
    for library in LIBRARIES:
        for module, source in _sources(library):
            for text in _docstrings(source):
                if len(text) >= _MINIMUM_CHARS and text not in seen:
                    seen.add(text)
                    found.append(Docstring(text, library, module, split_of(module)))
    return sorted(found, key=lambda docstring: digest(docstring.text))


def _sources(library: str) -> Iterator[tuple[str, bytes]]:
    """(module name, source) of each module of a library, in a fixed order."""
    root = epath.Path(_folder(library))
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(set(subfolders) - _SKIPPED_FOLDERS)
        for name in sorted(files):
            if name.endswith(".py"):
                path = epath.Path(folder) / name
                module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
                yield f"{library}.{module}", path.read_bytes()


def _folder(library: str) -> str:
    if library == "stdlib":
        return sysconfig.get_paths()["stdlib"]
    spec = importlib.util.find_spec(library)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"The package {library} is not installed: pip install {library}.")
    return spec.submodule_search_locations[0]


def _docstrings(source: bytes) -> Iterator[str]:
    tree = _parse(source)
    if tree is None:
        return
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text
        pending.extend(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))


def _parse(source: bytes) -> ast.Module | None:
    """The syntax tree; None for a template or a file that is broken on purpose."""
    # A tree has no cycles worth collecting, but so many objects that looking for them takes a third
    # of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            # The escape sequences of other people's strings.
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    finally:
        if collecting:
            gc.enable()


def _cache_path() -> epath.Path:
    versions = [f"python {platform.python_version()}", f"extraction {_VERSION}"]
    versions += [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES[1:]]
    root = epath.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return root / "t5x_lite" / f"docstrings-{digest(', '.join(versions))[:16]}.jsonl"


def _write(path: epath.Path, docstrings: list[Docstring]) -> None:
    """Writes all or nothing: processes that start together may extract together."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{os.getpid()}"
    with temporary.open("w") as file:
        file.writelines(
            json.dumps(dataclasses.asdict(docstring)) + "\n" for docstring in docstrings
        )
    temporary.replace(path)
