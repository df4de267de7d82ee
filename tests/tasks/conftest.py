"""A vocabulary for tasks that need one, and the cache of docstrings in a folder of the session."""

import pytest

from t5x_lite.text import default_vocabulary
from t5x_lite.text.training import train_sentencepiece


@pytest.fixture(scope="session")
def vocabulary_path(tmp_path_factory):
    from t5x_lite.tasks import emoji

    path = tmp_path_factory.mktemp("vocabulary") / "emoji.model"
    texts = [names[code].replace("_", " ") for names in emoji.load() for code in ("en", "de")]
    prompts = ["translate English to German: translate English to French: library docstring:"]
    train_sentencepiece(
        {"emoji": texts, "prompts": prompts * 50},
        path,
        vocab_size=300,
        report_progress=lambda _: None,
    )
    return path


@pytest.fixture
def vocabulary(vocabulary_path):
    """Sets it as the default of the process, for one test."""
    before = default_vocabulary._path
    default_vocabulary.set_default_vocabulary(vocabulary_path)
    yield vocabulary_path
    default_vocabulary.set_default_vocabulary(before)
