"""Cached examples are read where a cache exists, and are the ones the task makes."""

import dataclasses
import json

import pytest
import seqio
import tensorflow as tf

from t5x_lite.data.config import DatasetConfig, UseCached
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures

CONFIG = DatasetConfig(
    mixture_or_task_name="cacheable",
    task_feature_lengths={"targets": 4},
    batch_size=4,
    pack=False,
    num_data_shards=4,
)


@pytest.fixture
def cacheable():
    def source(split, shuffle_files, seed=None):
        return tf.data.Dataset.range(20).map(lambda i: {"targets": [tf.cast(i, tf.int32) + 100]})

    def from_cache_or_not(dataset):
        return dataset.map(lambda e: {"targets": tf.concat([e["targets"], [1]], 0)})

    seqio.TaskRegistry.add(
        "cacheable",
        source=seqio.FunctionDataSource(source, ["train"]),
        preprocessors=[seqio.CacheDatasetPlaceholder(), from_cache_or_not],
        output_features={"targets": seqio.Feature(seqio.PassThroughVocabulary(400))},
    )
    before = seqio.get_global_cache_dirs()
    yield
    seqio.set_global_cache_dirs(before)
    seqio.TaskRegistry.remove("cacheable")


def write_cache(folder):
    """Two files in SeqIO's format, with ids from 200 on, so that one sees where they come from."""
    task = folder / "cacheable"
    task.mkdir()
    for index in range(2):
        with tf.io.TFRecordWriter(str(task / f"train.tfrecord-0000{index}-of-00002")) as writer:
            for i in range(index, 20, 2):
                example = seqio.utils.dict_to_tfexample({"targets": [200 + i]})
                writer.write(example.SerializeToString())
    features = {"targets": {"shape": [None], "dtype": "int32"}}
    info = {"num_shards": 2, "features": features, "seqio_version": "1.0.0"}
    (task / "info.train.json").write_text(json.dumps(info))
    (task / "stats.train.json").write_text(json.dumps({"examples": 20}))
    (task / "COMPLETED").write_text("")
    seqio.set_global_cache_dirs([str(folder)])


def ids(use_cached):
    config = dataclasses.replace(CONFIG, use_cached=use_cached)
    batches = list(make_batches(config, ModelFeatures(Layout.LM), num_epochs=1))
    found = [int(row[0]) for b in batches for row in b["decoder_target_tokens"] if row[0]]
    assert all(row[1] == 1 for b in batches for row in b["decoder_target_tokens"] if row[0])
    return sorted(found)


def test_auto_reads_the_cache_where_there_is_one(cacheable, tmp_path):
    """Two files, four shards: all of them disjoint, what follows the placeholder still runs."""
    assert ids(UseCached.AUTO) == list(range(100, 120))
    write_cache(tmp_path)
    assert ids(UseCached.AUTO) == ids(UseCached.ALWAYS) == list(range(200, 220))
    assert ids(UseCached.NEVER) == list(range(100, 120))


def test_a_missing_cache_is_an_error_with_the_command_that_builds_it(cacheable):
    """T5X's default failed here for everyone outside Google, without saying what to do."""
    with pytest.raises(ValueError, match="t5x_lite cache cacheable .*USE_CACHED_TASKS"):
        ids(UseCached.ALWAYS)
