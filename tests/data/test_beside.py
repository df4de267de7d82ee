"""What an encoder alone is fed: values beside its inputs stay with them, packed or not."""

import dataclasses

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data import checks, pipeline, unsaveable
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.converters import convert
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import LAYOUTS, Layout, ModelFeatures, layout_of

FEATURES = ModelFeatures(Layout.ENCODER, SpecialTokens(padding=9, start=1, end=2, unknown=3))
# Three examples, of which the first two share a row of 8; the span of the third is cut off.
EXAMPLES = [
    {
        "inputs": [1, 20, 5, 2],
        "token_types": [0, 0, 1, 1],
        "targets": [1, 20, 21, 2],
        "target_weights": [0, 0, 1, 0],
        "classes": [1],
        "values": [0.1],
        "spans": [1, 2],
    },
    {
        "inputs": [1, 30, 2],
        "token_types": [0, 1, 0],
        "targets": [1, 31, 2],
        "target_weights": [0, 1, 0],
        "classes": [0],
        "values": [-2.5],
        "spans": [0, 0],
    },
    {
        "inputs": [1, *range(40, 49)],
        "token_types": [0] * 10,
        "targets": [1, *range(40, 49)],
        "target_weights": [1] * 10,
        "classes": [2],
        "values": [3e38],
        "spans": [7, 8],
    },
]
LENGTHS = dict.fromkeys(("inputs", "token_types", "targets", "target_weights"), 8) | {
    "classes": 1,
    "values": 1,
    "spans": 2,
}
PACKED = {
    "encoder_input_tokens": [[1, 20, 5, 2, 1, 30, 2, 9], [1, *range(40, 47)]],
    "encoder_segment_ids": [[1, 1, 1, 1, 2, 2, 2, 0], [1] * 8],
    "encoder_positions": [[0, 1, 2, 3, 0, 1, 2, 0], [*range(8)]],
    "encoder_token_types": [[0, 0, 1, 1, 0, 1, 0, 0], [0] * 8],
    "encoder_target_tokens": [[1, 20, 21, 2, 1, 31, 2, 0], [1, *range(40, 47)]],
    "encoder_loss_weights": [[0, 0, 1, 0, 0, 1, 0, 0], [1] * 8],
    "encoder_classes": [[1, 0, 0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0, 0, 0]],
    "encoder_values": [[0.1, 0, 0, 0, -2.5, 0, 0, 0], [3e38, 0, 0, 0, 0, 0, 0, 0]],
    "encoder_span_starts": [[0, 1, 0, 0, 1, 0, 0, 0], [0] * 8],
    "encoder_span_ends": [[0, 0, 1, 0, 1, 0, 0, 0], [0] * 8],
}


def dtype_of(name):
    return tf.float32 if name == "values" else tf.int32


def dataset_of(examples):
    """Without Python in it, so that its position can be saved."""
    rows = {
        name: tf.ragged.constant([each[name] for each in examples], dtype=dtype_of(name))
        for name in examples[0]
    }
    return tf.data.Dataset.from_tensor_slices(rows).map(
        lambda example: {k: tf.reshape(v, [-1]) for k, v in example.items()}
    )


def converted(examples=EXAMPLES, *, pack, lengths=LENGTHS):
    return convert(
        dataset_of(examples),
        FEATURES,
        lengths={name: lengths[name] for name in examples[0]},
        rows=2,
        pack=pack,
        loss_on_targets_only=None,
    )


def test_values_stay_with_their_tokens_in_packed_rows():
    """Position by position, classes and numbers at first positions, floats to the last bit."""
    (batch,) = converted(pack=True).as_numpy_iterator()
    assert batch.keys() == PACKED.keys()
    for name, expected in PACKED.items():
        np.testing.assert_array_equal(
            batch[name], np.asarray(expected, batch[name].dtype), err_msg=name
        )
    assert {name for name, each in batch.items() if each.dtype == np.float32} == {"encoder_values"}


def test_an_example_reads_the_same_packed_or_not():
    """But for its number in the row, padding, and positions behind the end."""
    (packed,) = converted(pack=True).as_numpy_iterator()
    first, second = converted(pack=False).as_numpy_iterator()
    for name in packed.keys() - {"encoder_segment_ids"}:
        places = [packed[name][0, :4], packed[name][0, 4:7], packed[name][1]]
        alone = [first[name][0, :4], first[name][1, :3], second[name][0]]
        for got, expected in zip(places, alone, strict=True):
            np.testing.assert_array_equal(got, expected, err_msg=name)


@pytest.mark.parametrize("left_out", [("values", "spans"), tuple(EXAMPLES[0])[1:]], ids=len)
def test_what_a_task_has_not_its_batches_have_not(left_out):
    """And the table knows it before any example is read."""
    examples = [{k: v for k, v in each.items() if k not in left_out} for each in EXAMPLES]
    dataset = converted(examples, pack=True)
    lengths = {k: v for k, v in LENGTHS.items() if k in examples[0]}
    shapes = LAYOUTS[Layout.ENCODER].shapes(2, lengths)
    assert dataset.element_spec.keys() == shapes.keys()
    assert set(shapes.values()) == {(2, 8)}
    assert ("encoder_values" in shapes) == ("values" not in left_out)


@pytest.mark.parametrize("pack", [True, False])
def test_the_position_of_such_data_can_be_saved(pack):
    """The check of numbers keeps no state."""
    assert unsaveable.stateful_operation(converted(pack=pack)) is None


@pytest.fixture
def register():
    """(examples) -> the name of a task that has them."""

    def add(examples):
        def dataset(split, shuffle_files, seed=None):
            return dataset_of(examples)

        seqio.TaskRegistry.add(
            "beside",
            source=seqio.FunctionDataSource(dataset, splits=["train"]),
            preprocessors=[],
            output_features={
                name: seqio.Feature(
                    seqio.PassThroughVocabulary(60 if name in ("inputs", "targets") else 10**6),
                    add_eos=False,
                    dtype=dtype_of(name),
                )
                for name in examples[0]
            },
        )
        return "beside"

    yield add
    seqio.TaskRegistry.remove("beside")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("targets", [1, 2], "targets: needed is a value for each token of inputs"),
        ("classes", [], "classes: needed is 1 in each example"),
        ("spans", [1], "spans: needed is 2 in each example"),
    ],
)
def test_an_example_whose_values_do_not_fit_is_refused(register, name, values, message):
    """In one sentence, without the words of tf.data around it."""
    task = register([each | {name: values} for each in EXAMPLES])
    config = DatasetConfig(
        mixture_or_task_name=task,
        task_feature_lengths=LENGTHS,
        split="train",
        batch_size=2,
        pack=False,
    )
    with pytest.raises(ValueError, match=f"^{message}, and one has another number"):
        next(pipeline.make_batches(config, FEATURES))


def test_lengths_beside_inputs_follow_from_theirs(register):
    """What is needed is written out; values that are no float32 are refused too."""
    task = register(EXAMPLES)
    checks.check_lengths(task, LENGTHS, Layout.ENCODER)
    with pytest.raises(
        ValueError, match=r"needed is \{'inputs': 8, 'token_types': 8, .*'spans': 2"
    ):
        checks.check_lengths(task, LENGTHS | {"token_types": 5, "spans": 8}, Layout.ENCODER)
    with pytest.raises(ValueError, match="'classes': 1, 'inputs': 512, 'spans': 2, "):
        checks.check_lengths(task, None, Layout.ENCODER)
    dataset = dataset_of(EXAMPLES).map(
        lambda each: each | {"values": tf.cast(each["values"], "int32")}
    )
    with pytest.raises(ValueError, match="values is int32 .*; needed is a sequence of float32"):
        convert(dataset, FEATURES, lengths=LENGTHS, rows=2, pack=True, loss_on_targets_only=None)


def test_numbers_need_no_embedding(register):
    """However large they may be; tokens do."""
    task = register(EXAMPLES)
    checks.check_vocabulary(task, 60)
    with pytest.raises(ValueError, match="has 60 ids, the model's vocab_size is 59"):
        checks.check_vocabulary(task, 59)


@pytest.mark.parametrize(
    ("features", "layout"),
    [
        (("inputs", "targets"), Layout.ENCODER_DECODER),
        (("targets",), Layout.LM),
        (("inputs",), Layout.ENCODER),
        (("inputs", "targets", "target_weights"), Layout.ENCODER),
        (("inputs", "targets", "hints"), Layout.ENCODER_DECODER),
    ],
)
def test_a_task_tells_by_its_features_what_it_is_for(features, layout):
    """Where no model is at hand; what nothing reads is refused later, as before."""
    assert layout_of(features) is layout


def test_rows_are_as_long_as_the_positions_that_are_learned(register):
    """Of what is beside inputs as of inputs."""
    task = register(EXAMPLES)
    config = DatasetConfig(mixture_or_task_name=task, task_feature_lengths=LENGTHS, batch_size=2)
    checks.check_positions(config, dataclasses.replace(FEATURES, max_length=8))
    with pytest.raises(ValueError, match="rows of 8 tokens"):
        checks.check_positions(config, dataclasses.replace(FEATURES, max_length=7))
