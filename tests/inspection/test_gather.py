"""What is found of a task is what its pipeline makes of it."""

import numpy as np
import pytest

from t5x_lite.inspection.gather import gather
from t5x_lite.inspection.statistics import tokens_drawn

LENGTHS = {"inputs": 8, "targets": 4}


def test_lengths_are_those_before_trimming(short):
    """1 to 10 letters and the end token; 3 of 10 are longer than 8, and lose 3 + 2 + 1 of 65."""
    inputs = short.tasks[0].features["inputs"]
    assert sorted(inputs.lengths) == list(range(2, 12))
    assert inputs.percentiles == {"50 %": 6, "90 %": 10, "95 %": 11, "99 %": 11, "max": 11}
    assert inputs.truncated == 0.3
    assert inputs.lost_tokens == pytest.approx(6 / 65)
    assert inputs.padding_unpacked == pytest.approx(1 - (65 - 6) / 80)
    assert short.tasks[0].is_all


def test_examples_are_those_that_a_model_reads(short):
    """In the order of the source, cut, with their end token; what it keeps besides is shown."""
    shown = short.tasks[0].examples
    assert [example.others for example in shown] == [
        {"number": "1"},
        {"number": "2"},
        {"number": "3"},
    ]
    cut = gather("long", lengths=LENGTHS, num_examples=1, max_sample=0).tasks[0].examples[0]
    assert [piece.text for piece in cut.features["inputs"].pieces] == ["iiiiiii", "</s>"]
    assert len(cut.features["inputs"].ids) == 8


def test_packed_rows_hold_what_was_read(short):
    """All 10 examples once; the tokens that survive the cut over the positions of the rows."""
    fill = short.fill
    assert fill.examples == 10
    assert 5 <= fill.rows < 10
    assert fill.filled["inputs"] == pytest.approx((65 - 6) / (8 * fill.rows))


def test_a_language_model_has_targets_alone():
    found = gather("text", lengths={"targets": 8})
    assert list(found.tasks[0].features) == ["targets"]
    assert found.fill.examples == 10
    assert found.fill.filled["targets"] > 0.5


def test_sentinels_are_counted_and_name_the_targets_length(hidden):
    """Corrupted targets are as long as they are, so 512 positions would be padding."""
    (task,) = hidden.tasks
    assert hidden.lengths == {"inputs": 512, "targets": 6}
    assert "corrupted targets of 6" in hidden.lengths_note
    assert [example.features["targets"].limit for example in task.examples] == [6]
    for feature in task.features.values():
        assert feature.sentinels.tolist() == [2]
        assert feature.highest_sentinel == 1


def test_lengths_that_nobody_gave_are_said(short):
    found = gather("short", max_sample=0, num_examples=0)
    assert found.lengths == {"inputs": 512, "targets": 512}
    assert found.lengths_note == "not given, so 512 each"
    assert short.lengths_note == ""


def test_reading_is_bounded():
    found = gather("long", lengths=LENGTHS, max_sample=4, num_examples=0)
    (task,) = found.tasks
    assert task.sample_size == 4
    assert not task.is_all
    assert 4 <= found.fill.examples < 10


def test_a_mixture_has_shares_that_are_drawn(nested):
    """short is 3/4 of one half; 4 standard errors of 100,000 draws."""
    shares = {row.name: row for row in nested.shares}
    assert {name: row.share for name, row in shares.items()} == pytest.approx(
        {"hidden": 0.5, "short": 0.375, "long": 0.125}
    )
    for row in shares.values():
        error = np.sqrt(row.share * (1 - row.share) / nested.num_draws)
        assert abs(row.drawn - row.share) < 4 * error
    assert sum(row.tokens for row in shares.values()) == pytest.approx(1)
    assert shares["short"].tokens < shares["short"].share, "its examples are the shortest"
    assert [len(task.examples) for task in nested.tasks] == [1, 1, 1]


def test_tokens_follow_shares_and_lengths():
    assert tokens_drawn({"a": 0.9, "b": 0.1}, {"a": 1.0, "b": 9.0}) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("shrot", {}, "Did you mean short"),
        ("short", {"split": "trian"}, "did you mean 'train'"),
        ("short", {"lengths": {"inputs": 8}}, "has the features inputs, targets"),
    ],
)
def test_a_mistake_is_told_with_what_is_there(name, settings, message):
    with pytest.raises(ValueError, match=message):
        gather(name, **settings)
