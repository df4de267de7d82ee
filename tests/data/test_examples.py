"""Evaluation: each example once, in order, with its text; and back from ids to scores."""

import numpy as np
import pytest
import seqio

from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.examples import (
    EvaluationTask,
    decoder,
    evaluation_tasks,
    find_task,
    inputs_of,
    tasks_with_examples,
)
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary

BYTES = seqio.ByteVocabulary()
TEXTS = [("first", "eins"), ("second one", "zwei"), ("third", "drei")]


@pytest.fixture(scope="module", autouse=True)
def words():
    import tensorflow as tf

    def source(split, shuffle_files, seed=None):
        inputs, targets = zip(*TEXTS)
        return tf.data.Dataset.from_tensor_slices(
            {"inputs": list(inputs), "targets": list(targets), "tag": ["a", "b", "c"]}
        )

    def lower(text, example, is_target):
        return (text.lower(), example["tag"], is_target)

    def right(targets, predictions):
        return {
            "right": float(np.mean([t[:2] == p[:2] for t, p in zip(targets, predictions)])),
            "scalar": seqio.metrics.Scalar(7),
        }

    seqio.TaskRegistry.add(
        "words",
        source=seqio.FunctionDataSource(source, ["test"], num_input_examples={"test": 3}),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={n: seqio.Feature(BYTES, add_eos=True) for n in ("inputs", "targets")},
        postprocess_fn=lower,
        metric_fns=[right],
    )
    yield
    seqio.TaskRegistry.remove("words")


@pytest.fixture
def task():
    (found,) = evaluation_tasks("words", split="test")
    return found


def test_examples_keep_order_text_and_other_features(task):
    """A table of predictions shows the text and, for instance, the emoji beside it."""
    examples = task.examples(split="test", task_feature_lengths=None)
    assert [e["inputs_pretokenized"] for e in examples] == [text for text, _ in TEXTS]
    assert [e["tag"] for e in examples] == ["a", "b", "c"]
    assert [task.decode(e["inputs"]) for e in examples] == [text for text, _ in TEXTS]
    assert all(e["inputs"][-1] == 1 for e in examples)


def test_texts_that_were_joined_are_told_whole(task):
    """Where features end with a token of their own the first one is the end."""
    joined = [*BYTES.encode("one "), 1, *BYTES.encode("two"), 1]
    assert task.text({"targets": joined}, "targets") == "one "
    feature = seqio.Feature(BYTES, add_eos=False)
    goes_on = seqio.Task(
        "words_that_go_on",
        source=task.task.source,
        output_features={"targets": feature},
        preprocessors=[],
    )
    assert EvaluationTask(goes_on).text({"targets": joined}, "targets") == "one two"


def test_a_byte_level_bpe_has_no_padding_to_leave_out(bpe_folder):
    """Id 0 is a byte there; the end token ends the text as elsewhere."""
    vocabulary = BytePairVocabulary(bpe_folder)
    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=["test"])
    features = {"targets": seqio.Feature(vocabulary)}
    seqio.TaskRegistry.add("of_bpe", source, preprocessors=[], output_features=features)
    try:
        ids = vocabulary.encode("a\x00b\x00")
        assert 0 in ids
        assert find_task("of_bpe").decode([*ids, 256, 0]) == "a\x00b\x00"
        assert decoder("of_bpe")([*ids, 256, 0]) == "a\x00b\x00"
    finally:
        seqio.TaskRegistry.remove("of_bpe")


def test_lengths_trim_and_the_number_limits(task):
    """The end token stays last; the text itself is not trimmed."""
    lengths = {"inputs": 4, "targets": 5}
    examples = task.examples(split="test", task_feature_lengths=lengths, num_examples=2)
    assert len(examples) == 2
    assert task.decode(examples[1]["inputs"]) == "sec" and len(examples[1]["inputs"]) == 4
    assert examples[1]["inputs_pretokenized"] == "second one"


def test_decoding_stops_at_the_end_token(task):
    """What a decoder writes after it is not part of the text, nor is padding."""
    ids = BYTES.encode("eins")
    assert task.decode([*ids, 1, *ids]) == "eins"
    assert task.decode([*ids, 0, 0]) == "eins"


def test_scores_go_through_the_postprocessor(task):
    """Targets and predictions are told apart; every metric becomes a float."""
    examples = task.examples(split="test", task_feature_lengths=None)
    targets = [task.target(e) for e in examples]
    predictions = [task.prediction(t, e) for t, e in zip(["EINS", "zwei", "x"], examples)]
    assert targets[0] == ("eins", "a", True) and predictions[0] == ("eins", "a", False)
    assert task.score(targets, predictions) == pytest.approx({"right": 2 / 3, "scalar": 7.0})


def test_prompts_are_the_inputs_in_order(task):
    """Ids with their end token."""
    examples = task.examples(split="test", task_feature_lengths=None)
    prompts = inputs_of(examples)
    assert [task.decode(ids) for ids in prompts] == ["first", "second one", "third"]
    assert all(ids[-1] == 1 and ids.dtype == np.int32 for ids in prompts)


def test_the_tasks_without_an_example_are_left_out(task):
    """It is said which; where nothing is left it is an error."""
    words = task.task
    empty = words.replace(
        name="no_words", preprocessors=[lambda dataset: dataset.take(0), *words.preprocessors]
    )
    tasks = [EvaluationTask(empty), task]
    config = DatasetConfig(mixture_or_task_name="words", split="test")
    found, line = tasks_with_examples(tasks, config)
    assert [task.name for task in found] == ["words"]
    assert line == "left out: no_words, whose split 'test' has no examples"
    assert tasks_with_examples(found, config) == (found, "")
    with pytest.raises(ValueError, match="'test' of task no_words has no examples.*EVAL_SPLIT"):
        tasks_with_examples(tasks[:1], config)


def test_a_mixture_is_evaluated_task_by_task():
    """Names sorted, as SeqIO lists them."""
    names = [task.name for task in evaluation_tasks("two_to_one", split="train")]
    assert names == ["more_numbers", "numbers"]


def test_a_task_without_inputs_has_no_prompts():
    """An unconditional LM cannot be asked anything."""
    (lines,) = evaluation_tasks("lines", split="train")
    examples = lines.examples(split="train", task_feature_lengths=None, num_examples=1)
    with pytest.raises(ValueError, match="has only targets"):
        inputs_of(examples)
