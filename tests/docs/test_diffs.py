"""The diffs that pages show are of the files as they are."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^\+\+\+ b/(\S+)\n", re.MULTILINE)


def hunks():
    """(page, path, lines that stand together there) of every diff."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        for block in BLOCK.findall(page.read_text()):
            _, *parts = FILE.split(block)
            for path, body in zip(parts[::2], parts[1::2], strict=True):
                for hunk in re.split(r"^@@.*\n", body, flags=re.MULTILINE):
                    kept = [line[1:] for line in hunk.splitlines() if not line.startswith("-")]
                    if kept:
                        yield page.name, path, "\n".join(kept)


@pytest.mark.parametrize(("page", "path", "text"), list(hunks()))
def test_what_a_diff_leaves_stands_in_its_file(page, path, text):
    """A reader who follows the page finds what it shows."""
    assert text in (ROOT / path).read_text(), f"{page}: {path} has not\n{text}"


def test_diffs_are_found():
    """So that the law above is no empty one."""
    assert any(path == "t5x_lite/optim/lion.py" for _, path, _ in hunks())
