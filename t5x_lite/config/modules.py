"""Modules that a configuration names: found from the working directory, imported last."""

import importlib
import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

from t5x_lite.config.errors import ConfigError, Location, Problem, did_you_mean
from t5x_lite.config.parse import Import


def named_by_flag(module: str, flag: str) -> Import:
    """The import that `--module_import=module` or a field of a config asks for."""
    return Import(module, None, Location(f"{flag}={module}"))


def missing_modules(imports: Sequence[Import]) -> list[Problem]:
    """A problem for each module that is not there; nothing of a user's is run to find out."""
    if imports:
        _search_working_directory()
    problems = []
    for each in imports:
        package = each.module.partition(".")[0]
        names = (each.module if each.member is None else f"{each.module}.{each.member}").split(".")
        if not all(name.isidentifier() for name in names):
            given = f"{each.module!r} is no name of a module; needed is one such as my_tasks"
            problems.append(Problem(given, each.location))
        elif package not in sys.modules and importlib.util.find_spec(package) is None:
            problems.append(_not_found(each))
    return problems


def import_modules(imports: Sequence[Import]) -> None:
    """Imports them in order, which registers their tasks."""
    _search_working_directory()
    for each in imports:
        try:
            module = importlib.import_module(each.module)
            if each.member is not None and not hasattr(module, each.member):
                importlib.import_module(f"{each.module}.{each.member}")
        except ModuleNotFoundError as error:
            wanted = f"{each.module}.{each.member}."
            if error.name is None or not wanted.startswith(f"{error.name}."):
                raise  # something that the module itself imports
            raise ConfigError([_not_found(each)]) from error


def _search_working_directory() -> None:
    """Puts the working directory first on the import path, as `python -m` does by itself."""
    if sys.path[:1] not in ([""], [os.getcwd()]):
        sys.path.insert(0, os.getcwd())


def _not_found(statement: Import) -> Problem:
    package = statement.module.partition(".")[0]
    if package in ("t5x", "flaxformer"):
        message = f"import of {statement.module}: T5X is not needed, all is here by class name"
        return Problem(message, statement.location)
    if statement.module.startswith("t5x_lite.tasks"):
        message = (
            f"{statement.module} is not found: in a checkout the tasks stand beside the package, "
            "and only installing it puts them inside: pip install --editable ."
        )
        return Problem(message, statement.location)
    folder = pathlib.Path.cwd()
    found = (*folder.glob("*.py"), *(file.parent for file in folder.glob("*/__init__.py")))
    hint = did_you_mean(package, [path.stem for path in found])
    name = (
        statement.module if statement.member is None else f"{statement.module}.{statement.member}"
    )
    message = f"module {name} is not found from {folder} or among the installed packages{hint}"
    return Problem(message, statement.location)
