"""Documents are tokenized many at a time, and stay one for one."""

import pytest
import seqio
import tensorflow as tf

from t5x_lite.features.config import SpecialTokens
from t5x_lite.objectives.documents import tokenize
from t5x_lite.text.byte_pair import BYTE_CHARACTERS, BytePairTokenizer
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary


@pytest.fixture
def byte_pairs(tmp_path):
    names = [*BYTE_CHARACTERS, "ab", "abab", "<|endoftext|>"]
    pieces = {piece: i for i, piece in enumerate(names)}
    special = SpecialTokens(start=258, end=258, unknown=None)
    tokenizer = BytePairTokenizer(pieces, [("a", "b"), ("ab", "ab")], special)
    for name, content in tokenizer.files().items():
        (tmp_path / name).write_bytes(content)
    return BytePairVocabulary(tmp_path)


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_each_text_is_one_row_of_ids_in_order(kind, byte_pairs):
    """More texts than are tokenized at once, empty ones among them."""
    vocabulary = {"bytes": seqio.ByteVocabulary(), "bpe": byte_pairs}[kind]
    texts = ["ab" * (i % 7) + " x" * (i % 3) for i in range(300)]
    dataset = tf.data.Dataset.from_tensor_slices({"targets": texts})
    rows = tokenize(dataset, {"targets": seqio.Feature(vocabulary)}).as_numpy_iterator()
    assert [row["targets"].tolist() for row in rows] == [[*vocabulary.encode(t)] for t in texts]
