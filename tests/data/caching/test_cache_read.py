"""What is cached is what the task makes, for SeqIO as for jobs here."""

import dataclasses
import json

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data import streams
from t5x_lite.data.config import DatasetConfig, UseCached
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures


@pytest.fixture(autouse=True)
def _found(plain_cache):
    before = seqio.get_global_cache_dirs()
    seqio.set_global_cache_dirs([str(plain_cache)])
    yield
    seqio.set_global_cache_dirs(before)


def shown(dataset):
    """Every feature of every example, ragged or not, in an order of its own."""

    def plain(value):
        return value.to_list() if hasattr(value, "to_list") else np.asarray(value).tolist()

    return sorted(
        repr([(name, plain(value)) for name, value in sorted(example.items())])
        for example in dataset
    )


@pytest.mark.parametrize("split", ["train", "validation"])
def test_seqio_finds_the_examples_that_preprocessors_make(split):
    """Integers, floats, strings, booleans, ragged and dense ones of two dimensions."""
    task = seqio.TaskRegistry.get("plain")
    made = task.preprocess_precache(task.source.get_dataset(split, shuffle=False))
    cached = task._get_cached_source(split).get_dataset(split, shuffle=False)
    assert shown(cached) == shown(made)
    assert {k: v.dtype for k, v in cached.element_spec.items()} == {
        k: v.dtype for k, v in made.element_spec.items()
    }


def test_seqio_serves_the_task_from_its_cache():
    task = seqio.TaskRegistry.get("plain")
    datasets = [
        task.get_dataset({"targets": 4}, "train", use_cached=use_cached, shuffle=False)
        for use_cached in (False, True)
    ]
    assert shown(datasets[0]) == shown(datasets[1])
    assert task.num_input_examples("train") is None
    assert task.get_cached_stats("train")["examples"] == 39


@pytest.mark.parametrize("num_data_shards", [1, 4])
def test_a_job_reads_the_same_examples_with_and_without_the_cache(num_data_shards):
    config = DatasetConfig(
        mixture_or_task_name="plain",
        task_feature_lengths={"targets": 8},
        batch_size=4,
        pack=False,
        num_data_shards=num_data_shards,
    )
    rows = []
    for use_cached in (UseCached.ALWAYS, UseCached.NEVER):
        chosen = dataclasses.replace(config, use_cached=use_cached)
        batches = make_batches(chosen, ModelFeatures(Layout.LM), num_epochs=1)
        found = [row.tolist() for batch in batches for row in batch["decoder_target_tokens"]]
        rows.append(sorted(row for row in found if any(row)))
    assert rows[0] == rows[1]
    assert len(rows[0]) == 39


def test_a_slice_is_made_of_the_source(plain_cache):
    """A cache has whole splits; where it has not the split, `auto` does not read it."""
    (plain_cache / "plain" / "info.train.json").rename(plain_cache / "away")
    try:
        config = DatasetConfig(
            mixture_or_task_name="plain", task_feature_lengths={"targets": 8}, batch_size=3
        )
        assert next(make_batches(config, ModelFeatures(Layout.LM), num_epochs=1))
        config = dataclasses.replace(config, use_cached=UseCached.ALWAYS)
        with pytest.raises(ValueError, match="'train' of plain is not cached.*t5x_lite cache"):
            make_batches(config, ModelFeatures(Layout.LM), num_epochs=1)
    finally:
        (plain_cache / "away").rename(plain_cache / "plain" / "info.train.json")


def test_ids_of_another_vocabulary_are_refused(plain_cache):
    """They would be other words; of a cache by SeqIO itself nobody knows."""
    task = seqio.TaskRegistry.get("plain")
    other = seqio.Feature(seqio.PassThroughVocabulary(999, eos_id=1))
    changed = task.replace(output_features={"targets": other})
    assert streams.reads_cache(task, UseCached.AUTO, "train")
    for use_cached in (UseCached.AUTO, UseCached.ALWAYS):
        with pytest.raises(ValueError, match="1000 ids there, .*999 ids now.*USE_CACHED_TASKS=Fa"):
            streams.reads_cache(changed, use_cached, "train")
    assert not streams.reads_cache(changed, UseCached.NEVER, "train")
    completed = plain_cache / "plain" / "COMPLETED"
    said = completed.read_bytes()
    completed.write_text("")
    assert streams.reads_cache(changed, UseCached.AUTO, "train")
    completed.write_bytes(said)


def test_examples_of_other_files_are_refused(plain_cache, tmp_path):
    """A task of files of one's own has one name, whatever it reads."""
    from t5x_lite.records.config import RecordsConfig
    from t5x_lite.tasks.files import FilesSource

    (tmp_path / "x.txt").write_text("text\n")
    source = FilesSource(RecordsConfig(paths=str(tmp_path / "x.txt")))
    changed = seqio.TaskRegistry.get("plain").replace(source=source)
    with pytest.raises(ValueError, match="from another source .*files.*USE_CACHED_TASKS=Fa"):
        streams.reads_cache(changed, UseCached.AUTO, "train")


def test_files_and_statistics_are_seqios(plain_cache):
    """Tokens are ids without padding and end."""
    folder = plain_cache / "plain"
    names = {path.name for path in folder.iterdir()}
    splits = ("train", "validation")
    shards = {f"{split}.tfrecord-0000{i}-of-00002" for split in splits for i in range(2)}
    said = {f"{kind}.{split}.json" for kind in ("info", "stats") for split in splits}
    assert names == shards | said | {"COMPLETED"}
    counts = [i % 5 + 1 for i in range(10, 49)]
    assert json.loads((folder / "stats.train.json").read_text()) == {
        "examples": 39,
        "targets_tokens": sum(counts),
        "targets_max_tokens": 5,
    }
    info = json.loads((folder / "info.train.json").read_text())
    assert (info["num_shards"], info["seqio_version"]) == (2, seqio.__version__)
    assert info["features"]["pairs"] == {"shape": [None, 2], "dtype": "int32"}
    assert info["features"]["letters"] == {"shape": [None, None], "dtype": "string"}
    records = [sum(1 for _ in tf.data.TFRecordDataset(str(folder / name))) for name in shards]
    assert sum(records) == 39 + 13
