"""Docstrings: split by module before anything else, each text once, cached by version."""

import collections

import pytest

from t5x_lite.tasks import docstring_texts
from t5x_lite.tasks.splits import SPLITS, split_of


@pytest.fixture(scope="module")
def docstrings():
    return docstring_texts.load()


def test_splits_share_no_module_and_no_text(docstrings):
    """What is tested was not pre-trained on, not even from another module that says the same."""
    for attribute in ("module", "text"):
        of = {s: {getattr(d, attribute) for d in docstrings if d.split == s} for s in SPLITS}
        assert not of["train"] & of["test"]
        assert not of["train"] & of["validation"]
        assert not of["validation"] & of["test"]


def test_there_is_enough_of_each_library_in_each_split(docstrings):
    """18,000 texts or more, 10 MB; a library without test examples could not be scored."""
    assert len(docstrings) > 17_000
    assert sum(len(d.text) for d in docstrings) > 10_000_000
    counts = collections.Counter((d.library, d.split) for d in docstrings)
    assert min(counts[library, s] for library in docstring_texts.LIBRARIES for s in SPLITS) >= 20


def test_a_known_text_is_found_where_it_stands(docstrings):
    """The library and the module are those of the file it was read from."""
    (module,) = {d.module for d in docstrings if d.text.startswith("JSON (JavaScript Object Not")}
    assert module == "stdlib.json.__init__"
    assert {d.split for d in docstrings if d.module == module} == {split_of(module)}


def test_docstrings_of_any_depth_are_read_without_running_anything():
    """Modules, classes, functions, methods, also under `if` and `try`; broken files give none."""
    source = b'''"""Module text here."""
raise SystemExit
class A:
    """Class text here."""
    async def f(self):
        """Method text here."""
if True:
    try:
        def g(): "Function text here."
    finally:
        pass
'''
    assert sorted(docstring_texts._docstrings(source)) == [
        "Class text here.",
        "Function text here.",
        "Method text here.",
        "Module text here.",
    ]
    assert list(docstring_texts._docstrings(b"def broken(:")) == []


def test_they_are_extracted_once(tmp_path, monkeypatch):
    """The second process of a run reads the cache, which belongs to the installed versions."""
    one = docstring_texts.Docstring(
        "A text of caf\u00e9.\n\nTwo lines.", "numpy", "numpy.a", "train"
    )
    calls = []
    monkeypatch.setattr(docstring_texts, "extract", lambda: calls.append(1) or [one])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert docstring_texts.load() == docstring_texts.load() == [one]
    assert len(calls) == 1
    monkeypatch.setattr(docstring_texts, "_VERSION", docstring_texts._VERSION + 1)
    docstring_texts.load()
    assert len(calls) == 2
    assert len(list((tmp_path / "t5x_lite").iterdir())) == 2
