"""Gradual unfreezing (Raffel et al. 2020, section 3.5.1; INV-20): which step trains which layer."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.finetuning import unfreezing
from t5x_lite.finetuning.config import UnfreezingConfig
from t5x_lite.losses.config import LossConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step


def test_episodes_of_the_paper_begin_at_their_exact_steps():
    """12 episodes of 21,845.33 steps in 2^18: the first whole step not before each boundary."""
    found = unfreezing.first_steps(depth=12, episodes=12, steps=2**18)
    assert found == sorted(found, reverse=True)
    boundaries = [2**18 / 12 * n for n in range(12)]
    for step, boundary in zip(reversed(found), boundaries, strict=True):
        assert step - 1 < boundary <= step
    assert found[-2] == 21_846


@pytest.mark.parametrize(
    ("depth", "episodes", "expected"),
    [
        (1, 12, [0]),
        (3, 12, [80, 40, 0]),  # a third of the episodes for each layer
        (4, 2, [60, 60, 0, 0]),  # two layers an episode
        (3, 2, [60, 0, 0]),  # 1.5 an episode, rounded up
    ],
)
def test_stacks_of_any_depth_are_unfrozen_in_the_same_episodes(depth, episodes, expected):
    """The last episode trains every layer."""
    assert unfreezing.first_steps(depth=depth, episodes=episodes, steps=120) == expected


@pytest.mark.parametrize(
    ("architecture", "rows"),
    [
        ("encoder_decoder", 12 + 1),
        ("shared", 12 + 1),
        ("half_depth", 6 + 1),
        ("lm", 12 + 1),
        ("prefix_lm", 12 + 1),
    ],
)
def test_one_include_unfreezes_every_architecture(architecture, rows, job_of):
    """By default one episode a layer, over the run; a table of position biases trains last."""
    files = ["models/t5_1_0/base.gin", f"models/architectures/{architecture}.gin"]
    overrides = ("TRAIN_STEPS=None", "TRAIN_STEPS_RELATIVE=262_144")
    job = job_of(files, "gradual_unfreezing", *overrides)
    groups = unfreezing.groups(job.unfreezing, job.model)
    assert len(groups) == rows
    assert groups[0].from_step == 0
    assert groups[0].layers == (rows - 2, rows - 2)
    table = groups[-1]
    assert "relpos_bias" in table.pattern
    assert table.from_step == max(group.from_step for group in groups)


def test_a_deeper_stack_sets_the_number_of_episodes():
    """ByT5: 12 layers of the encoder train one by one, 4 of the decoder in every third episode."""
    model = gin_config.resolve(ModelConfig, ["models/byt5/small.gin"]).config
    groups = unfreezing.groups(UnfreezingConfig(steps=1200), model)
    decoder = [group for group in groups if group.pattern == "decoder/layers/.*"]
    assert [group.from_step for group in decoder] == [0, 300, 600, 900]
    assert len([group for group in groups if group.pattern == "encoder/layers/.*"]) == 12


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"steps": 0}, "steps=0: needed is at least 1"),
        ({"steps": 5, "episodes": 6}, "a step for each"),
        ({"steps": 11}, "fewer than its 12 episodes, one a layer"),
    ],
)
def test_an_impossible_schedule_is_refused(fields, expected):
    """Before any step."""
    model = gin_config.resolve(ModelConfig, ["models/t5_1_0/base.gin"]).config
    with pytest.raises(ValueError, match=expected):
        unfreezing.groups(UnfreezingConfig(**fields), model)


def moved(before, after):
    """Names of what has changed, layers of stacks one by one: encoder/layers/0/mlp/wi/kernel."""
    found = set()
    pairs = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, one), other in pairs:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if "/layers/" not in name:
            one, other = one[None], other[None]
        for layer, (a, b) in enumerate(zip(one, other, strict=True)):
            if a.tobytes() != b.tobytes():
                found.add(name.replace("/layers/", f"/layers/{layer}/", 1))
    return found


def test_a_layer_rests_to_the_last_bit_until_its_step(model_of, parameters_of, batch, compilations):
    """One layer in the encoder, two in the decoder, on a mesh of 8 devices: exactly one layer more
    moves from its step on, slots included, in one compiled program; steps count from the start of
    the run, so a run that began at step 100 does the same.
    """
    model = model_of("encoder_decoder")
    model = dataclasses.replace(model, encoder=dataclasses.replace(model.encoder, num_layers=1))
    groups = unfreezing.groups(UnfreezingConfig(steps=4), model)
    factory = StateFactory(
        model,
        AdafactorConfig(min_dim_size_to_factor=8),
        ScheduleConfig(),
        make_partitioner(PartitioningConfig(num_partitions=2)),
        groups,
    )
    step = make_train_step(factory, (LossConfig(),), seed=0, initial_step=100)
    state = factory.from_parameters(parameters_of(model))
    state = dataclasses.replace(state, step=jax.device_put(np.int32(100), state.step.sharding))
    placed = factory.partitioner.global_batch(batch)
    for number in range(3):
        before = jax.device_get((state.parameters, state.optimizer_state["param_states"]))
        state, _ = step(state, placed)
        after = jax.device_get((state.parameters, state.optimizer_state["param_states"]))
        parameters, slots = (moved(*pair) for pair in zip(before, after, strict=True))
        first_opens = number >= 2
        for tree in (parameters, slots):
            assert any(name.startswith("encoder/layers/0/") for name in tree)
            assert any(name.startswith("decoder/layers/1/") for name in tree)
            assert any(name.startswith("token_embedder") for name in tree)
            assert any("decoder_norm" in name for name in tree)
            assert any(name.startswith("decoder/layers/0/") for name in tree) == first_opens
            assert any(name.startswith("decoder/relpos_bias") for name in tree) == first_opens
    assert compilations("step") == 1
