import numpy as np
import pytest

from t5x_lite.optim.config import ScheduleConfig
from t5x_lite.optim.schedules import make_schedule


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.01), (10_000, 0.01), (20_000, 0.0070711), (2**19, 0.0013811), (1_000_000, 0.001)],
)
def test_pretraining_decays_with_the_root_of_the_step(step, rate):
    """The published schedule 1/sqrt(max(n, 10^4)); fine-tuning's constant continues it at 10^6."""
    schedule = make_schedule(
        ScheduleConfig(factors="constant * rsqrt_decay", base_learning_rate=1.0)
    )
    np.testing.assert_allclose(schedule(step), rate, rtol=5e-5)  # as many digits as published


@pytest.mark.parametrize("step", [0, 1, 262_144])
def test_finetuning_is_constant(step):
    assert make_schedule(ScheduleConfig())(step) == np.float32(0.001)


@pytest.mark.parametrize(
    ("factor", "values"),
    [
        ("linear_warmup", {0: 0.0, 5: 0.5, 10: 1.0, 30: 1.0}),
        ("linear_decay", {0: 1.0, 10: 1.0, 20: 0.6, 30: 0.2, 40: 0.2}),
        ("rsqrt_decay", {0: 10**-0.5, 10: 10**-0.5, 40: 40**-0.5}),
        ("rsqrt_normalized_decay", {0: 1.0, 10: 1.0, 40: 0.5}),
        ("decay_every", {0: 1.0, 3: 1.0, 4: 0.5, 8: 0.25, 11: 0.25}),
        ("cosine_decay", {0: 1.0, 10: 1.0, 15: 0.8828427, 20: 0.6, 30: 0.2, 50: 0.2}),
        ("triangular", {0: 0.0, 5: 0.5, 10: 1.0, 20: 0.6, 30: 0.2}),
    ],
)
def test_each_factor_has_the_values_of_its_definition(factor, values):
    """Worked out by hand for w=10, T=30, m=0.2, halving every 4."""
    schedule = make_schedule(
        ScheduleConfig(
            factors=factor, warmup_steps=10, total_steps=30, minimum_factor=0.2, steps_per_decay=4
        )
    )
    found = [float(schedule(step)) for step in values]
    np.testing.assert_allclose(found, list(values.values()), rtol=1e-6, atol=1e-7)


def test_factors_multiply():
    """A product of one factor each is the product of both."""
    both = make_schedule(ScheduleConfig(factors="constant*linear_warmup", warmup_steps=8))
    np.testing.assert_allclose(both(2), 0.001 * 0.25, rtol=1e-6)


def test_a_misspelt_factor_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'rsqrt_decay'"):
        make_schedule(ScheduleConfig(factors="constant * rsqrt_decy"))


@pytest.mark.parametrize("factor", ["linear_decay", "rewound_decay", "cosine_decay", "triangular"])
def test_a_factor_that_ends_asks_for_the_end(factor):
    with pytest.raises(ValueError, match="total_steps=None.*above warmup_steps=10000"):
        make_schedule(ScheduleConfig(factors=factor))


def test_a_warm_up_of_no_steps_is_refused():
    """0/0 at step 0 would make the first update NaN."""
    with pytest.raises(ValueError, match="warmup_steps=0"):
        make_schedule(ScheduleConfig(factors="linear_warmup", warmup_steps=0))


def test_a_warm_up_given_as_a_share_is_that_many_of_all_steps():
    """A quarter of 40 steps are 10, and of few steps at least one."""
    both = [
        make_schedule(
            ScheduleConfig(factors="triangular", warmup_steps=warmup_steps, total_steps=40)
        )
        for warmup_steps in (0.25, 10)
    ]
    assert [float(both[0](step)) for step in range(41)] == [
        float(both[1](step)) for step in range(41)
    ]
    assert ScheduleConfig(warmup_steps=0.1, total_steps=3).num_warmup_steps == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_steps": 1.5, "total_steps": 9}, "warmup_steps=1.5.*between 0 and 1"),
        ({"warmup_steps": 0.0, "total_steps": 9}, "warmup_steps=0.0.*between 0 and 1"),
        ({"warmup_steps": 0.1}, "share of total_steps=None"),
        ({"warmup_steps": 9, "total_steps": 9, "factors": "cosine_decay"}, "number above 9"),
        ({"warmup_steps": 0.1, "total_steps": 1, "factors": "linear_decay"}, "number above 1"),
    ],
)
def test_a_warm_up_that_fits_no_run_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ScheduleConfig(**settings)


def test_the_learning_rate_goes_back_at_each_update():
    """With 50,000 steps behind the pruning it falls by 1,000 / 50,000 in between, and then to 0."""
    schedule = make_schedule(
        ScheduleConfig(
            factors="rewound_decay", total_steps=100_000, rewind_period=1000, rewind_until=50_000
        )
    )
    values = {0: 1, 500: 0.99, 999: 0.98002, 1000: 1, 49_500: 0.99, 50_000: 1, 51_000: 0.98}
    values |= {75_000: 0.5, 100_000: 0, 110_000: 0}
    found = {step: float(schedule(step)) for step in values}
    assert found == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize("until", [None, 100, 200])
def test_rewinding_ends_before_the_run_does(until):
    with pytest.raises(ValueError, match=f"rewind_until={until} and total_steps=100"):
        ScheduleConfig(factors="rewound_decay", total_steps=100, warmup_steps=1, rewind_until=until)
