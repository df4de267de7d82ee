"""Files of one's own are a task like any other: shuffled, shared out, stopped and gone on with."""

import json

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.data.checks import check_dataset
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.data.unsaveable import stateful_operation
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.objectives import default_lengths, masked_table, table
from t5x_lite.records import chunks
from t5x_lite.records.config import RecordsConfig, Told
from t5x_lite.tasks.files import METRICS, FilesSource, add_files_task, remove

NUM_ROWS = 60


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """(number of files) -> their pattern; rows are numbers, seven a chunk."""
    monkeypatch.setattr(chunks, "ROWS", 7)

    def write(files):
        for file in range(files):
            rows = [{"text": f"row {n}"} for n in range(file, NUM_ROWS, files)]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / f"{file}.jsonl").write_text(text)
        return str(tmp_path / "*.jsonl")

    return write


def rows(dataset):
    """The texts."""
    return [example["targets"].decode() for example in dataset.as_numpy_iterator()]


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("shards", [1, 2, 5])
@pytest.mark.parametrize("files", [1, 3])
def test_each_row_is_in_one_shard(files, shards, is_large, corpus, monkeypatch):
    """Whether there are more files or more shards."""
    if is_large:
        monkeypatch.setattr(chunks, "SMALL_BYTES", 0)
    source = FilesSource(RecordsConfig(paths=corpus(files), held_out=0.0))
    found = [
        rows(source.get_dataset("train", seed=1, shard_info=seqio.ShardInfo(index, shards)))
        for index in range(shards)
    ]
    assert sorted(sum(found, [])) == sorted(f"row {n}" for n in range(NUM_ROWS))
    assert source.num_input_examples("train") == (None if is_large else NUM_ROWS)


def test_without_shuffling_rows_are_in_the_order_of_files(corpus):
    """So that answers stand beside their lines."""
    source = FilesSource(RecordsConfig(paths=corpus(3), held_out=0.0))
    expected = [f"row {n}" for file in range(3) for n in range(file, NUM_ROWS, 3)]
    assert rows(source.get_dataset("all", shuffle=False)) == expected


@pytest.mark.parametrize("is_large", [False, True])
def test_its_position_can_be_saved(is_large, corpus, tmp_path, monkeypatch):
    """In the middle of a file, of a chunk and of an epoch, though rows are read by Python."""
    if is_large:
        monkeypatch.setattr(chunks, "SMALL_BYTES", 0)
    config = RecordsConfig(paths=corpus(3), held_out=0.0)

    def endless():
        source = FilesSource(config)
        return source.get_dataset("train", seed=1, shard_info=seqio.ShardInfo(0, 2)).repeat()

    assert stateful_operation(endless()) is None
    one = iter(endless())
    for _ in range(41):
        next(one)
    place = tf.train.Checkpoint(iterator=one).write(str(tmp_path / "place"))
    expected = [next(one)["targets"].numpy() for _ in range(50)]
    other = iter(endless())
    tf.train.Checkpoint(iterator=other).read(place)
    assert [next(other)["targets"].numpy() for _ in range(50)] == expected


@pytest.fixture
def registered(vocabulary):
    """(config) -> the name under which its task is registered while the test runs."""
    names = []

    def add(config):
        names.append(add_files_task("own", config))
        return names[-1]

    yield add
    for name in names:
        remove(name)


def batches(name, lengths, layout=Layout.ENCODER_DECODER, split="train"):
    """Of two rows, in an epoch."""
    dataset = DatasetConfig(
        mixture_or_task_name=name, task_feature_lengths=lengths, split=split, batch_size=2
    )
    return list(make_batches(dataset, ModelFeatures(layout), num_epochs=1))


def test_a_bad_row_is_one_clear_error(registered, corpus, tmp_path):
    """Through tf.data, which calls Python and has words of its own for what that raises."""
    (tmp_path / "9.jsonl").write_text('{"text": "a"}\n{"no": "text"}\n')
    name = registered(RecordsConfig(paths=corpus(2), held_out=0.0))
    with pytest.raises(UserError, match=r"9\.jsonl, line 2: it has no field 'text'"):
        batches(name, {"inputs": 16, "targets": 16})


def test_it_is_said_again_by_what_reads_again(registered, corpus, tmp_path):
    """Until the row is mended; a job is told before it reads a batch, in no words of TensorFlow."""
    (tmp_path / "9.jsonl").write_text('{"no": "text"}\n')
    name = registered(RecordsConfig(paths=corpus(1), held_out=0.0))
    lengths = {"inputs": 16, "targets": 16}
    for _ in range(2):
        with pytest.raises(UserError, match=r"9\.jsonl, line 1"):
            batches(name, lengths)
    config = DatasetConfig(mixture_or_task_name=name, task_feature_lengths=lengths)
    with pytest.raises(UserError, match=r"^\S+9\.jsonl, line 1: it has no field 'text'"):
        check_dataset(config, ModelFeatures(Layout.ENCODER_DECODER), vocab_size=512)
    (tmp_path / "9.jsonl").write_text('{"text": "mended"}\n')
    check_dataset(config, ModelFeatures(Layout.ENCODER_DECODER), vocab_size=512)
    assert batches(name, lengths)


@pytest.mark.parametrize("objective", ["span_corruption", "full_lm"])
def test_an_objective_makes_examples_of_text(objective, registered, corpus):
    """Of the lengths that it has by default, which need no other."""
    name = registered(RecordsConfig(paths=corpus(2), objective=objective, held_out=0.0))
    lengths = default_lengths.of(objective)
    layout = Layout.ENCODER_DECODER if "inputs" in lengths else Layout.LM
    assert sum(np.count_nonzero(b["decoder_target_tokens"]) for b in batches(name, lengths, layout))


def test_every_objective_has_lengths():
    """Windows of 512 tokens; full inputs fill the targets of span corruption."""
    for objective in (*table.OBJECTIVES, *masked_table.MASKED_OBJECTIVES):
        assert max(default_lengths.of(objective).values()) == 512
    assert default_lengths.of("span_corruption") == {"inputs": 512, "targets": 114}


PAIRS = [("a fine day", "good"), ("a dull day", "bad"), ("a day", "good")]


@pytest.fixture
def pairs(tmp_path):
    """The path of a table of them."""
    lines = ["text\tlabel", *("\t".join(pair) for pair in PAIRS)]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "pairs.tsv")


def test_pairs_are_read_and_written_by_a_text_to_text_model(registered, pairs):
    """With a prefix, and scored."""
    fields = {"inputs": "text", "targets": "label", "prefix": "mood: ", "held_out": 0.0}
    name = registered(RecordsConfig(paths=pairs, **fields, metrics=("accuracy", "bleu")))
    task = seqio.TaskRegistry.get(name)
    examples = task.get_dataset({"inputs": 32, "targets": 8}, "all", shuffle=False)
    found = [
        (e["inputs_pretokenized"].decode(), e["targets_pretokenized"].decode())
        for e in examples.as_numpy_iterator()
    ]
    assert found == [("mood: " + text, label) for text, label in PAIRS]
    assert task.metric_fns == [METRICS["accuracy"], METRICS["bleu"]]


def test_an_encoder_tells_classes_or_numbers(registered, pairs, tmp_path):
    """By their places among the labels, or as they are."""
    fields = {"inputs": "text", "targets": "label", "held_out": 0.0}
    classes = RecordsConfig(paths=pairs, **fields, told=Told.CLASSES, labels=("bad", "good"))
    name = registered(classes)
    assert name == "own_encoder"
    task = seqio.TaskRegistry.get(name)
    read = task.source.get_dataset("all", shuffle=False)
    told = [e["classes"] for e in task.preprocessors[0](read).as_numpy_iterator()]
    assert told == [1, 0, 1]
    remove(name)
    (tmp_path / "values.csv").write_text("text,label\na,0.5\nb,-3\n")
    values = RecordsConfig(paths=str(tmp_path / "values.csv"), **fields, told=Told.VALUES)
    task = seqio.TaskRegistry.get(registered(values))
    read = task.source.get_dataset("all", shuffle=False)
    assert [e["values"] for e in task.preprocessors[0](read).as_numpy_iterator()] == [0.5, -3.0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"objective": "span_coruption"}, "did you mean span_corruption"),
        ({"inputs": "a", "targets": "b", "metrics": ("blue",)}, "did you mean bleu"),
    ],
)
def test_names_that_are_not_there(fields, said):
    """With the nearest."""
    with pytest.raises(UserError, match=said):
        add_files_task("own", RecordsConfig(paths="x.jsonl", **fields))


def test_a_source_says_what_a_cache_of_it_must_agree_with(tmp_path):
    """Its files by name and size, wherever they lie, and what is made of them."""

    def described(folder, text="a\n", **fields):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "x.txt").write_text(text)
        return FilesSource(RecordsConfig(paths=str(tmp_path / folder), **fields)).description()

    own = described("a")
    assert own == json.loads(json.dumps(own)) == described("b")
    assert own != described("c", "other\n")
    assert own != described("a", objective="full_lm")
    assert own != described("a", held_out=0.1)
