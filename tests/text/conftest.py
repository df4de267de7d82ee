"""A vocabulary small enough to train in each session."""

import pytest

from t5x_lite.text import default_vocabulary
from t5x_lite.text.training import train_sentencepiece

WORDS = "the cat sat on a mat und der Hund lief weg translate English to German".split()
SYLLABLES = "ka lo mi tu ren sor vel dax".split()


@pytest.fixture(scope="session")
def sentences():
    words = WORDS + [a + b for a in SYLLABLES for b in SYLLABLES]
    return [" ".join(words[(i * k) % len(words)] for k in range(1, 9)) for i in range(1, 300)]


@pytest.fixture(scope="session")
def vocabulary_path(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("vocabulary") / "tiny.model"
    train_sentencepiece({"words": sentences}, path, vocab_size=60, report_progress=lambda _: None)
    return path


@pytest.fixture(autouse=True)
def _no_default_vocabulary():
    """The default belongs to the process: no test inherits it from another."""
    before = default_vocabulary._path
    default_vocabulary.set_default_vocabulary(None)
    yield
    default_vocabulary.set_default_vocabulary(before)
