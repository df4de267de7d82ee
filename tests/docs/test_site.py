"""The site of docs/: it builds without a warning, and opens from disk without network."""

import html.parser
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What a browser fetches by itself; a link in the text is for the reader to follow.
FETCHED = {"href": ("link", "base"), "srcset": ("img", "source"), "data": ("object",)}
REMOTE = re.compile(r"(?:https?:)?//")
REMOTE_IN_CSS = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\"';]*")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built as `make docs` does: whatever mkdocs warns of is an error."""
    reason = "the tools of the site are not installed: `make docs` installs them"
    for module in ("mkdocs", "material", "mkdocstrings", "nbconvert"):
        pytest.importorskip(module, reason=reason)
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class _Fetched(html.parser.HTMLParser):
    """Collects what a page makes a browser ask for."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("src", "poster") or tag in FETCHED.get(name, ()):
                self.addresses.append(value or "")
            elif name == "style":
                self.addresses += REMOTE_IN_CSS.findall(value or "")


def fetched(page: pathlib.Path) -> list[str]:
    parser = _Fetched()
    parser.feed(page.read_text())
    return parser.addresses


def test_what_is_fetched_is_found(tmp_path):
    """The search below must be able to find something."""
    page = tmp_path / "page.html"
    page.write_text('<a href="https://a"><script src="https://b"></script><link href="//c">')
    assert fetched(page) == ["https://b", "//c"]
    assert REMOTE_IN_CSS.search("@font-face{src: url('https://fonts/one.woff')}")


@pytest.mark.slow
def test_no_page_asks_the_network_for_anything(site):
    """Scripts, styles, fonts and pictures are files beside the page, and are there."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        for address in fetched(page):
            assert not REMOTE.match(address) and "url(" not in address, f"{page}: {address}"
            if page.name != "404.html" and not address.startswith("data:"):
                assert (page.parent / re.split("[?#]", address)[0]).exists(), f"{page}: {address}"
    for style in site.rglob("*.css"):
        assert not REMOTE_IN_CSS.search(style.read_text()), style


@pytest.mark.slow
def test_every_page_can_be_searched_from_disk(site):
    """The index is a script: a page on disk may not read a JSON file."""
    index = (site / "search/search_index.js").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f'"location":"{page.stem}.html' in index or page.stem == "index", page
    assert '"location":"tour.html' in index


@pytest.mark.slow
def test_the_reference_has_docstrings(site):
    """Of a function, a class and a configuration; also of what is installed as t5x_lite.tasks."""
    text = (site / "api.html").read_text()
    for anchor in ("load", "TextModel.generate"):
        assert f'id="t5x_lite.inference.text_model.{anchor}"' in text, anchor
    assert 'id="t5x_lite.training.config.TrainConfig"' in text
    assert "Reads a trained model onto all devices there are." in text
    assert "t5x_lite.tasks.rates" in text
