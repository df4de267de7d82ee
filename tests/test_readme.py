"""Every command of the README runs, one after the other in one folder, as a reader would type them.

A block marked `dry-run` is checked with --dry_run: it is a job for bigger machines. `make` targets
are what CI itself calls.
"""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    """(what stands behind the language, text) of each fenced block."""
    return [(info.strip(), text) for name, info, text in BLOCK.findall(README) if name == language]


def commands(text: str) -> list[str]:
    """One shell command each; a backslash continues a line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def run(
    command: str, folder: pathlib.Path, environment: dict[str, str]
) -> subprocess.CompletedProcess:
    """A shell command in `folder`."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def preparation() -> list[str]:
    """The commands that write the reader's text and vocabulary."""
    (block,) = [text for _, text in blocks("bash") if "t5x_lite vocab" in text]
    return [command for command in commands(block) if "inspect" not in command]


@pytest.fixture
def folder(tmp_path):
    """An empty folder that holds the README's own my_tasks.py, beside the launch scripts."""
    (tasks,) = [text for _, text in blocks("python") if "TaskRegistry" in text]
    (tmp_path / "my_tasks.py").write_text(tasks)
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    return tmp_path


@pytest.mark.slow
def test_every_command_runs(folder, users_shell):
    """In order: later ones use what earlier ones wrote."""
    for info, text in blocks("bash"):
        for command in commands(text):
            done = run(command + (" --dry_run" if info == "dry-run" else ""), folder, users_shell)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (folder / "runs/mine/loss.png").exists()
    (python,) = [text for _, text in blocks("python") if "t5x_lite.load(" in text]
    (folder / "use.py").write_text(python)
    done = run("python use.py", folder, users_shell)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 32)"
    (python,) = [text for _, text in blocks("python") if "peft.save(" in text]
    (folder / "export.py").write_text(python)
    done = run("python export.py", folder, users_shell)
    assert done.returncode == 0, done.stderr
    assert (folder / "peft/adapter_model.safetensors").exists()


@pytest.mark.slow
def test_the_plugin_checks_the_readers_task(folder, users_shell):
    """conftest.py and the test as shown, on a simulated mesh, in a process of their own."""
    (conftest,) = [text for _, text in blocks("python") if text.startswith("pytest_plugins")]
    (test,) = [text for _, text in blocks("python") if "def test_" in text]
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_my_tasks.py").write_text(test)
    for command in preparation():
        run(command, folder, users_shell)
    done = run("python -m pytest -q -p no:cacheprovider", folder, users_shell)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_the_shares_of_a_mixture_are_as_shown(capsys):
    """What the lines print is what stands below them."""
    (python,) = [text for _, text in blocks("python") if "mixture_shares(" in text]
    exec(compile(python, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 5 and f"```\n{printed}```" in README


def test_a_make_target_that_the_readme_names_exists():
    """The front door must open."""
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
