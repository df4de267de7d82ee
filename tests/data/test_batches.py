"""A restart goes on with the next batch, bit for bit, wherever it stopped, in any processes."""

import dataclasses
import functools
import hashlib
import itertools
import json
import types

import numpy as np
import pytest
import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.data.batches import Batches
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.data.position import describe_size
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Layout, ModelFeatures

VOCABULARY = seqio.PassThroughVocabulary(size=1000, eos_id=1)
CONFIG = DatasetConfig(
    mixture_or_task_name="files",
    task_feature_lengths={"inputs": 12, "targets": 8},
    batch_size=8,
    num_data_shards=2,
)
MODES = ModelFeatures(Layout.ENCODER_DECODER)


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


@pytest.fixture(scope="module")
def run(kinds_of_tasks):
    """A run of 24 batches whose position was kept at every one: making a pipeline takes seconds."""
    batches = Batches(CONFIG, MODES, snapshot_period=4)
    taken, positions = [], []
    for step in range(1, 25):
        taken.append(next(batches))
        positions.append(batches.position(step))
    yield types.SimpleNamespace(batches=batches, taken=taken, position=[None, *positions])
    batches.close()


@pytest.fixture
def start():
    """`Batches` that are closed behind the test."""
    started = []

    def start(config=CONFIG, features=MODES, **kwargs):
        started.append(Batches(config, features, **kwargs))
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


@pytest.mark.parametrize("place", [3, 14])
def test_a_restart_goes_on_bit_for_bit(run, start, tmp_path, place):
    """Of packed, shuffled examples, over many epochs."""
    folder = store(tmp_path / "dataset", run.position[place])
    again = start(restore_from=folder, batches_done=place)
    assert_same(take(again, 24 - place), run.taken[place:])


@pytest.mark.parametrize(
    "change, layout",
    [
        ({"mixture_or_task_name": "random", "pack": False}, Layout.ENCODER_DECODER),
        ({"shuffle": False}, Layout.PREFIX_LM),
        pytest.param(
            {"mixture_or_task_name": "three_kinds", "num_data_shards": 2},
            Layout.ENCODER_DECODER,
            marks=pytest.mark.slow,
        ),
        pytest.param({"mixture_or_task_name": "tensors"}, Layout.LM, marks=pytest.mark.slow),
    ],
    ids=["random", "unshuffled", "mixture", "tensors"],
)
def test_so_does_every_kind_of_data(start, tmp_path, change, layout):
    """Draws of preprocessors and mixtures are the same as well; epochs end after 9 examples."""
    config = dataclasses.replace(CONFIG, num_data_shards=1)
    config = dataclasses.replace(config, **change)
    first = start(config, ModelFeatures(layout), snapshot_period=7)
    expected = take(first, 23)
    folder = store(tmp_path / "dataset", first.position(23))
    expected += take(first, 40)
    again = start(config, ModelFeatures(layout), restore_from=folder, batches_done=23)
    assert_same(take(again, 40), expected[23:])


def test_it_is_what_make_batches_reads(run):
    """Positions change nothing."""
    assert_same(run.taken[:8], take(make_batches(CONFIG, MODES), 8))


def test_another_number_of_processes_goes_on(run, start, tmp_path):
    """From 1 to 2, and from 2 to 1; the number of shards that is stored holds if none is given."""
    config = dataclasses.replace(CONFIG, num_data_shards=None)
    folder = store(tmp_path / "one", run.position[8])
    two = [
        start(config, process_index=p, process_count=2, restore_from=folder, batches_done=8)
        for p in (0, 1)
    ]
    assert_same(rows([take(p, 6) for p in two]), run.taken[8:14])
    folder = store(tmp_path / "two", *(p.position(14) for p in two))
    assert_same(take(start(config, restore_from=folder, batches_done=14), 10), run.taken[14:])


@pytest.mark.slow
def test_any_number_of_processes_goes_on(start, tmp_path):
    """1, 2, 4 and 1 again share 4 shards."""
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


def test_only_positions_that_can_be_known_are_given(run):
    """Neither the future, though it is read ahead, nor what is long ago."""
    with pytest.raises(ValueError, match="after 25 batches .* only 24 were given out"):
        run.batches.position(25)
    with pytest.raises(ValueError, match="after 2 batches is not known"):
        run.batches.position(2)
    assert run.batches.position(23).keys() == run.position[23].keys()


def test_a_restart_reads_little_again(run):
    """At a multiple of the period, one batch, which is verified."""
    stored = json.loads(run.batches.position(24)["shard-00000-of-00002.json"])
    assert stored["snapshot_batches"] == 23 and stored["batches"] == 24


def test_the_size_is_said_and_states_do_not_pile_up(run):
    """Three states behind what was given out are kept, and those ahead of it."""
    files = run.batches.position(24)
    size = sum(map(len, files.values()))
    assert run.batches.describe_position() == describe_size(size, 2)
    assert all(len(shard._snapshots) <= 3 + 9 for shard in run.batches._shards.values())


def test_a_position_of_a_restored_run_needs_no_new_state(run, start, tmp_path):
    """Killed again at once, it still knows a place to go on from."""
    folder = store(tmp_path / "a", run.position[20])
    again = start(restore_from=folder, batches_done=20)
    assert_same(take(again, 1), run.taken[20:21])
    folder = store(tmp_path / "b", again.position(21))
    before, after = (
        json.loads(position["shard-00000-of-00002.json"])["snapshot_batches"]
        for position in (run.position[20], again.position(21))
    )
    assert before == after
    assert_same(take(start(restore_from=folder, batches_done=21), 3), run.taken[21:])


def test_without_a_position_all_is_read_again(run, start):
    """Checkpoints without data."""
    assert_same(take(start(batches_done=5), 5), run.taken[5:10])


def test_data_started_anew_counts_on(run, start, tmp_path):
    """From step 100 on: its first batch is step 101's, in later restarts as well."""
    batches = start(batches_done=100, anew=True, snapshot_period=4)
    assert_same(take(batches, 10), run.taken[:10])
    folder = store(tmp_path / "a", batches.position(110))
    assert_same(take(start(restore_from=folder, batches_done=110), 10), run.taken[10:20])


@pytest.mark.parametrize("pack", [True, False], ids=["packed", "unpacked"])
def test_positions_from_before_segment_ids_always_travelled_hold(start, pack):
    """What is compared is what those rows had: unpacked ones neither segment ids nor positions."""
    batches = start(dataclasses.replace(CONFIG, num_data_shards=1, pack=pack))
    digest = bytes(16)
    for batch in take(batches, 2):
        hashed = hashlib.blake2b(digest, digest_size=16)
        for name in sorted(batch):
            if pack or not name.endswith(("_segment_ids", "_positions")):
                hashed.update(f"{name} int32 {batch[name].shape}".encode() + batch[name].tobytes())
        digest = hashed.digest()
    stored = json.loads(batches.position(2)["shard-00000-of-00001.json"])
    assert stored["digest"] == digest.hex()


def test_settings_that_change_the_order_are_listed(run, tmp_path):
    """All at once, with the way back and the way on."""
    folder = store(tmp_path / "a", run.position[2])
    other = dataclasses.replace(CONFIG, seed=1, batch_size=16, pack=False, num_data_shards=8)
    starts_with_7 = ModelFeatures(Layout.ENCODER_DECODER, SpecialTokens(start=7))
    with pytest.raises(ValueError) as error:
        Batches(other, starts_with_7, restore_from=folder, batches_done=2)
    for line in (
        "batch_size: 8 in the checkpoint, 16 now",
        "num_data_shards: 2 in the checkpoint, 8 now",
        "pack: True in the checkpoint, False now",
        "seed: 0 in the checkpoint, 1 now",
        "special_tokens: nothing in the checkpoint, {'padding': 0, 'start': 7} now",
        "RESTORE_DATASET=False",
    ):
        assert line in str(error.value)


@pytest.mark.parametrize("process_count", [3, 4])
def test_processes_that_cannot_share_the_shards_are_an_error(run, tmp_path, process_count):
    folder = store(tmp_path / "a", run.position[2])
    with pytest.raises(ValueError, match=f"2 data shards.*{process_count} proc.*1 or 2 proc"):
        Batches(CONFIG, MODES, restore_from=folder, process_count=process_count)


def test_python_generators_are_read_again_and_say_so(start, tmp_path):
    """In a mixture, only the task to blame is named."""
    seqio.MixtureRegistry.add("partly_unsaveable", [("files", 1.0), ("numbers", 1.0)])
    config = dataclasses.replace(
        CONFIG, mixture_or_task_name="partly_unsaveable", num_data_shards=1
    )
    said = []
    batches = start(config, snapshot_period=3, say=said.append)
    expected = take(batches, 20)
    position = batches.position(10)
    assert list(position) == ["shard-00000-of-00001.json"]
    folder = store(tmp_path / "a", position)
    again = start(config, restore_from=folder, batches_done=10, say=said.append)
    assert_same(take(again, 10), expected[10:])
    seqio.MixtureRegistry.remove("partly_unsaveable")
    assert len(said) == 2 and "task numbers runs Python code" in said[0] and "cache" in said[0]
    assert "task files" not in said[0]


def test_other_examples_than_before_are_an_error(start, tmp_path):
    """No order changes in silence."""
    config = dataclasses.replace(CONFIG, mixture_or_task_name="odd", num_data_shards=1)
    batches = start(config, say=lambda text: None)
    take(batches, 3)
    folder = store(tmp_path / "a", batches.position(3))
    again = start(config, restore_from=folder, batches_done=3, say=lambda text: None)
    with pytest.raises(ValueError, match="The data is not what it was.*RESTORE_DATASET=False"):
        next(again)


def test_files_that_were_changed_are_an_error(run, start, tmp_path):
    """The batches between the saved state and the position are compared."""
    name = "shard-00001-of-00002.json"
    changed = json.loads(run.position[8][name]) | {"digest": "0" * 32}
    position = run.position[8] | {name: json.dumps(changed).encode()}
    again = start(restore_from=store(tmp_path / "a", position), batches_done=8)
    with pytest.raises(ValueError, match="The data is not what it was"):
        next(again)


def test_a_state_that_does_not_load_is_replaced_by_reading_again(run, start, tmp_path):
    """As one of another TensorFlow: it costs time, and is said."""
    name = "shard-00000-of-00002.json"
    older = {"versions": {"seqio": "0.0.20", "tensorflow": "1.15"}}
    position = run.position[8] | {
        name: json.dumps(json.loads(run.position[8][name]) | older).encode(),
        "shard-00001-of-00002.snapshot": b"of another version",
    }
    said = []
    folder = store(tmp_path / "a", position)
    again = start(restore_from=folder, batches_done=8, say=said.append)
    assert_same(take(again, 4), run.taken[8:12])
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
