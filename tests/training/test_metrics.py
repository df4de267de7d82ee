"""From sums to the tags that users of T5X look for, by hand-computed cases."""

import math

import jax.numpy as jnp
import pytest

from t5x_lite.training import metrics

STEP = {
    "steps": 1.0,
    "rows": 4.0,
    "loss": 2.0,
    "term": 2.0,
    "loss_sum": 21.0,
    "cross_entropy_sum": 20.0,
    "z_loss_sum": 1.0,
    "correct_sum": 5.0,
    "weight_sum": 10.0,
    "positions/encoder_input_tokens": 40.0,
    "tokens/encoder_input_tokens": 30.0,
    "positions/decoder_target_tokens": 20.0,
    "tokens/decoder_target_tokens": 10.0,
}


def two_steps():
    """The sums of two equal steps, added on the host."""
    step = {name: jnp.float32(value) for name, value in STEP.items()}
    return metrics.add([step, step])


def test_scalars_are_per_token_and_do_not_depend_on_the_number_of_steps():
    """All are means, also those that T5X gives per step."""
    scalars = metrics.summarize(two_steps())
    assert scalars["loss_per_token"] == pytest.approx(2.1)
    assert scalars["loss"] == pytest.approx(2.0)
    assert scalars["cross_ent_loss"] == pytest.approx(2.0 * 20 / 21)
    assert scalars["cross_ent_loss"] + scalars["z_loss"] == pytest.approx(scalars["loss"])
    assert scalars["accuracy"] == pytest.approx(0.5)
    assert scalars["perplexity"] == pytest.approx(math.exp(2.0))
    assert scalars["loss_per_all_target_tokens"] == pytest.approx(42 / 40)


def test_terms_beside_the_first_are_reported_by_their_configs():
    """Means over steps before their weights; what tokens cost stays what the first term says."""
    sums = two_steps() | {"loss": 10.0, "Other/term": 6.0, "Other/loss_sum": 63.0}
    scalars = metrics.summarize(sums)
    assert scalars["loss"] == pytest.approx(5.0)
    assert scalars["Other"] == pytest.approx(3.0)
    assert scalars["cross_ent_loss"] + scalars["z_loss"] == pytest.approx(2.0)
    assert scalars["loss_per_token"] == pytest.approx(2.1)


def test_shares_of_a_term_bear_its_name():
    """What is right of what counts, and pairs in the right order of all pairs."""
    term = {"correct_sum": 3.0, "weight_sum": 4.0, "ranked_sum": 9.0, "pairs_sum": 12.0}
    scalars = metrics.summarize(two_steps() | {f"Other/{k}": v for k, v in term.items()})
    assert scalars["Other/accuracy"] == scalars["Other/auroc"] == pytest.approx(0.75)
    assert scalars["accuracy"] == pytest.approx(0.5) and "auroc" not in scalars


def test_a_first_term_that_knows_no_tokens_has_no_accuracy():
    """Whatever it is, its mean and the shares of padding are known."""
    of_tokens = {"cross_entropy_sum", "z_loss_sum", "correct_sum"}
    sums = {name: value for name, value in two_steps().items() if name not in of_tokens}
    scalars = metrics.summarize(sums)
    assert scalars["loss_per_token"] == pytest.approx(2.1)
    assert scalars["loss_per_all_target_tokens"] == pytest.approx(42 / 40)
    assert scalars["non_padding_fraction/loss_weights"] == pytest.approx(0.5)
    absent = {"accuracy", "perplexity", "cross_ent_loss", "z_loss"}
    assert not absent & scalars.keys()


def test_every_term_that_counts_what_is_right_has_an_accuracy():
    """The first one without a name, whatever it is of."""
    of_tokens = {"cross_entropy_sum", "z_loss_sum"}
    sums = {name: value for name, value in two_steps().items() if name not in of_tokens}
    scalars = metrics.summarize(sums | {"Other/correct_sum": 3.0, "Other/weight_sum": 4.0})
    assert scalars["accuracy"] == pytest.approx(0.5)
    assert scalars["Other/accuracy"] == pytest.approx(0.75)


def test_an_encoder_alone_has_targets_where_its_inputs_are():
    """Their positions are what target tokens a second count."""
    sums = {name: value for name, value in two_steps().items() if "decoder" not in name}
    speeds = metrics.speed(sums, seconds=2.0, devices=4)
    assert speeds["timing/target_tokens_per_second"] == pytest.approx(40.0)
    scalars = metrics.summarize(sums)
    assert scalars["loss_per_all_target_tokens"] == pytest.approx(42 / 80)
    assert scalars["non_padding_fraction/loss_weights"] == pytest.approx(20 / 80)


def test_what_describes_a_step_is_a_mean_over_steps_and_a_scalar_for_each_layer():
    """Sums over steps would grow with LOG_PERIOD."""
    steps = [
        STEP | {"per_step/weight_norm": norm, "per_step/weight_rms/encoder/layers/wi": layers}
        for norm, layers in ((3.0, [1.0, 10.0]), (5.0, [3.0, 30.0]))
    ]
    placed = [{name: jnp.asarray(value) for name, value in step.items()} for step in steps]
    scalars = metrics.summarize(metrics.add(placed))
    assert scalars["weight_norm"] == pytest.approx(4.0)
    assert scalars["weight_rms/encoder/layers_0/wi"] == pytest.approx(2.0)
    assert scalars["weight_rms/encoder/layers_1/wi"] == pytest.approx(20.0)


def test_steps_that_did_not_count_give_zeros():
    """A period in which every step was unsound has sums of zero; nothing divides by them."""
    scalars = metrics.summarize(dict.fromkeys(STEP, 0.0))
    assert set(scalars.values()) == {0.0, 1.0}
    assert scalars["perplexity"] == 1.0


def test_padding_is_reported_for_each_side_and_together():
    """The shares of positions that hold a token."""
    scalars = metrics.summarize(two_steps())
    assert scalars["non_padding_fraction/encoder"] == pytest.approx(0.75)
    assert scalars["non_padding_fraction/decoder"] == pytest.approx(0.5)
    assert scalars["non_padding_fraction/overall"] == pytest.approx(40 / 60)
    assert scalars["non_padding_fraction/loss_weights"] == pytest.approx(0.5)
    assert scalars["effective_batch_size/encoder"] == pytest.approx(0.75 * 4)


def test_speeds_keep_t5x_meaning_and_add_real_tokens():
    """target_tokens_per_second counts padding, as users know it; ours beside it does not."""
    scalars = metrics.speed(two_steps(), seconds=2.0, devices=4)
    assert scalars["timing/steps_per_second"] == pytest.approx(1.0)
    assert scalars["timing/target_tokens_per_second"] == pytest.approx(20.0)
    assert scalars["timing/target_tokens_per_second_per_core"] == pytest.approx(5.0)
    assert scalars["timing/real_tokens_per_second"] == pytest.approx(40.0)


def test_utilization_is_the_model_flops_over_the_peak_of_all_devices():
    """Two steps of 4 rows of 3 FLOP in 2 s are 12 a second: a half of four devices' 6 each."""
    scalars = metrics.speed(two_steps(), seconds=2.0, devices=4, row_flops=3.0, peak_flops=6.0)
    assert scalars["timing/model_flops_per_second"] == pytest.approx(12.0)
    assert scalars["timing/mfu"] == pytest.approx(0.5)
    unknown = metrics.speed(two_steps(), seconds=2.0, devices=4, row_flops=3.0)
    assert "timing/mfu" not in unknown


def test_a_model_without_an_encoder_has_no_encoder_share():
    """Language models have one sequence."""
    sums = {name: value for name, value in STEP.items() if "encoder_input" not in name}
    scalars = metrics.summarize(sums)
    assert "non_padding_fraction/encoder" not in scalars
    assert scalars["non_padding_fraction/overall"] == pytest.approx(0.5)
