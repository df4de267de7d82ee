"""Batches that grow: which examples are read does not change, only where one batch ends."""

import itertools

import numpy as np
import pytest
import seqio
from etils import epath
from hypothesis import given
from hypothesis import strategies as st

from t5x_lite.data import checks
from t5x_lite.data.batches import Batches
from t5x_lite.data.config import BatchRampConfig, DatasetConfig
from t5x_lite.data.ramp import Ramp, Stage, make_ramp
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout, ModelFeatures

LENGTHS, FEATURES = {"targets": 4}, ModelFeatures(Layout.LM)
GROWING = BatchRampConfig(start=4, increment=4, rows=16)


def dataset(**fields):
    return DatasetConfig(
        **{
            "mixture_or_task_name": "growing_numbers",
            "task_feature_lengths": LENGTHS,
            "batch_size": 12,
            "num_data_shards": 2,
            "shuffle": False,
        }
        | fields
    )


@pytest.fixture(scope="module", autouse=True)
def numbers(tmp_path_factory):
    """Lines of one number each."""
    file = tmp_path_factory.mktemp("growing_numbers") / "numbers.txt"
    file.write_text("".join(f"{n}\n" for n in range(200)))
    seqio.TaskRegistry.add(
        "growing_numbers",
        source=seqio.TextLineDataSource({"train": str(file)}),
        preprocessors=[
            seqio.map_over_dataset(lambda line: {"targets": line}),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"targets": seqio.Feature(seqio.ByteVocabulary(extra_ids=0))},
    )
    yield
    seqio.TaskRegistry.remove("growing_numbers")


def test_each_size_lasts_until_its_share_of_the_ramp_is_read():
    ramp = make_ramp(dataset(batch_ramp=GROWING))
    assert ramp == Ramp((Stage(0, 4), Stage(2, 8), Stage(3, 12)))
    assert str(ramp) == "4 rows, 8 from step 3, 12 from step 4"
    assert make_ramp(dataset()).stages == (Stage(0, 12),)


@given(
    start=st.integers(1, 40),
    increment=st.integers(2, 40),
    more=st.integers(1, 60),
    rows=st.integers(1, 2000),
    count=st.integers(0, 300),
)
def test_rows_of_batches_add_up(start, increment, more, rows, count):
    """They only grow, up to a whole batch, and all are multiples of one number."""
    ramp_config = BatchRampConfig(start=start, increment=increment, rows=rows)
    ramp = make_ramp(dataset(batch_size=start + more, batch_ramp=ramp_config))
    sizes = [ramp.rows_of(number) for number in range(count)]
    assert sum(sizes) == ramp.rows_of_first(count)
    assert sizes == sorted(sizes) and all(size % ramp.rows_at_once == 0 for size in sizes)
    last = ramp.stages[-1]
    assert last.rows == start + more and ramp.rows_of_first(last.first) >= rows


def shards_of(batches):
    """What each of the two data shards gave, row after row."""
    halves = [np.split(batch["decoder_target_tokens"], 2) for batch in batches]
    return [np.concatenate(rows) for rows in zip(*halves, strict=True)]


@pytest.fixture(scope="module")
def run():
    """Eight growing batches and the position behind each."""
    batches = Batches(dataset(batch_ramp=GROWING), FEATURES, snapshot_period=3)
    taken, positions = [], [None]
    for step in range(1, 9):
        taken.append(next(batches))
        positions.append(batches.position(step))
    batches.close()
    return taken, positions


def test_the_examples_are_those_of_batches_that_do_not_grow(run):
    """Shard by shard, in the same order, whatever the sizes."""
    taken, _ = run
    assert [len(batch["decoder_target_tokens"]) for batch in taken] == [4, 4, 8, *[12] * 5]
    plain = Batches(dataset(), FEATURES)
    expected = shards_of(itertools.islice(plain, 7))
    plain.close()
    for grown, whole in zip(shards_of(taken), expected, strict=True):
        np.testing.assert_array_equal(grown, whole[: len(grown)])


@pytest.mark.parametrize("place", [1, 2, 3, 5])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_restart_goes_on_bit_for_bit(run, place, processes, tmp_path):
    """Wherever the run stood in its ramp, in as many processes as there are shards or in one."""
    taken, positions = run
    for name, content in positions[place].items():
        (epath.Path(tmp_path) / name).write_bytes(content)
    again = [
        Batches(
            dataset(batch_ramp=GROWING),
            FEATURES,
            process_index=index,
            process_count=processes,
            restore_from=epath.Path(tmp_path),
            batches_done=place,
        )
        for index in range(processes)
    ]
    for expected in taken[place:]:
        parts = [next(batches) for batches in again]
        for name, value in expected.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), value)
    for batches in again:
        batches.close()


@pytest.mark.parametrize("ramp", [None, BatchRampConfig(start=4, increment=4, rows=17)], ids=str)
def test_another_ramp_is_refused(run, ramp, tmp_path):
    for name, content in run[1][3].items():
        (epath.Path(tmp_path) / name).write_bytes(content)
    with pytest.raises(UserError, match="batch_ramp.*in the checkpoint"):
        Batches(
            dataset(batch_ramp=ramp), FEATURES, restore_from=epath.Path(tmp_path), batches_done=3
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": 12}, "start=12 rows and batch_size=12: needed are fewer"),
        ({"start": 1, "batch_size": 200}, "50 sizes, each of which compiles .*increment=7"),
    ],
)
def test_impossible_ramps_are_refused(fields, message):
    batch_size = fields.pop("batch_size", 12)
    with pytest.raises(UserError, match=message):
        dataset(
            batch_size=batch_size,
            batch_ramp=BatchRampConfig(**{"start": 4, "increment": 4, "rows": 16} | fields),
        )


def test_shards_divide_every_size():
    ramp = BatchRampConfig(start=3, increment=3, rows=16)
    with pytest.raises(UserError, match="multiples of 3 rows, which cannot be split over 2"):
        checks.num_data_shards(dataset(batch_ramp=ramp), 1)
