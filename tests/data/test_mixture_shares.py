"""The table of shares is what SeqIO draws by."""

import numpy as np
import pytest
import seqio

from t5x_lite.data.mixture_shares import MixtureShare, mixture_shares


@pytest.fixture(scope="module", autouse=True)
def mixtures(tasks):
    """Sub-mixtures, a task on two ways, one without the split, one with the rate 0."""
    validation_only = seqio.FunctionDataSource(
        lambda split, shuffle_files: None, ["validation"], num_input_examples={"validation": 1}
    )
    numbers = seqio.TaskRegistry.get("numbers")
    seqio.TaskRegistry.add("held_out", validation_only, numbers.output_features, preprocessors=[])
    added = {
        "two_levels": [("two_to_one", 6.0), ("few", 1.0), ("numbers", 3.0)],
        "with_held_out": [("few", 1.0), ("numbers", 3.0), ("held_out", 5.0)],
        "with_zero": [("few", 1.0), ("numbers", 0.0)],
        "only_zero": [("few", 0.0), ("numbers", 0.0)],
    }
    for name, parts in added.items():
        seqio.MixtureRegistry.add(name, parts)
    yield
    for name in added:
        seqio.MixtureRegistry.remove(name)
    seqio.TaskRegistry.remove("held_out")


def shares(name, **kwargs):
    return {row.name: row.share for row in mixture_shares(name, **kwargs)}


def test_sub_mixtures_are_resolved_and_a_task_on_two_ways_adds_up():
    """6 x 2/3 + 3 of numbers, 6 x 1/3 of more_numbers, 1 of few; the most frequent first."""
    assert mixture_shares("two_levels") == [
        MixtureShare("numbers", 7.0, 0.7),
        MixtureShare("more_numbers", 2.0, 0.2),
        MixtureShare("few", 1.0, 0.1),
    ]


def test_a_task_without_the_split_is_not_drawn():
    """SeqIO skips it, so the others share its part; in its own split it is all there is."""
    assert shares("with_held_out") == {"numbers": 0.75, "few": 0.25, "held_out": 0.0}
    assert shares("with_held_out", split="validation")["held_out"] == 1.0
    assert shares("with_held_out", split="train[:10%]")["held_out"] == 0.0


def test_a_task_is_a_mixture_of_one():
    """So callers need no case of their own."""
    assert mixture_shares("numbers") == [MixtureShare("numbers", 1.0, 1.0)]


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("two_levls", "train", "Did you mean two_levels"),
        ("two_levels", "trian", "no split 'trian': did you mean 'train'"),
        ("only_zero", "train", "rate 0, so nothing can be drawn: few, numbers"),
    ],
)
def test_what_has_no_shares_is_refused(name, split, message):
    """Said with what was asked for and what there is."""
    with pytest.raises(ValueError, match=message):
        mixture_shares(name, split=split)


@pytest.mark.parametrize("name", ["two_levels", "with_held_out", "with_zero"])
def test_seqio_draws_by_these_shares(name):
    """4,000 draws of a real mixture: within 4 standard errors of the shares. The three examples of
    `few` are also the first three of `numbers`.
    """
    draws = seqio.get_mixture_or_task(name).get_dataset(shuffle=False).take(4000)
    ids = np.array([example["inputs"][0] for example in draws.as_numpy_iterator()])
    counted = [(ids < 13).mean(), ((ids >= 13) & (ids < 500)).mean(), (ids >= 500).mean()]
    of = {"numbers": 0.0, "more_numbers": 0.0} | shares(name)
    first_three = of["numbers"] * 3 / 90
    wanted = np.array([of["few"] + first_three, of["numbers"] - first_three, of["more_numbers"]])
    assert (np.abs(counted - wanted) <= 4 * np.sqrt(wanted * (1 - wanted) / 4000)).all()
