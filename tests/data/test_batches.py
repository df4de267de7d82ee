"""A restart goes on with the next batch, bit for bit, wherever it stopped, in any processes."""

import dataclasses
import functools
import itertools
import json

import numpy as np
import pytest
import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.data.batches import Batches
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.layout import Layout
from t5x_lite.data.pipeline import make_batches

VOCABULARY = seqio.PassThroughVocabulary(size=1000, eos_id=1)
CONFIG = DatasetConfig(
    mixture_or_task_name="files",
    task_feature_lengths={"inputs": 12, "targets": 8},
    batch_size=8,
    num_data_shards=2,
)
UNSAVEABLE = dataclasses.replace(
    CONFIG, mixture_or_task_name="numbers", task_feature_lengths={"inputs": 6, "targets": 5}
)
MODES = Layout.ENCODER_DECODER


def _parse(dataset):
    """`3 4|5` -> inputs 3 4, targets 5."""

    def ids(text):
        return tf.strings.to_number(tf.strings.split([text]).values, tf.int32)

    def parse(line):
        parts = tf.strings.split([line], "|").values
        return {"inputs": ids(parts[0]), "targets": ids(parts[1])}

    return dataset.map(parse)


@seqio.map_over_dataset(num_seeds=1)
def _noise(example, seed):
    """A random number that must be the same after a restart."""
    noise = tf.random.stateless_uniform([1], seed, 2, 900, tf.int32)
    return example | {"targets": tf.concat([noise, example["targets"]], axis=0)}


def _tensors(split, shuffle_files):
    rows = np.arange(300, 360).reshape(20, 3)
    return tf.data.Dataset.from_tensor_slices({"inputs": rows, "targets": rows[:, :2]}).map(
        lambda example: {name: tf.cast(ids, tf.int32) for name, ids in example.items()}
    )


_reads = itertools.count()


def _other_each_time(split, shuffle_files):
    """A generator whose examples tell how often it was started."""

    def examples():
        start = next(_reads)
        for i in range(30):
            yield {"inputs": [10 + i], "targets": [100 + start, 1]}

    signature = {name: tf.TensorSpec([None], tf.int32) for name in ("inputs", "targets")}
    return tf.data.Dataset.from_generator(examples, output_signature=signature)


@pytest.fixture(scope="module", autouse=True)
def kinds_of_tasks(tmp_path_factory):
    """files: 45 pairs in 5 files; random: 9 of them, with noise, so epochs are short."""
    folder = tmp_path_factory.mktemp("files")
    for index in range(5):
        lines = [f"{10 + i} 7|{10 + i} 8 9\n" for i in range(index, 45, 5)]
        (folder / f"pairs-{index}.txt").write_text("".join(lines))
    files = seqio.TextLineDataSource({"train": str(folder / "pairs-*.txt")})
    few = seqio.TextLineDataSource({"train": str(folder / "pairs-0.txt")})
    features = {name: seqio.Feature(VOCABULARY, add_eos=True) for name in ("inputs", "targets")}
    end = seqio.preprocessors.append_eos_after_trim
    add = functools.partial(
        seqio.TaskRegistry.add, output_features=features, shuffle_buffer_size=16
    )
    add("files", source=files, preprocessors=[_parse, end])
    add("random", source=few, preprocessors=[_parse, _noise, end])
    for name, function in [("tensors", _tensors), ("odd", _other_each_time)]:
        source = seqio.FunctionDataSource(function, splits=["train"])
        add(name, source=source, preprocessors=[end])
    seqio.MixtureRegistry.add("three_kinds", [("files", 2.0), ("random", 1.0), ("tensors", 1.0)])
    yield
    for name in ("files", "random", "tensors", "odd"):
        seqio.TaskRegistry.remove(name)
    seqio.MixtureRegistry.remove("three_kinds")


@pytest.fixture
def start():
    """`Batches` that are closed behind the test."""
    started = []

    def start(config=CONFIG, layout=MODES, **kwargs):
        started.append(Batches(config, layout, **kwargs))
        return started[-1]

    yield start
    for batches in started:
        batches.close()


def take(batches, count):
    return list(itertools.islice(batches, count))


def store(folder, *positions):
    """A checkpoint's folder, to which every process adds its files."""
    folder = epath.Path(folder)
    folder.mkdir(exist_ok=True)
    for name, content in itertools.chain(*(position.items() for position in positions)):
        (folder / name).write_bytes(content)
    return folder


def assert_same(a, b):
    assert len(a) == len(b)
    for left, right in zip(a, b):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


def rows(parts):
    """The batches of several processes, one below the other."""
    return [
        {name: np.concatenate([part[name] for part in batch]) for name in batch[0]}
        for batch in zip(*parts, strict=True)
    ]


@pytest.mark.parametrize(
    "change, layout",
    [
        ({"mixture_or_task_name": "three_kinds"}, Layout.ENCODER_DECODER),
        ({"pack": False}, Layout.ENCODER_DECODER),
        ({"shuffle": False}, Layout.PREFIX_LM),
        ({"mixture_or_task_name": "tensors", "num_data_shards": 1}, Layout.LM),
        ({"mixture_or_task_name": "random", "num_data_shards": 1}, Layout.ENCODER_DECODER),
    ],
    ids=["mixture", "unpacked", "unshuffled", "tensors", "short epochs"],
)
def test_a_restart_goes_on_bit_for_bit(start, tmp_path, change, layout):
    """Of shuffled, mixed, random, packed examples, over many epochs; stopped twice."""
    config = dataclasses.replace(CONFIG, **change)
    first = start(config, layout, snapshot_period=7)
    expected, folders = [], {}
    for place in (3, 47):
        expected += take(first, place - len(expected))
        folders[place] = store(tmp_path / str(place), first.position(place))
    expected += take(first, 13)
    for place, folder in folders.items():
        again = start(config, layout, restore_from=folder, batches_done=place)
        assert_same(take(again, 60 - place), expected[place:])


def test_it_is_what_make_batches_reads(start):
    """Positions change nothing."""
    assert_same(take(start(), 12), take(make_batches(CONFIG, MODES), 12))


def test_any_number_of_processes_goes_on(start, tmp_path):
    """1, 2, 4 and 1 again share 4 shards; the number that is stored holds if none is given."""
    config, done, folder = dataclasses.replace(CONFIG, num_data_shards=4), 0, None
    expected = take(start(config), 44)
    for count in (1, 2, 4, 1):
        processes = [
            start(
                config,
                process_index=index,
                process_count=count,
                restore_from=folder,
                batches_done=done,
                snapshot_period=5,
            )
            for index in range(count)
        ]
        assert_same(rows([take(p, 11) for p in processes]), expected[done : done + 11])
        done += 11
        folder = store(tmp_path / str(done), *(p.position(done) for p in processes))
        config = dataclasses.replace(config, num_data_shards=None)


def test_a_position_may_be_some_batches_old(start, tmp_path):
    """Reading is ahead of training, and so are the states that are saved."""
    batches = start(snapshot_period=2)
    expected = take(batches, 30)
    for place in (26, 29, 30):
        folder = store(tmp_path / str(place), batches.position(place))
        again = start(restore_from=folder, batches_done=place)
        assert_same(take(again, 30 - place), expected[place:])
    with pytest.raises(ValueError, match="after 31 batches .* only 30 were given out"):
        batches.position(31)
    with pytest.raises(ValueError, match="after 2 batches is not known"):
        batches.position(2)


def test_a_restart_reads_little_again(start, tmp_path):
    """At a multiple of the period, one batch, which is verified."""
    batches = start(snapshot_period=10)
    take(batches, 21)
    position = json.loads(batches.position(20)["shard-00000-of-00002.json"])
    assert position["snapshot_batches"] == 19 and position["batches"] == 20


def test_a_position_of_a_restored_run_needs_no_new_state(start, tmp_path):
    """Killed again at once, it still knows a place to go on from."""
    batches = start(snapshot_period=10)
    expected = take(batches, 24)
    folder = store(tmp_path / "a", batches.position(20))
    again = start(restore_from=folder, batches_done=20)
    assert_same(take(again, 1), expected[20:21])
    folder = store(tmp_path / "b", again.position(21))
    assert json.loads((folder / "shard-00000-of-00002.json").read_text())["snapshot_batches"] == 19
    assert_same(take(start(restore_from=folder, batches_done=21), 3), expected[21:])


def test_without_a_position_all_is_read_again(start):
    """Checkpoints without data."""
    assert_same(take(start(batches_done=5), 5), take(start(), 10)[5:])


def test_data_started_anew_counts_on(start, tmp_path):
    """Other settings from step 100 on: its first batch is step 101's, in later restarts as well."""
    config = dataclasses.replace(CONFIG, seed=3)
    batches = start(config, batches_done=100, anew=True, snapshot_period=4)
    expected = take(start(config), 20)
    assert_same(take(batches, 10), expected[:10])
    folder = store(tmp_path / "a", batches.position(110))
    assert_same(take(start(config, restore_from=folder, batches_done=110), 10), expected[10:])


def test_settings_that_change_the_order_are_listed(start, tmp_path):
    """All at once, with the way back and the way on."""
    batches = start()
    take(batches, 2)
    folder = store(tmp_path / "a", batches.position(2))
    other = dataclasses.replace(CONFIG, seed=1, batch_size=16, pack=False, num_data_shards=8)
    with pytest.raises(ValueError) as error:
        Batches(other, MODES, restore_from=folder, batches_done=2)
    for line in (
        "batch_size: 8 in the checkpoint, 16 now",
        "num_data_shards: 2 in the checkpoint, 8 now",
        "pack: True in the checkpoint, False now",
        "seed: 0 in the checkpoint, 1 now",
        "RESTORE_DATASET=False",
    ):
        assert line in str(error.value)


@pytest.mark.parametrize("process_count", [3, 4])
def test_processes_that_cannot_share_the_shards_are_an_error(start, tmp_path, process_count):
    batches = start()
    folder = store(tmp_path / "a", batches.position(0))
    with pytest.raises(ValueError, match=f"2 data shards.*{process_count} proc.*1 or 2 proc"):
        Batches(CONFIG, MODES, restore_from=folder, process_count=process_count)


def test_python_generators_are_read_again_and_say_so(start, tmp_path):
    """90 pairs of a generator, in 2 shards, over some epochs."""
    said = []
    batches = start(UNSAVEABLE, snapshot_period=3, say=said.append)
    assert len(said) == 1 and "task numbers runs Python code" in said[0] and "cache" in said[0]
    expected = take(batches, 40)
    position = batches.position(30)
    assert all(name.endswith(".json") for name in position)
    folder = store(tmp_path / "a", position)
    again = start(UNSAVEABLE, restore_from=folder, batches_done=30, say=said.append)
    assert_same(take(again, 10), expected[30:])


def test_only_the_tasks_to_blame_are_named(start):
    """Of a mixture."""
    seqio.MixtureRegistry.add("partly_unsaveable", [("files", 1.0), ("numbers", 1.0)])
    said = []
    config = dataclasses.replace(UNSAVEABLE, mixture_or_task_name="partly_unsaveable")
    start(config, say=said.append)
    seqio.MixtureRegistry.remove("partly_unsaveable")
    assert "task numbers" in said[0] and "task files" not in said[0]


def test_other_examples_than_before_are_an_error(start, tmp_path):
    """No order changes in silence."""
    config = dataclasses.replace(UNSAVEABLE, mixture_or_task_name="odd", num_data_shards=1)
    batches = start(config, say=lambda text: None)
    take(batches, 3)
    folder = store(tmp_path / "a", batches.position(3))
    again = start(config, restore_from=folder, batches_done=3, say=lambda text: None)
    with pytest.raises(ValueError, match="The data is not what it was.*RESTORE_DATASET=False"):
        next(again)


def test_files_that_were_changed_are_an_error(start, tmp_path):
    """The batches between the saved state and the position are compared."""
    batches = start(snapshot_period=4)
    take(batches, 8)
    position = batches.position(8)
    name = "shard-00001-of-00002.json"
    position[name] = json.dumps(json.loads(position[name]) | {"digest": "0" * 32}).encode()
    again = start(restore_from=store(tmp_path / "a", position), batches_done=8)
    with pytest.raises(ValueError, match="The data is not what it was"):
        next(again)


def test_a_state_that_does_not_load_is_replaced_by_reading_again(start, tmp_path):
    """As one of another TensorFlow: it costs time, and is said."""
    said = []
    batches = start(snapshot_period=4)
    expected = take(batches, 12)
    position = batches.position(8)
    position["shard-00001-of-00002.snapshot"] = b"of another version"
    name = "shard-00000-of-00002.json"
    position[name] = json.dumps(
        json.loads(position[name]) | {"versions": {"seqio": "0.0.20", "tensorflow": "1.15"}}
    ).encode()
    folder = store(tmp_path / "a", position)
    again = start(restore_from=folder, batches_done=8, say=said.append)
    assert_same(take(again, 4), expected[8:])
    assert "tensorflow: '1.15' in the checkpoint" in said[0]
    assert "does not load" in said[1] and "8 batches are read again" in said[1]


def test_an_error_of_the_data_reaches_the_consumer(start):
    """With its own words, not those of a thread."""
    seqio.TaskRegistry.add(
        "broken",
        source=seqio.FunctionDataSource(_tensors, splits=["train"]),
        preprocessors=[lambda dataset: dataset.map(_fail_at_340)],
        output_features=seqio.TaskRegistry.get("tensors").output_features,
    )
    config = dataclasses.replace(
        CONFIG, mixture_or_task_name="broken", shuffle=False, num_data_shards=1, pack=False
    )
    batches = start(config)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no 340 please"):
        take(batches, 20)
    seqio.TaskRegistry.remove("broken")


def _fail_at_340(example):
    tf.debugging.Assert(tf.reduce_all(example["inputs"] < 340), ["no 340 please"])
    return example


def test_the_size_is_said(start):
    """Of the files of the last position."""
    batches = start(snapshot_period=3)
    take(batches, 3)
    files = batches.position(3)
    assert batches.position_size == sum(map(len, files.values())) > 0
    assert batches.describe_position().endswith("kB in 2 shards")


def test_states_do_not_pile_up(start):
    """Memory stays flat: three states behind what was given out, and those ahead."""
    batches = start(snapshot_period=1)
    take(batches, 120)
    for shard in batches._shards.values():
        assert len(shard._snapshots) <= 3 + 33
