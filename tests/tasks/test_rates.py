"""Rates of tasks: by published numbers, else by what a cache or a source holds."""

import pytest
import seqio
import tensorflow as tf

from t5x_lite.tasks import rates
from t5x_lite.tasks.example_counts import num_examples


def task(name, size):
    source = seqio.FunctionDataSource(
        lambda split, shuffle_files: tf.data.Dataset.from_tensors({"targets": [1]}),
        ["train"],
        num_input_examples={"train": size} if size is not None else None,
    )
    features = {"targets": seqio.Feature(seqio.PassThroughVocabulary(99))}
    return seqio.Task(name, source=source, output_features=features)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (rates.examples_proportional(limit=1000), (100, 1000)),
        (rates.temperature(2.0), (10, 200)),
        (rates.temperature(2.0, limit=2500), (10, 50)),
        (rates.equal(), (1, 1)),
    ],
    ids=["limit", "temperature", "temperature of a limit", "equal"],
)
def test_each_kind_of_rate(rate, expected):
    """The limit comes before the power 1 / T."""
    assert (rate(task("small", 100)), rate(task("large", 40_000))) == expected


def test_a_task_of_the_paper_counts_its_published_examples():
    """Whatever part of it lies on the disk: the source of these says 7."""
    assert num_examples(task("squad_v010_allanswers", 7)) == 87_599
    assert num_examples(task("c4_v310_span_corruption", 7)) == 364_868_901
    assert num_examples(task("c4_realnewslike_v220_span_corruption", 7)) == 7


def test_a_cached_task_counts_what_its_cache_holds(tmp_path):
    """Preprocessing may drop or add examples; nothing is read but the cache's own count."""
    folder = tmp_path / "cached_rates"
    folder.mkdir()
    (folder / "COMPLETED").touch()
    (folder / "stats.train.json").write_text('{"examples": 12}')
    seqio.add_global_cache_dirs([str(tmp_path)])
    try:
        cached = seqio.Task(
            "cached_rates",
            source=task("source_of_7", 7).source,
            preprocessors=[seqio.CacheDatasetPlaceholder()],
            output_features={"targets": seqio.Feature(seqio.PassThroughVocabulary(99))},
        )
        assert num_examples(cached) == 12
    finally:
        seqio.set_global_cache_dirs([])


def test_a_source_that_cannot_count_is_named():
    """With both ways out."""
    with pytest.raises(ValueError, match="mine.*`num_input_examples`, or the task a number"):
        rates.equal()(task("mine", None)), rates.temperature(2.0)(task("mine", None))


def test_a_task_reachable_twice_adds_up():
    """A sub-mixture passes its rate on in the shares of its tasks."""
    a, b = task("a", 100), task("b", 300)
    inner = seqio.Mixture("inner", [a, b], default_rate=rates.examples_proportional(limit=2**20))
    outer = seqio.Mixture("outer", [(inner, 8.0), (a, 1.0)])
    assert (outer.get_rate(a), outer.get_rate(b)) == (3.0, 6.0)
