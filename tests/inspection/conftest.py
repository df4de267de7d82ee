"""Tasks of bytes with known lengths, registered once for all tests of this room."""

import functools

import pytest
import seqio
import tensorflow as tf

from t5x_lite.inspection.gather import gather

VOCABULARY = seqio.ByteVocabulary(extra_ids=10)
FEATURE = seqio.Feature(VOCABULARY, add_eos=True)


def _texts(lengths, split, shuffle_files, seed=None):
    texts = [{"inputs": "i" * n, "targets": "t" * (n // 2), "number": n} for n in lengths]
    columns = {name: [text[name] for text in texts] for name in texts[0]}
    return tf.data.Dataset.from_tensor_slices(columns)


def _sentinels(split, shuffle_files, seed=None):
    """Byte a is 97 + 3; id 268 of 269 is <extra_id_0>."""
    inputs = [*VOCABULARY.encode("ab"), 268, *VOCABULARY.encode("cd"), 267, 1]
    targets = [268, *VOCABULARY.encode("xy"), 267, *VOCABULARY.encode("z"), 1]
    return tf.data.Dataset.from_tensors(
        {"inputs": tf.constant(inputs), "targets": tf.constant(targets)}
    )


def _add(name, dataset_fn, count, preprocessors, features):
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(dataset_fn, ["train"], num_input_examples={"train": count}),
        preprocessors=preprocessors,
        output_features=dict.fromkeys(features, FEATURE),
    )


@pytest.fixture(scope="session", autouse=True)
def tasks():
    """short: inputs of 1 to 10 tokens and an end; long: 11 to 20; hidden: two sentinels a side;
    a mixture of short (3) and long (1) and one that holds it; text: short's targets alone.
    """
    both, steps = (
        ("inputs", "targets"),
        [
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos_after_trim,
        ],
    )
    _add("short", functools.partial(_texts, range(1, 11)), 10, steps, both)
    _add("long", functools.partial(_texts, range(11, 21)), 10, steps, both)
    _add("text", functools.partial(_texts, range(1, 11)), 10, steps, ("targets",))
    _add("hidden", _sentinels, 1, [], both)
    seqio.MixtureRegistry.add("three_to_one", [("short", 3.0), ("long", 1.0)])
    seqio.MixtureRegistry.add("nested", [("three_to_one", 2.0), ("hidden", 2.0)])
    yield
    for name in ("short", "long", "text", "hidden"):
        seqio.TaskRegistry.remove(name)
    for name in ("three_to_one", "nested"):
        seqio.MixtureRegistry.remove(name)


@pytest.fixture(scope="session")
def short(tasks):
    """What is found of the task, cut at 8 and 4."""
    return gather("short", lengths={"inputs": 8, "targets": 4})


@pytest.fixture(scope="session")
def hidden(tasks):
    """Of the task with sentinels, at lengths that nobody gave."""
    return gather("hidden")


@pytest.fixture(scope="session")
def nested(tasks):
    """Of the mixture that holds another."""
    return gather("nested", lengths={"inputs": 8, "targets": 8})
