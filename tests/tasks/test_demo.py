"""The tasks of `make demo`: what they give, and what importing them must not cost."""

import functools
import itertools
import subprocess
import sys

import numpy as np
import pytest
import seqio

from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.tasks import demo


@functools.cache
def texts(name, split):
    """Examples of a task as strings, in their order."""
    dataset = seqio.get_mixture_or_task(name).source.get_dataset(split=split, shuffle=False)
    return [
        {k: v.decode() for k, v in zip(batch, values, strict=True)}
        for batch in dataset.batch(512).as_numpy_iterator()  # one by one would be ten times slower
        for values in zip(*batch.values(), strict=True)
    ]


@pytest.mark.parametrize("name", ["emoji_en_de", "emoji_en_fr", "emoji_language"])
def test_few_labels_are_the_first_of_many_and_tests_are_the_same(name):
    """So a score on 400 examples compares with one on all."""
    few = f"{name}_{demo.NUM_LABELLED}"
    assert texts(few, "train") == texts(name, "train")[: demo.NUM_LABELLED]
    assert len(texts(few, "train")) == demo.NUM_LABELLED
    assert texts(few, "test") == texts(name, "test")


def test_what_is_tested_was_in_no_pretraining():
    """No name of a held-out emoji in any language, no docstring of a held-out module."""
    seen = {e["targets"] for name in demo.PRETRAINING for e in texts(name, "train")}
    seen |= {
        e["inputs"] for name in demo.PRETRAINING for e in texts(name, "train") if "inputs" in e
    }
    english = {e["inputs"].partition(": ")[2] for e in texts("emoji_en_de", "test")}
    assert len(english) > 300
    assert not english & {text.partition(": ")[2] for text in seen}
    docstrings = {e["inputs"].partition(": ")[2] for e in texts("docstrings_library", "test")}
    assert len(docstrings) > 1_000 and not docstrings & seen


@pytest.mark.parametrize(
    "name, layout, lengths",
    [
        ("docstrings_span_corruption", Layout.ENCODER_DECODER, {"inputs": 64, "targets": 14}),
        ("docstrings_span_corruption", Layout.LM, {"inputs": 64, "targets": 14}),
        ("docstrings_prefix_lm", Layout.PREFIX_LM, {"inputs": 32, "targets": 32}),
        ("docstrings_lm", Layout.LM, {"targets": 48}),
        ("demo_pretrain", Layout.ENCODER_DECODER, {"inputs": 64, "targets": 32}),
        ("demo_finetune", Layout.ENCODER_DECODER, {"inputs": 64, "targets": 32}),
    ],
)
def test_every_architecture_gets_its_batches(name, layout, lengths, vocabulary):
    """Ids below the vocabulary's size, weights where there are targets, in every row."""
    config = DatasetConfig(mixture_or_task_name=name, task_feature_lengths=lengths, batch_size=4)
    for batch in itertools.islice(make_batches(config, ModelFeatures(layout)), 2):
        width = lengths["targets"] if layout is Layout.ENCODER_DECODER else sum(lengths.values())
        assert batch["decoder_target_tokens"].shape == (4, width)
        assert 0 < batch["decoder_target_tokens"].max() < 400
        assert (batch["decoder_loss_weights"].sum(axis=1) > 0).all()
        if name == "docstrings_span_corruption":
            # Full segments: the helper's lengths leave no padding, packed or not.
            assert (batch["decoder_target_tokens"] > 0).all()


def test_pretraining_shows_the_sentinels_in_order(vocabulary):
    """300 pieces: <extra_id_0> is 399; it leads the targets of every row."""
    config = DatasetConfig(
        mixture_or_task_name="docstrings_span_corruption",
        task_feature_lengths={"inputs": 64, "targets": 14},
        batch_size=8,
    )
    batch = next(make_batches(config, ModelFeatures(Layout.ENCODER_DECODER)))
    np.testing.assert_array_equal(batch["decoder_target_tokens"][:, 0], 399)
    np.testing.assert_array_equal((batch["encoder_input_tokens"] >= 397).sum(axis=1), 3)


@pytest.mark.slow
def test_tasks_start_no_accelerator():
    """SeqIO itself imports jax, but a data job must not take the devices of a training job."""
    code = (
        "import sys, t5x_lite.tasks.demo, t5x_lite.inspection.inspect;"
        "from jax._src import xla_bridge;"
        "print(xla_bridge.backends_are_initialized(), 't5x_lite.model' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False False", result.stderr


def test_importing_the_package_loads_nothing_heavy():
    """`import t5x_lite.tasks` is in `--help`'s way; the modules in it are not."""
    code = (
        "import sys, t5x_lite.tasks, t5x_lite.text.default_vocabulary, t5x_lite.features.layouts,"
        "t5x_lite.metrics.accuracy;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'jax', 'tensorflow', 'seqio'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
