"""TFDS or original files: the same examples, shuffled by a seed, in shards and in slices."""

import pytest
import seqio
import tensorflow_datasets as tfds

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401

NUM_ROWS = 40


@pytest.fixture
def rte(tmp_path):
    """RTE as GLUE's zip archive has it, a row a number."""
    folder = tmp_path / "RTE"
    folder.mkdir()
    for name in ("train", "dev", "test"):
        label = "" if name == "test" else "\tlabel"
        lines = [f"index\tsentence1\tsentence2{label}"]
        for row in range(NUM_ROWS):
            lines.append(f"{row}\tone {row}\ttwo {row}" + ("\tentailment" if label else ""))
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def source():
    return seqio.TaskRegistry.get("glue_rte_v002").source


def rows(dataset):
    return [int(example["idx"]) for example in dataset.as_numpy_iterator()]


def test_the_whole_set_is_shuffled_by_the_seed(read_from, rte, source):
    """Not a buffer of a thousand: files come sorted by where a text is from, as CoLA does."""
    read_from(rte.parent)
    first, again, other = (rows(source.get_dataset("train", seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert sorted(first) == sorted(other) == rows(source.get_dataset("train", shuffle=False))


def test_shards_are_disjoint_and_complete(read_from, rte, source):
    read_from(rte.parent)
    assert source.supports_arbitrary_sharding
    shards = [
        rows(source.get_dataset("train", seed=1, shard_info=seqio.ShardInfo(index, 3)))
        for index in range(3)
    ]
    assert sorted(sum(shards, [])) == list(range(NUM_ROWS))


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:10]", range(10)),
        ("train[90%:]", range(36, 40)),
        ("validation[-3:]", range(37, 40)),
    ],
)
def test_slices_are_those_of_tfds(read_from, rte, source, split, expected):
    read_from(rte.parent)
    assert rows(source.get_dataset(split, shuffle=True, seed=1)) == list(expected)
    assert source.num_input_examples(split) == len(expected)


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """A TFDS directory of this test's own; what is read from it is read anew."""
    folder = tmp_path / "tfds"
    seqio.set_tfds_data_dir_override(str(folder))
    monkeypatch.setattr(seqio.utils.LazyTfdsLoader, "_MEMOIZED_BUILDERS", {})
    yield folder
    seqio.set_tfds_data_dir_override(None)


def test_the_builder_of_tfds_prepares_what_files_give(
    read_from, rte, source, tfds_folder, monkeypatch
):
    """1.0.0, which T5 names, can no longer be prepared; 2.0.0 of the same rows is."""
    monkeypatch.setattr(
        tfds.download.DownloadManager, "download_and_extract", lambda self, url: str(rte.parent)
    )
    monkeypatch.setattr(tfds.core.utils.gcs_utils, "is_dataset_on_gcs", lambda name: False)
    from_tfds = source.get_dataset("test", shuffle=False)
    assert source._tfds().tfds_dataset.name == "glue/rte:2.0.0"
    assert source.num_input_examples("train") == NUM_ROWS
    assert not source.supports_arbitrary_sharding
    assert len(source.list_shards("train")) == 1
    of_tfds = sorted(from_tfds.as_numpy_iterator(), key=lambda example: example["idx"])
    read_from(rte.parent)
    assert of_tfds == list(source.get_dataset("test", shuffle=False).as_numpy_iterator())


def test_what_tfds_cannot_prepare_says_what_to_do(source, tfds_folder, monkeypatch):
    def fail(self, **_):
        raise ConnectionError("no network")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(FileNotFoundError, match=r"number of its examples.*--gin\.TASK_FILES"):
        source.num_input_examples("train")
    with pytest.raises(
        FileNotFoundError, match="could not be prepared: no network.*--tfds_data_dir"
    ):
        source.get_dataset("train")
