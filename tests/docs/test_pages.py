"""Every command of the README and of docs/ runs, page by page, as a reader would type it.

docs/getting_started.md begins in an empty folder, the other pages in a copy of what it leaves
behind. The README has nothing that the former has not, so it need not run by itself. Blocks run in
order. What is said of a block stands above it:

    <!-- dry-run -->           each command runs with --dry_run: a job for bigger machines
    <!-- make -->              targets that CI itself calls: they have to exist
    <!-- printed -->           (text) what the block before has printed, letter by letter
    ```python title="FILE"     (any language) is written to FILE, which later commands use

Other bash and python blocks are executed; text and console show output and are not read; what a
diff adds, and the lines around it, stand in the file that it names (test_diffs.py).
"""

import dataclasses
import importlib
import pathlib
import re
import shutil
import subprocess

import pytest

from t5x_lite.config import packaged_root
from t5x_lite.config.t5x_names import macro_replacement
from tests.docs import warm

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIN = pathlib.Path(packaged_root())
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
FIRST = "docs/getting_started.md"
WRITTEN_BY_RUNS = ("config.gin", "quality.md", "report.md")
MARKS = ("", "dry-run", "make", "printed")
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\S*)(?: title=\"(?P<title>[^\"]+)\")?[^\n]*\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: its language, what is said of it, the file it is shown as."""

    language: str
    mark: str
    title: str
    text: str

    @property
    def is_executed(self) -> bool:
        return self.language in ("bash", "python") and not self.title and self.mark != "make"


def blocks(page: str) -> list[Block]:
    return [
        Block(
            language=found["language"],
            mark=found["mark"] or "",
            title=found["title"] or "",
            text=found["text"],
        )
        for found in BLOCK.finditer(PAGES[page])
    ]


OTHERS = [
    page
    for page in PAGES
    if page not in ("README.md", FIRST) and any(block.is_executed for block in blocks(page))
]


def commands(text: str) -> list[str]:
    """One shell command each; a backslash continues a line."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


@dataclasses.dataclass
class Session:
    """A reader at a folder of his own."""

    folder: pathlib.Path
    environment: dict[str, str]

    def read(self, page: str) -> None:
        """Does what the page says, from top to bottom."""
        printed = ""
        for number, block in enumerate(blocks(page)):
            if block.title:
                (self.folder / block.title).write_text(block.text)
            elif block.mark == "printed":
                assert printed == block.text, f"{page}: {printed!r}"
            elif block.is_executed and block.language == "python":
                name = f"block_{number}.py"
                (self.folder / name).write_text(block.text)
                printed = self.run(f"python {name}", page)
            elif block.is_executed:
                more = " --dry_run" if block.mark == "dry-run" else ""
                printed = "".join(self.run(each + more, page) for each in commands(block.text))

    def run(self, command: str, page: str) -> str:
        """What it prints; it has to succeed."""
        if warm.is_warm(command):
            done = warm.run(command, self.folder, self.environment)
        else:
            done = subprocess.run(
                ["bash", "-o", "pipefail", "-c", command],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def in_a_checkout(folder: pathlib.Path, environment: dict[str, str]) -> Session:
    """The launch scripts lie beside whatever a reader writes."""
    (folder / "launch").symlink_to(ROOT / "launch")
    return Session(folder, environment)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, users_shell):
    """What docs/getting_started.md leaves behind: a task, a vocabulary, a model."""
    session = in_a_checkout(tmp_path_factory.mktemp("reader"), users_shell)
    session.read(FIRST)
    return session


@pytest.mark.slow
def test_the_first_page_leaves_what_the_others_need(prepared):
    """A report with curves, scores and predictions."""
    assert (prepared.folder / "runs/mine/loss.png").exists()
    assert list((prepared.folder / "runs/mine/predictions").glob("*.jsonl-00000-of-00001"))


@pytest.mark.slow
@pytest.mark.parametrize("page", OTHERS)
def test_a_page_runs(page, prepared, tmp_path):
    """Behind the first one; what one page writes, another does not see."""
    folder = tmp_path / "reader"
    shutil.copytree(prepared.folder, folder, symlinks=True)
    Session(folder, prepared.environment).read(page)


def steps(page: str) -> list[tuple[str, ...]]:
    """What a reader of the page does: files to write, programs and commands to run."""
    found: list[tuple[str, ...]] = []
    for block in blocks(page):
        if block.title:
            found.append((block.title, block.text))
        elif block.is_executed and block.language == "python":
            found.append(("python", block.text))
        elif block.is_executed:
            found += [(block.mark, *command.split()) for command in commands(block.text)]
    return found


def test_the_readme_does_what_the_first_page_does():
    """In the same order, so that what is run there is run here: vocabulary, training, its use."""
    readme, rest = steps("README.md"), iter(steps(FIRST))
    assert len(readme) >= 5
    for step in readme:
        assert step in rest, (
            f"README.md has this, and {FIRST} has not, or not in this order: {step}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_executed_or_known_to_be_output(page):
    """A command that no test runs is wrong sooner or later."""
    assert PAGES[page].count("```") == 2 * len(blocks(page)), "a fence that is no whole block"
    for number, block in enumerate(blocks(page)):
        where = f"{page}, block {number}: {block.text[:80]}"
        assert block.language in ("bash", "python", "gin", "text", "console", "diff"), where
        assert block.mark in MARKS or block.mark.split()[0] in ("demo", "end"), where
        if block.language == "gin":
            assert block.title, f"{where}: a gin file has a name, and a command that uses it"
        if block.mark == "printed":
            assert block.language == "text", where
        if block.title:
            later = [each.text for each in blocks(page)[number + 1 :] if not each.title]
            stem = pathlib.PurePath(block.title).stem
            used = "pytest" if stem == "conftest" else stem
            assert any(used in text for text in later), f"{where}: no command uses it"


@pytest.mark.parametrize("page", PAGES)
def test_a_make_target_that_a_page_names_exists(page):
    """The front door must open."""
    makefile = (ROOT / "Makefile").read_text()
    for block in blocks(page):
        named = re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE)
        assert block.mark != "make" or len(named) == len(commands(block.text))
        for target in named:
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"


def spoken_of(page: str) -> set[str]:
    """What stands between backquotes in the text around the blocks."""
    return set(re.findall(r"`([^`\n]+)`", BLOCK.sub("", PAGES[page])))


@pytest.mark.parametrize("page", PAGES)
def test_a_file_that_a_page_names_exists(page):
    """In the checkout, the package, gin/ or among what the pages let a reader write."""
    folders = (ROOT, ROOT / "t5x_lite", GIN)
    written = {block.title for each in PAGES for block in blocks(each)}
    for name in spoken_of(page):
        if re.fullmatch(r"[\w./-]+\.(?:py|gin|sh|md|cfg|yml|ipynb)", name) and name not in written:
            if name.startswith("t5x/") or name in WRITTEN_BY_RUNS:
                continue
            assert any((folder / name).exists() for folder in folders), name


@pytest.mark.parametrize("page", PAGES)
def test_a_module_that_a_page_names_can_be_imported(page):
    """`t5x_lite.room.file` or `t5x_lite.room.file.name`."""
    for name in spoken_of(page):
        if re.fullmatch(r"t5x_lite(?:\.\w+)+", name):
            module, _, member = name.rpartition(".")
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                assert hasattr(importlib.import_module(module), member), name


@pytest.mark.parametrize("page", PAGES)
def test_a_macro_that_a_page_names_is_one(page):
    """Of a gin file here, or of T5X where the page says so."""
    gin = "\n".join(path.read_text() for path in GIN.rglob("*.gin"))
    known = set(re.findall(r"^([A-Z][A-Z0-9_]+) =", gin, re.MULTILINE))
    for text in (*spoken_of(page), *(block.text for block in blocks(page))):
        for name in re.findall(r"--gin\.([A-Z][A-Z0-9_]+)\b|^([A-Z]+_[A-Z0-9_]+)$", text):
            macro = "".join(name)
            assert macro in known or macro_replacement(macro), macro


def test_the_readme_is_short():
    """Details are in docs/."""
    assert PAGES["README.md"].count("\n") <= 150


def test_the_readme_has_a_place_for_the_demo():
    """What the demo printed stands between two comments."""
    before, _, after = PAGES["README.md"].partition("<!-- demo -->\n")
    assert before and "\n| " in after.partition("<!-- end of demo -->")[0]
    assert after.count("<!-- end of demo -->") == 1
