"""What experiments read: nothing that is tested was trained on, and formats are T5's."""

import numpy as np
import pytest

from benchmarks.experiments import corpora, timing

SPLITS = ("train", "validation", "test")


@pytest.fixture
def data(test_data_dir, monkeypatch):
    """The folder of real data, as the experiments find it."""
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))


@pytest.mark.test_data
def test_no_article_is_in_two_splits(data):
    texts = {split: {each["targets"] for each in corpora.wikitext(split)} for split in SPLITS}
    titles = {s: {t for t in texts[s] if t.startswith("= ") and t.count("=") == 2} for s in SPLITS}
    assert all(len(titles[split]) >= 5 for split in SPLITS)
    assert not titles["train"] & (titles["validation"] | titles["test"])
    assert sum(map(len, texts["train"])) > 5 * sum(map(len, texts["test"]))


@pytest.mark.test_data
@pytest.mark.parametrize("examples", [corpora.translations, corpora.sentiments])
def test_a_small_training_set_is_the_beginning_of_the_whole(data, examples):
    whole, few = examples("train"), examples("train", 2_000)
    assert len(few) == 2_000 and few == whole[:2_000]
    assert len(examples("validation", 2_000)) == corpora.NUM_VALIDATION
    assert not {str(e) for e in examples("validation")} & {str(e) for e in examples("train", 2_000)}


@pytest.mark.test_data
def test_unlabelled_text_pairs_no_sentence_and_shows_no_labelled_pair(data):
    """Of every pair one language only, but for sentences that several pairs have."""
    pairs = corpora.translations("train")[corpora.NUM_LABELLED :]
    english, german = (
        {each["targets"] for each in corpora.unpaired("train", code)} for code in ("en", "de")
    )
    assert len(english) > 10_000 and len(german) > 10_000
    both = [pair for pair in pairs if pair["en"] in english and pair["de"] in german]
    assert len(both) < 0.01 * len(pairs)
    seen = {pair["en"] for pair in pairs} | {pair["de"] for pair in pairs}
    assert english | german <= seen, "of no labelled pair, and of none that is tested"


@pytest.mark.test_data
def test_a_sentence_reads_as_t5_writes_it(data):
    import seqio
    import tensorflow as tf

    from benchmarks.experiments import tasks
    from t5x_lite.tasks.classification import Classification

    example = corpora.sentiments("test")[0]
    sentence = tf.constant(example["sentence"])
    ours = tasks.sentiment_to_text({"sentence": sentence, "label": example["label"]})
    labels = ("negative", "positive")
    theirs = Classification("sst2", {"sentence": "sentence"}, labels)(
        {"sentence": sentence, "label": tf.constant(labels.index(example["label"])), "idx": 0}
    )
    assert ours["inputs"].numpy() == theirs["inputs"].numpy()
    assert ours["targets"] == theirs["targets"].numpy().decode()
    assert seqio.TaskRegistry.get("experiments_sst2").num_input_examples("test") == 872


def test_a_missing_folder_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere.*T5X_LITE_TEST_DATA"):
        corpora.folder()


def test_raw_tokens_are_neither_padding_nor_end_nor_sentinels():
    batch = {
        "encoder_input_tokens": np.array([[7, 9, 1_099, 8, 1, 0]]),
        "decoder_target_tokens": np.array([[1_099, 5, 6, 1, 0, 0]]),
    }
    assert timing.raw_tokens(batch, first_sentinel=1_000) == 5
