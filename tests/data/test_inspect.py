"""`t5x_lite inspect` shows text, ids, lengths and sentinels."""

import io

import pytest
import rich.console
import seqio
import tensorflow as tf

from t5x_lite.data.inspect import inspect_task


@pytest.fixture(scope="module", autouse=True)
def sentinels():
    vocabulary = seqio.ByteVocabulary(extra_ids=10)

    def source(split, shuffle_files, seed=None):
        return tf.data.Dataset.from_tensors(
            {"targets": tf.constant([*vocabulary.encode("ab"), 268, *vocabulary.encode("cd"), 1])}
        )

    seqio.TaskRegistry.add(
        "sentinels",
        source=seqio.FunctionDataSource(source, ["train"], num_input_examples={"train": 1}),
        preprocessors=[],
        output_features={"targets": seqio.Feature(vocabulary)},
    )
    yield
    seqio.TaskRegistry.remove("sentinels")


def test_an_example_is_shown_as_text_and_ids():
    """Byte a is 97 + 3; id 268 of 269 is <extra_id_0>."""
    output = io.StringIO()
    inspect_task("sentinels", console=rich.console.Console(file=output, width=100))
    shown = output.getvalue()
    assert "ab <extra_id_0> cd </s>" in shown
    assert "100 101 268 102 103 1" in shown
    assert "6 of 512" in shown and "split train" in shown and "269 ids" in shown


def test_an_unknown_task_is_an_error_with_the_nearest():
    """The same message as a training job's."""
    with pytest.raises(ValueError, match="Did you mean sentinels"):
        inspect_task("sentinel")
