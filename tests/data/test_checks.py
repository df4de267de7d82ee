"""A wrong name, length or vocabulary is one readable sentence, before anything is read."""

import dataclasses

import pytest

from t5x_lite.data import checks
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.layout import Layout

CONFIG = DatasetConfig(
    mixture_or_task_name="numbers",
    task_feature_lengths={"inputs": 6, "targets": 5},
    batch_size=8,
)


def test_a_sound_job_passes():
    """1,000 ids fit into 1,024 rows."""
    checks.check_dataset(CONFIG, Layout.ENCODER_DECODER, vocab_size=1024)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"mixture_or_task_name": "number"}, "named 'number'. Did you mean numbers.*module_import"),
        ({"mixture_or_task_name": "qqq"}, "named 'qqq'. Registered are .*module_import"),
        ({"split": "trian"}, "no split 'trian': did you mean 'train'"),
        ({"task_feature_lengths": None}, "No task feature lengths.*TASK_FEATURE_LENGTHS="),
        ({"task_feature_lengths": {"inputs": 6}}, "do not match numbers.*inputs, targets"),
        ({"task_feature_lengths": {"inputs": 6, "targets": 0}}, "'targets': 0; needed is at least"),
        ({"batch_size": 7, "num_data_shards": 2}, "6 and 8"),
    ],
)
def test_each_mistake_is_named_with_what_would_do(change, message):
    """The nearest name or the next size that fits, and the flag."""
    with pytest.raises(ValueError, match=message):
        config = dataclasses.replace(CONFIG, **change)
        checks.check_dataset(config, Layout.ENCODER_DECODER, vocab_size=1024)


def test_a_vocabulary_larger_than_the_model_shows_both():
    """Ids without an embedding would be clipped silently by JAX."""
    with pytest.raises(ValueError, match="1000 ids.*vocab_size is 999.*VOCAB_SIZE=1024"):
        checks.check_dataset(CONFIG, Layout.ENCODER_DECODER, vocab_size=999)


@pytest.mark.parametrize("layout", [Layout.ENCODER_DECODER, Layout.PREFIX_LM])
def test_a_task_without_inputs_feeds_only_an_lm(layout):
    """There is nothing an encoder, or a prefix, could be."""
    checks.check_lengths("lines", {"targets": 5}, Layout.LM)
    with pytest.raises(ValueError, match="lines has no inputs"):
        checks.check_lengths("lines", {"targets": 5}, layout)


def test_a_slice_of_a_split_is_its_split():
    """TFDS reads `train[:10%]`."""
    checks.check_split("numbers", "train[:10%]")
