"""When how much is pruned (Zafrir et al. 2021), and what no run can do."""

import pytest

from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.compression.sparsities import check_length, share_after, updates

PAPER = PruningConfig(sparsity=0.9, end_step=50_000, update_period=1000)


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 0), (10_000, 0.4392), (25_000, 0.7875), (40_000, 0.8928), (50_000, 0.9), (100_000, 0.9)],
)
def test_the_paper_s_schedule_has_its_values(step, share):
    """Cubic, to the last step of which there is one."""
    assert share_after(PAPER, step) == pytest.approx(share, abs=5e-7)


def test_between_updates_nothing_goes():
    """Every 1,000 steps, 51 times; at the end whatever the period is."""
    assert [step for step, _ in updates(PAPER)] == [*range(0, 51_000, 1000)]
    assert share_after(PAPER, 10_999) == share_after(PAPER, 10_000) < share_after(PAPER, 11_000)
    odd = PruningConfig(sparsity=0.5, begin_step=5, end_step=12, update_period=3)
    assert [step for step, _ in updates(odd)] == [5, 8, 11, 12]
    assert share_after(odd, 11) < share_after(odd, 12) == 0.5


def test_shares_grow():
    """What has gone does not come back."""
    shares = [share for _, share in updates(PAPER)]
    assert shares == sorted(set(shares))


def test_other_methods_prune_once_or_never():
    at_once = PruningConfig(method=PruningMethod.ONE_SHOT, sparsity=0.5, begin_step=7)
    assert updates(at_once) == [(8, 0.5)]
    assert updates(PruningConfig(method=PruningMethod.LOCKED)) == []


def test_a_pattern_is_reached_to_the_last_weight():
    """1 of 3 left: what is written as a decimal number is not."""
    config = PruningConfig(sparsity=0.66667, pattern="1:3", end_step=9, update_period=9)
    assert round(updates(config)[-1][1] * 3_000_000) == 2_000_000


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sparsity": 1.0}, "sparsity=1.0: needed is less than 1"),
        ({"sparsity": 0.0}, "sparsity=0.0: needed is more than 0"),
        ({"sparsity": 90.0}, "sparsity=90.0: needed is less than 1"),
        ({"sparsity": None}, "sparsity=None: needed is the share .*--gin.SPARSITY"),
        ({"end_step": 10, "begin_step": 10}, "end_step=10 and begins at begin_step=10"),
        ({"end_step": None}, "end_step=None and begins at begin_step=0.*--gin.PRUNING_END"),
        ({"update_period": 51_000}, "update_period=51000 is longer than the 50000 steps"),
        ({"pattern": "4:2"}, "pattern='4:2': needed is 'n:m'"),
        ({"pattern": "two"}, "pattern='two': needed is 'n:m'"),
        ({"pattern": "2:4"}, "sparsity=0.9 with pattern='2:4', .* needed is 0.5, --gin.SPARSITY"),
        ({"weights": "("}, r"weights='\(' is no regular expression"),
        ({"method": PruningMethod.ONE_SHOT}, "'one_shot' with end_step=50000: all goes behind"),
        ({"method": PruningMethod.LOCKED}, "'locked' with sparsity=0.9, end_step=50000"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, message):
    """With both sides and the flag."""
    given = {"sparsity": 0.9, "end_step": 50_000} | fields
    with pytest.raises(ValueError, match=message):
        PruningConfig(**given)


def test_a_run_that_ends_too_early_is_refused():
    """It would end with a model that is pruned by half."""
    check_length(PAPER, 50_000)
    with pytest.raises(ValueError, match="after step 50,000 of the run, which has 49,999"):
        check_length(PAPER, 49_999)
    check_length(PruningConfig(method=PruningMethod.LOCKED), 1)
