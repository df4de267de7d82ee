"""Fields that come along are beside ours, whatever they are called."""

import gzip
import json

from t5x_lite.corpus.build import build
from t5x_lite.corpus.config import CorpusConfig


def test_a_field_that_comes_along_replaces_none_of_ours(tmp_path):
    """Where the text is in another field, and `text` something else."""
    row = {"body": "What is wanted.", "text": "What is not.", "id": 5, "url": ["no URL"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row | {"license": "CC0"}))
    corpus = CorpusConfig(
        (f"{tmp_path}/a.jsonl",), f"{tmp_path}/c", variant="documents", field="body"
    )
    build(corpus, workers=1)
    with gzip.open(tmp_path / "c/train-00000-of-00001.jsonl.gz", "rt") as file:
        (found,) = map(json.loads, file)
    expected = {"text": "What is wanted.", "id": "5", "url": "", "timestamp": "", "license": "CC0"}
    assert found == expected
