"""What is read for statistics is what training would read."""

import pytest
import seqio
import tensorflow as tf

from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import find_task
from t5x_lite.data.samples import draw_counts, measure_fill, read_sample
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.objectives import documents, table

TEXTS = [f"Text {n} is about `code` and {{braces}}." for n in range(40)]
WINDOW = {"inputs": 32, "targets": 32}


@pytest.fixture
def corrupted(test_data_dir):
    """Span corruption of texts with characters that T5's vocabulary lacks; it keeps no text."""
    path = str(test_data_dir / "vocab" / "t5_sentencepiece.model")
    feature = seqio.Feature(seqio.SentencePieceVocabulary(path, extra_ids=100), add_eos=True)
    seqio.TaskRegistry.add(
        "corrupted",
        source=seqio.FunctionDataSource(
            lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(
                {"targets": TEXTS}
            ),
            ["train"],
        ),
        preprocessors=[
            documents.tokenize,
            table.preprocessor("span_corruption"),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": feature, "targets": feature},
    )
    yield find_task("corrupted")
    seqio.TaskRegistry.remove("corrupted")


def config(name, **settings):
    return DatasetConfig(mixture_or_task_name=name, **settings)


@pytest.mark.test_data
def test_characters_come_from_the_source_where_a_task_keeps_no_text(corrupted):
    """A brace of each kind and two backquotes in every text that was read."""
    sample = read_sample(
        corrupted, config("corrupted", task_feature_lengths=WINDOW), max_examples=10
    )
    read = len(sample.ids["inputs"])
    assert sample.unknown_characters == {"`": 2 * read, "{": read, "}": read}


def test_reading_tells_how_far_it_is():
    told = []
    sample = read_sample(
        find_task("numbers"),
        config("numbers", task_feature_lengths={"inputs": 9, "targets": 9}),
        max_examples=7,
        advance=told.append,
    )
    assert sum(told) == len(sample.ids["inputs"]) == len(sample.ids["targets"]) == 7


def test_a_mixture_is_packed_without_end():
    """Its tasks have 150 examples; more are asked for."""
    fill = measure_fill(
        config("two_to_one", task_feature_lengths={"inputs": 9, "targets": 9}),
        ModelFeatures(Layout.ENCODER_DECODER),
        max_examples=300,
    )
    assert fill.examples >= 300
    assert fill.rows < fill.examples
    assert 0.5 < fill.filled["inputs"] <= 1


def test_draws_are_those_of_the_first_shard():
    """The same seed draws the same, another one does not; all draws are counted."""
    first = draw_counts(config("two_to_one"), 300)
    assert first == draw_counts(config("two_to_one"), 300)
    assert first != draw_counts(config("two_to_one", seed=1), 300)
    assert set(first) == {"numbers", "more_numbers"}
    assert sum(first.values()) == 300
