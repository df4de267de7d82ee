"""The first tokens of a corpus: exactly so many, however sharded, with new noise each pass."""

import pytest
import seqio

from t5x_lite.data.unsaveable import stateful_operation
from t5x_lite.objectives import table
from t5x_lite.tasks.corpora import FirstTokens
from t5x_lite.tasks.in_memory import InMemorySource

TEXTS = [chr(97 + i) * (5 + i) for i in range(12)]  # 126 bytes
VOCABULARY = seqio.ByteVocabulary(extra_ids=100)


def source(num_tokens):
    """Of texts of one letter each, 5, 6, 7, ... long."""
    texts = InMemorySource(lambda split: [{"targets": t} for t in TEXTS], ("train", "validation"))
    return FirstTokens(texts, VOCABULARY, num_tokens)


def documents(first, split="train", **kwargs):
    examples = first.get_dataset(split, **kwargs).as_numpy_iterator()
    return [VOCABULARY.decode(example["targets"].tolist()) for example in examples]


@pytest.mark.parametrize("num_tokens", [1, 5, 6, 40, 126, 1000])
def test_the_last_document_is_cut_to_fit(num_tokens):
    """Nothing of the corpus is left out before that, and nothing comes behind."""
    found = documents(source(num_tokens))
    assert "".join(found) == "".join(TEXTS)[:num_tokens]
    assert found[:-1] == TEXTS[: len(found) - 1]
    assert documents(source(num_tokens), "validation") == TEXTS


def test_shards_are_the_same_tokens():
    """Any number of shards: each document in one of them, the cut one too."""
    whole = documents(source(40))
    shards = [documents(source(40), shard_info=seqio.ShardInfo(i, 3)) for i in range(3)]
    assert sorted(sum(shards, [])) == sorted(whole)
    assert [len(shard) for shard in shards] == [2, 2, 2]


def test_each_pass_draws_new_noise_and_can_be_saved():
    """Section 3.4.2 repeats the text, not the corrupted text."""
    feature = seqio.Feature(vocabulary=VOCABULARY, add_eos=True)
    task = seqio.Task(
        "first_tokens",
        source=source(40),
        preprocessors=[table.preprocessor("iid_drop_tokens")],
        output_features={"inputs": feature, "targets": feature},
    )
    # Segments of 20 tokens, two of them in each of two passes.
    dataset = task.get_dataset({"inputs": 21, "targets": 21}, shuffle=False, seed=0, num_epochs=2)
    assert stateful_operation(dataset) is None
    examples = [{k: v.tolist() for k, v in e.items()} for e in dataset.as_numpy_iterator()]
    assert len(examples) == 4
    for first, second in zip(examples[:2], examples[2:]):
        assert sorted(first["inputs"] + first["targets"]) == sorted(
            second["inputs"] + second["targets"]
        )
    assert examples[:2] != examples[2:]
