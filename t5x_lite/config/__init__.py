"""gin files and flags -> frozen dataclasses: the only gin besides the command line.

The grammar is gin's own (`gin.config_parser`), its runtime is not used: that one accepts misspelt
macros and scopes in silence, executes imports while it parses, lets the order of statements decide
and stops at the first error. Here all statements are read first; then the root is built from those
that count; then all problems are shown at once, or none.

What counts: a flag over files, a later `--gin_file` over an earlier one, a file's own statements
over what it includes, of two included files the later one. The order of lines never matters.

    resolved = resolve(TrainConfig, ["models/t5_1_1/small.gin", "recipes/pretrain.gin"],
                       overrides=[("--gin.MODEL_DIR", "MODEL_DIR=/tmp/run"), ...])
    resolved.config            # a TrainConfig
    resolved.operative_config  # a gin text that gives the same config again

No JAX and no TensorFlow here: a mistake shows in a fraction of a second.
"""

import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

from t5x_lite.config.build import build
from t5x_lite.config.definitions import Definitions
from t5x_lite.config.errors import ConfigError, Location, Problem
from t5x_lite.config.files import packaged_root, read_sources
from t5x_lite.config.modules import import_modules, missing_modules, named_by_flag
from t5x_lite.config.operative import operative_text
from t5x_lite.config.parse import Definition, Import, Macro, parse_text
from t5x_lite.config.unused import unused_definitions

__all__ = [
    "ConfigError",
    "Import",
    "Location",
    "Problem",
    "Resolved",
    "defined_by",
    "import_modules",
    "imports_in",
    "imports_of",
    "missing_modules",
    "named_by_flag",
    "packaged_root",
    "resolve",
]

Root = TypeVar("Root")


def imports_of(gin_file: str) -> tuple[Import, ...]:
    """What a gin file imports, such as the config.gin of a run; nothing of it is built."""
    return tuple(read_sources([gin_file], (), (".",)).imports)


def imports_in(gin_text: str, source: str) -> tuple[Import, ...]:
    """What a gin text imports, such as the one that a checkpoint carries."""
    statements, _ = parse_text(gin_text, source)
    return tuple(each for each in statements if isinstance(each, Import))


def defined_by(
    gin_files: Sequence[str],
    *,
    overrides: Sequence[tuple[str, str]] = (),
    search_paths: Sequence[str] = (".",),
) -> dict[str, object]:
    """Every name that files and flags define (`MACRO`, `scope/Class.field`), with the value that
    counts; mistakes are left for `resolve` to tell.
    """
    layers = read_sources(gin_files, overrides, search_paths).layers
    every: list[Definition] = [each for layer in layers for each in layer.definitions]
    return {str(each): each.value for each in every}


def is_macro(value: object) -> bool:
    """Whether a value of `defined_by` is that of another name, or one that somebody has to give."""
    return isinstance(value, Macro)


@dataclasses.dataclass(frozen=True)
class Resolved(Generic[Root]):
    """A config, the gin text that reproduces it, what to import before use, and the files read."""

    config: Root
    operative_config: str
    imports: tuple[Import, ...]
    files: tuple[str, ...]


def resolve(
    root: type[Root],
    gin_files: Sequence[str],
    *,
    overrides: Sequence[tuple[str, str]] = (),
    search_paths: Sequence[str] = (".",),
    imports: Sequence[Import] = (),
) -> Resolved[Root]:
    """Builds `root`, or raises a ConfigError that lists everything that is wrong.

    Args:
      root: The dataclass of the command, such as TrainConfig.
      gin_files: Looked for in `search_paths` and among the files that come with t5x_lite.
      overrides: Pairs (flag, "NAME=VALUE"); the value needs no quotes.
      search_paths: Folders, searched in order.
      imports: Modules to import besides those that the files name.
    """
    sources = read_sources(gin_files, overrides, search_paths)
    definitions = Definitions(sources.layers)
    built = build(root, definitions)
    all_imports = tuple({each.location: each for each in (*sources.imports, *imports)}.values())
    problems = [*sources.problems, *definitions.problems]
    # Where text could not be read, what seems missing or unused may stand in it.
    if not sources.problems:
        problems += [*built.problems, *unused_definitions(root, definitions, built)]
    problems += missing_modules(all_imports)
    if problems:
        raise ConfigError(problems)
    assert isinstance(built.config, root), "no problem was reported, so there is a config"
    text = operative_text(definitions, built, all_imports)
    return Resolved(built.config, text, all_imports, tuple(sources.files))
