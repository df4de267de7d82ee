"""Users' modules: found from the working directory, run only when the configuration is right."""

import sys

import pytest

from t5x_lite import config

FLAG = "--module_import"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the working directory and forgets it afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    before = set(sys.modules)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_is_found_from_the_working_directory(module):
    """A console script, unlike `python -m`, does not look there by itself."""
    module("tasks_of_mine", "LOADED = True")
    imports = [config.named_by_flag("tasks_of_mine", FLAG)]
    assert config.missing_modules(imports) == []
    assert "tasks_of_mine" not in sys.modules
    config.import_modules(imports)
    assert sys.modules["tasks_of_mine"].LOADED


def test_nothing_is_imported_while_the_configuration_is_wrong(module, problems, tiny_model):
    module("explosive", "raise SystemExit('must not run')")
    (message,) = problems(f"import explosive\n{tiny_model}", flags=["EMBED_DIM=x"])
    assert "needs int" in message


def test_imports_of_all_files_are_collected_in_order(module, resolve, tiny_model):
    module("first", "")
    module("second", "thing = 1")
    text = f"from __gin__ import dynamic_registration\nimport first\n{tiny_model}"
    resolved = resolve(text, "from second import thing")
    assert [(each.module, each.member) for each in resolved.imports] == [
        ("first", None),
        ("second", "thing"),
    ]
    config.import_modules(resolved.imports)
    assert sys.modules["second"].thing == 1


def test_a_missing_module_is_told_with_the_nearest_and_its_line(module, problems, tiny_model):
    module("my_tasks", "")
    (message,) = problems(f"import my_task\n{tiny_model}")
    assert message.startswith("file_0.gin:1: module my_task is not found from ")
    assert message.endswith("did you mean my_tasks?")


def test_t5x_itself_need_not_be_imported(problems, tiny_model):
    (message,) = problems(f"from t5x import partitioning\n{tiny_model}")
    assert "T5X is not needed" in message


def test_a_missing_part_of_a_package_is_told(module):
    module("package/__init__", "")
    imports = [config.named_by_flag("package.tasks", FLAG)]
    with pytest.raises(
        config.ConfigError, match="--module_import=package.tasks: module package.tasks"
    ):
        config.import_modules(imports)


def test_our_tasks_need_an_installed_package(module):
    """In a checkout they stand beside it, as `tasks`."""
    imports = [config.named_by_flag("t5x_lite.tasks.of_tomorrow", FLAG)]
    with pytest.raises(config.ConfigError, match="stand beside the package, .* pip install"):
        config.import_modules(imports)


@pytest.mark.parametrize("name", ["", ".tasks", "my..tasks", "my tasks", "a/b", "a\0b", "1a"])
def test_what_is_no_name_of_a_module_is_told(name, module):
    (problem,) = config.missing_modules([config.named_by_flag(name, FLAG)])
    assert f"{name!r} is no name of a module" in str(problem)


def test_what_a_users_module_lacks_is_his_own_error(module):
    """Its traceback shows him the line; ours would hide it."""
    module("needs_more", "import not_installed_anywhere")
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        config.import_modules([config.named_by_flag("needs_more", FLAG)])
