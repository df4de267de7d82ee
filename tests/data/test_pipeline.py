"""Laws of batches: complete, disjoint, a function of (seed, shards), the same for any processes."""

import concurrent.futures
import dataclasses
import itertools
import threading

import numpy as np
import pytest

from t5x_lite.data import streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures

CONFIG = DatasetConfig(
    mixture_or_task_name="numbers",
    task_feature_lengths={"inputs": 6, "targets": 5},
    batch_size=8,
    pack=False,
    num_data_shards=4,
)
LINES = dataclasses.replace(
    CONFIG, mixture_or_task_name="lines", task_feature_lengths={"targets": 4}
)


def take(config, count, layout=Layout.ENCODER_DECODER, **kwargs):
    return list(itertools.islice(make_batches(config, ModelFeatures(layout), **kwargs), count))


def first_ids(batches):
    """The id that tells an example apart, of every row that holds one."""
    key = (
        "encoder_input_tokens" if "encoder_input_tokens" in batches[0] else "decoder_target_tokens"
    )
    ids = np.concatenate([batch[key][:, 0] for batch in batches])
    return ids[ids > 0].tolist()


def assert_same(a, b):
    assert len(a) == len(b)
    for left, right in zip(a, b):
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize("shards", [1, 4])
def test_an_epoch_has_every_example_exactly_once(shards):
    """The shards are disjoint and cover the split, also where 90 does not divide by 8."""
    config = dataclasses.replace(CONFIG, num_data_shards=shards)
    ids = first_ids(list(make_batches(config, ModelFeatures(Layout.ENCODER_DECODER), num_epochs=1)))
    assert sorted(ids) == list(range(10, 100))


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_of_shuffled_files_are_disjoint_and_cover(shards):
    """Two files: two shards share them by file, four by example, for which all must agree."""
    config = dataclasses.replace(LINES, num_data_shards=shards)
    ids = first_ids(list(make_batches(config, ModelFeatures(Layout.LM), num_epochs=1)))
    assert sorted(ids) == list(range(200, 240))


def test_an_epoch_of_a_mixture_has_all_examples_of_all_tasks():
    """SeqIO alone would stop where the first of the tasks ends."""
    config = dataclasses.replace(CONFIG, mixture_or_task_name="two_to_one")
    ids = first_ids(list(make_batches(config, ModelFeatures(Layout.ENCODER_DECODER), num_epochs=1)))
    assert sorted(ids) == [*range(10, 100), *range(500, 560)]


def test_rows_that_fill_an_epoch_up_have_no_loss():
    """They must not count in an evaluation."""
    batches = list(make_batches(CONFIG, ModelFeatures(Layout.ENCODER_DECODER), num_epochs=1))
    filler = np.concatenate([b["encoder_input_tokens"][:, 0] == 0 for b in batches])
    weights = np.concatenate([b["decoder_loss_weights"].sum(axis=1) for b in batches])
    assert filler.any()
    np.testing.assert_array_equal(weights == 0, filler)


@pytest.mark.parametrize("name", ["numbers", "two_to_one"])
def test_the_order_is_a_function_of_the_seed(name):
    """A restart reads what the first start read; another seed something else."""
    config = dataclasses.replace(CONFIG, mixture_or_task_name=name, num_data_shards=2)
    first, again = take(config, 6), take(config, 6)
    assert_same(first, again)
    other = take(dataclasses.replace(config, seed=1), 6)
    assert first_ids(first) != first_ids(other)


def join(parts):
    """The batches of which each process has its rows."""
    return [{k: np.concatenate([a[k], b[k]]) for k in a} for a, b in zip(*parts, strict=True)]


def test_two_processes_read_the_rows_of_one():
    """Process p of P has the shards p k to (p + 1) k - 1, one after the other, in every batch."""
    config = dataclasses.replace(CONFIG, pack=True, num_data_shards=2)
    parts = [take(config, 5, process_index=p, process_count=2) for p in (0, 1)]
    assert_same(take(config, 5), join(parts))


def epoch_of_two(config, layout):
    """Each process's batches of an epoch, in two threads that agree as processes do."""
    meeting, votes = threading.Barrier(2, timeout=20), [False, False]

    def read(process):
        def any_process(vote):
            votes[process] = vote
            meeting.wait()
            found = any(votes)
            meeting.wait()
            return found

        return list(
            make_batches(
                config,
                ModelFeatures(layout),
                process_index=process,
                process_count=2,
                num_epochs=1,
                any_process=any_process,
            )
        )

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(read, [0, 1]))


@pytest.mark.parametrize(
    ("name", "pack", "layout", "shards"),
    [("numbers", True, Layout.ENCODER_DECODER, 2), ("few", False, Layout.PREFIX_LM, 4)],
)
def test_two_processes_read_an_epoch_in_halves(name, pack, layout, shards, monkeypatch):
    """Together what one reads, in as many batches, though the second may have no example at all;
    each opens its own shards only.
    """
    config = dataclasses.replace(
        CONFIG, mixture_or_task_name=name, pack=pack, num_data_shards=shards
    )
    alone = list(make_batches(config, ModelFeatures(layout), num_epochs=1))
    opened = []
    open_shard = streams.shard_batches

    def note(config, features, shard, **settings):
        opened.append(shard.index)
        return open_shard(config, features, shard, **settings)

    monkeypatch.setattr(streams, "shard_batches", note)
    assert_same(alone, join(epoch_of_two(config, layout)))
    assert sorted(opened) == list(range(shards))


def test_shards_draw_their_tasks_independently():
    """With one seed for all, every shard would take the same task at the same step."""
    config = dataclasses.replace(CONFIG, mixture_or_task_name="two_to_one", num_data_shards=4)
    batches = take(config, 40)
    first_rows = np.stack([batch["encoder_input_tokens"][::2, 0] < 500 for batch in batches])
    mixed = first_rows.any(axis=1) & ~first_rows.all(axis=1)
    # The first rows of 4 shards are of one task with probability (2/3)^4 + (1/3)^4 = 0.21.
    assert mixed.mean() > 0.5


def test_training_never_ends_and_shuffles():
    """90 examples, 320 rows; SeqIO's shuffling buffer is larger than the split, so epochs blur."""
    ids = first_ids(take(dataclasses.replace(CONFIG, num_data_shards=1), 40))
    assert len(ids) == 320 and set(ids) <= set(range(10, 100))
    assert len(set(ids)) > 80
    assert ids[:90] != sorted(ids[:90])


def test_without_shuffling_the_order_is_the_source_s():
    """For debugging, and for evaluation."""
    config = dataclasses.replace(CONFIG, shuffle=False, num_data_shards=1)
    assert first_ids(take(config, 3)) == list(range(10, 34))


def test_the_shards_are_one_per_process_unless_said_otherwise():
    """`num_data_shards=None` with two processes is two shards."""
    assert_same(
        take(dataclasses.replace(CONFIG, num_data_shards=None), 3, process_count=2),
        take(dataclasses.replace(CONFIG, num_data_shards=2), 3, process_count=2),
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"split": "empty"}, "'empty' of task numbers has no examples"),
        ({"mixture_or_task_name": "few"}, "Data shard 3 of 4 .* task few .*fewer data shards"),
        ({"batch_size": 6}, "batch_size=6 .* 4 data shards.* 4 and 8.*BATCH_SIZE"),
        ({"num_data_shards": 3}, "num_data_shards=3 .* 2 processes.* 4"),
    ],
    ids=["empty split", "empty shard", "batch", "processes"],
)
def test_what_could_never_make_a_batch_is_an_error(change, message):
    """An endless stream of nothing would hang instead."""
    config = dataclasses.replace(CONFIG, **change)
    with pytest.raises(ValueError, match=message):
        make_batches(
            config, ModelFeatures(Layout.ENCODER_DECODER), process_index=1, process_count=2
        )
