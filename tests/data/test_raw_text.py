"""The text to train a vocabulary on is what the tasks tokenize, read without a vocabulary."""

import functools

import pytest
import seqio
import tensorflow as tf

from t5x_lite.data.raw_text import task_texts
from t5x_lite.objectives import sentences, spans, texts
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary


@pytest.fixture(scope="module", autouse=True)
def labels():
    def source(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensor_slices({"text": ["one", "two"], "label": ["a", "b"]})

    def prompt(dataset):
        return dataset.map(
            lambda e: {"inputs": "say: " + e["text"], "targets": e["label"], "text": e["text"]}
        )

    feature = seqio.Feature(DefaultVocabulary(), add_eos=True)
    seqio.TaskRegistry.add(
        "labels",
        source=seqio.FunctionDataSource(source, ["train"]),
        preprocessors=[
            prompt,
            seqio.CacheDatasetPlaceholder(),
            functools.partial(seqio.preprocessors.tokenize, copy_pretokenized=False),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": feature, "targets": feature},
    )
    yield
    seqio.TaskRegistry.remove("labels")


def test_inputs_and_targets_as_the_model_will_read_them():
    """With the task's prompt, and not the features that are left out."""
    assert list(task_texts("labels")) == ["say: one", "a", "say: two", "b"]
    assert list(task_texts("labels", feature="inputs")) == ["say: one", "say: two"]


def test_a_split_that_is_not_there_is_chosen_by_a_flag():
    """Of vocab and trim-vocabulary, which know no SPLIT of gin."""
    with pytest.raises(ValueError, match=r"no split 'trian': did you mean .* one: --split=\.\.\."):
        list(task_texts("labels", split="trian"))


def test_a_task_of_ids_has_no_text():
    """`numbers` is never tokenized."""
    with pytest.raises(ValueError, match="numbers has no seqio.preprocessors.tokenize"):
        list(task_texts("numbers"))


@pytest.mark.parametrize(
    ("step", "example", "expected"),
    [
        (sentences.tokenize, {"targets": "a b. c"}, ["a b. c"]),
        (texts.tokenize, {"first": "a", "second": "b", "classes": 1}, ["a", "b"]),
        (spans.tokenize, {"question": "a?", "words": ["b", "c"]}, ["a?", "b c"]),
    ],
)
def test_what_an_encoder_reads(step, example, expected):
    """Before it is cut to sentences or framed, and not what is to be told of it."""

    def source(split, shuffle_files, seed=None):
        tensors = {name: tf.constant(each) for name, each in example.items()}
        return tf.data.Dataset.from_tensors(tensors)

    seqio.TaskRegistry.add(
        "read",
        source=seqio.FunctionDataSource(source, ["train"]),
        preprocessors=[step],
        output_features=texts.output_features(labels=("no", "yes")),
    )
    try:
        assert list(task_texts("read")) == expected
    finally:
        seqio.TaskRegistry.remove("read")
