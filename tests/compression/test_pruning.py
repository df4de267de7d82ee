"""Pruning by its laws: so many zeros in each layer, on any mesh, and a zero stays one."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.compression.sparsities import share_after
from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ParameterGroup, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability import health
from t5x_lite.stability.config import HealthConfig
from t5x_lite.testing import tiny_model
from t5x_lite.training.metrics import PER_STEP
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

VOCAB, ROWS, LENGTH = 32, 8, 8
MODEL = tiny_model(VOCAB, Layout.LM)
# As if the initial checkpoint had brought it: steps of pruning count from there.
INITIAL_STEP = 100
GRADUAL = PruningConfig(sparsity=0.7, begin_step=1, end_step=5, update_period=2)
LOCKED = PruningConfig(method=PruningMethod.LOCKED)
AT_ONCE = PruningConfig(method=PruningMethod.ONE_SHOT, sparsity=0.5)
IN_FOURS = PruningConfig(method=PruningMethod.ONE_SHOT, sparsity=0.5, pattern="2:4")
ADAM = AdamWConfig(weight_decay=0.1)
FACTORED = AdafactorConfig(min_dim_size_to_factor=8)
SIZES = {"VOCAB_SIZE": 64, "EMBED_DIM": 16, "MLP_DIM": 32, "NUM_HEADS": 2, "HEAD_DIM": 8}


@functools.cache
def factory_of(pruning, num_partitions=2, devices=8, model=MODEL, optimizer=ADAM, groups=()):
    partitioner = make_partitioner(
        PartitioningConfig(num_partitions=num_partitions), jax.devices()[:devices]
    )
    schedule = ScheduleConfig(base_learning_rate=0.01)
    return StateFactory(model, optimizer, schedule, partitioner, groups, pruning_config=pruning)


@functools.cache
def first_parameters():
    """On the host, the same for all meshes; drawn there, as a compiled program takes longer."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        noise = rng.standard_normal(leaf.shape, np.float32)
        return noise / 4 if len(leaf.shape) > 2 else 1 + noise / 10

    return jax.tree.map(draw, transformer.abstract_parameters(MODEL))


def batch_of(factory, seed=0):
    tokens = np.random.default_rng(seed).integers(2, VOCAB, (ROWS, LENGTH), np.int32)
    rows = dict.fromkeys(("decoder_input_tokens", "decoder_target_tokens"), tokens)
    return factory.partitioner.global_batch(rows | {"decoder_segment_ids": np.ones_like(tokens)})


def placed(factory, parameters):
    """On the devices of its mesh."""
    return jax.device_put(parameters, factory.shardings.parameters)


def state_of(factory, parameters=None):
    """At the initial step, with empty slots."""
    state = factory.from_parameters(first_parameters() if parameters is None else parameters)
    step = jax.device_put(np.int32(INITIAL_STEP), state.step.sharding)
    return dataclasses.replace(state, step=step)


@functools.cache
def step_of(factory):
    """Compiled once for all tests."""
    return make_train_step(
        factory, (LossConfig(),), seed=0, health=HealthConfig(), initial_step=INITIAL_STEP
    )


def run(factory, steps, state):
    """Parameters on the host and metrics after each step, and the last state."""
    found = []
    for number in range(steps):
        state, metrics = step_of(factory)(state, batch_of(factory, number))
        found.append(jax.device_get((state.parameters, metrics)))
    return found, state


def layers_of(parameters, pruning):
    """(name, one layer's weights) of all that is pruned."""
    for name, leaf in leaves(parameters).items():
        if name in pruning.kernels:
            yield from ((name, each) for each in (leaf if leaf.ndim == 3 else leaf[None]))


def zeros_of(parameters):
    return {name: leaf == 0 for name, leaf in leaves(parameters).items()}


@pytest.fixture(scope="module")
def gradual():
    """Seven steps on data=4 x model=2."""
    factory = factory_of(GRADUAL)
    return factory, *run(factory, 7, state_of(factory))


def test_each_layer_has_its_zeros_after_each_step(gradual):
    """To one weight, each layer of a stack by itself; the first update is of step 1, share 0."""
    factory, found, _ = gradual
    for step, (parameters, metrics) in enumerate(found, 1):
        share = share_after(GRADUAL, step)
        layers = list(layers_of(parameters, factory.pruning))
        assert len(layers) == 2 * (4 + 2)
        for name, weights in layers:
            assert np.sum(weights == 0) == round(share * weights.size), (step, name)
        assert metrics[f"{PER_STEP}sparsity"] == pytest.approx(share, abs=2e-3)
    assert share_after(GRADUAL, 7) == 0.7


def test_nothing_else_is_pruned(gradual):
    """Not embeddings, not heads, not norms."""
    factory, found, _ = gradual
    others = {n: z for n, z in zeros_of(found[-1][0]).items() if n not in factory.pruning.kernels}
    assert "token_embedder/embedding" in others
    assert not any(zeros.any() for zeros in others.values())


def test_a_zero_stays_one_though_its_slots_move_on(gradual):
    """Adam's mean is not 0 where a weight has just gone, and neither is weight decay."""
    factory, found, state = gradual
    for (before, _), (after, _) in zip(found, found[1:]):
        for name, zeros in zeros_of(before).items():
            assert np.all(zeros_of(after)[name] >= zeros), name
    for _, weights in layers_of(found[-1][0], factory.pruning):
        assert not np.any(np.signbit(weights[weights == 0])), "bitwise 0"
    means = leaves(state.optimizer_state["param_states"])
    name = next(iter(factory.pruning.kernels))
    mean = np.asarray(means[f"{name}/mu"])
    assert np.any(mean[np.asarray(leaves(state.parameters)[name]) == 0] != 0)


def test_the_smallest_go(gradual):
    """What is left in a layer was larger before the update than all that went at it."""
    factory, found, _ = gradual
    (_, _), (before, _), (after, _) = found[:3]
    pairs = zip(layers_of(before, factory.pruning), layers_of(after, factory.pruning))
    for (name, old), (_, new) in pairs:
        # A step moves a weight by a learning rate or so.
        assert np.abs(old[new == 0]).max() <= np.abs(old[new != 0]).min() + 0.05, name


def test_what_is_pruned_has_no_part_in_the_gradient_s_norm(gradual):
    """Nor in what clipping shortens: the norm is that of a model without these weights."""
    factory, _, _ = gradual
    parameters = jax.tree.map(np.copy, first_parameters())
    for _, weights in layers_of(parameters, factory.pruning):
        weights[...] = 0
    locked = factory_of(LOCKED, optimizer=FACTORED)
    kernels = ParameterGroup(pattern=LOCKED.weights, frozen=True)
    frozen = factory_of(None, optimizer=FACTORED, groups=(kernels,))
    norms = []
    for each in (locked, frozen):
        found, _ = run(each, 1, state_of(each, parameters))
        norms.append(found[0][1][f"{PER_STEP}weight_gradient_norm"])
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.parametrize("pruning", [AT_ONCE, IN_FOURS], ids=["any", "2:4"])
def test_a_mesh_changes_no_mask(pruning):
    """INV-22: the same parameters on 1 device and on two meshes of 8 lose the same weights."""
    found = []
    for num_partitions, devices in ((1, 1), (2, 8), (8, 8)):
        factory = factory_of(pruning, num_partitions, devices)
        prune = jax.jit(factory.pruning.prune)
        found.append(jax.device_get(prune(placed(factory, first_parameters()), 1)[0]))
    jax.tree.map(np.testing.assert_array_equal, found[0], found[1])
    jax.tree.map(np.testing.assert_array_equal, found[0], found[2])


def test_of_each_four_weights_along_the_inputs_two_are_left():
    """In every layer, also behind an unstructured pattern; and the larger ones."""
    factory = factory_of(IN_FOURS)
    parameters, _ = jax.jit(factory.pruning.prune)(first_parameters(), 1)
    pairs = zip(
        layers_of(first_parameters(), factory.pruning), layers_of(parameters, factory.pruning)
    )
    for (name, old), (_, new) in pairs:
        groups = np.asarray(new).T.reshape(-1, 4)
        assert np.all(np.sum(groups == 0, axis=1) == 2), name
        before = np.abs(old).T.reshape(-1, 4)
        assert np.all(np.where(groups == 0, before, 0).max(1) <= np.where(groups, before, 9).min(1))


def test_gradually_a_pattern_grows_out_of_itself():
    """Half-way no group has lost more than it may."""
    config = PruningConfig(sparsity=0.5, pattern="2:4", end_step=4, update_period=1)
    factory = factory_of(config)
    prune = jax.jit(factory.pruning.prune)
    parameters = first_parameters()
    for step in range(1, 5):
        parameters, _ = prune(parameters, step)
        for name, weights in layers_of(parameters, factory.pruning):
            zeros = np.asarray(weights == 0).T.reshape(-1, 4).sum(1)
            assert zeros.max() <= 2, name
            assert zeros.sum() == round(share_after(config, step) * weights.size), (step, name)


def test_a_locked_pattern_outlives_training():
    """Zeros of the start stay, to the last bit, and nothing else goes."""
    pruned, _ = jax.jit(factory_of(AT_ONCE).pruning.prune)(first_parameters(), 1)
    before = zeros_of(jax.device_get(pruned))
    factory = factory_of(LOCKED, optimizer=FACTORED)
    state = state_of(factory, jax.device_get(pruned))
    factory.pruning.check_start(state.parameters, 1)
    found, _ = run(factory, 3, state)
    after = zeros_of(found[-1][0])
    for name in factory.pruning.kernels:
        np.testing.assert_array_equal(after[name], before[name])
    assert found[-1][1][f"{PER_STEP}sparsity"] == pytest.approx(0.5, abs=1e-3)


def test_an_update_that_a_step_left_out_is_made_up_for():
    """Step 3 is passed over as unsound: after step 4 the zeros are there."""
    factory = factory_of(GRADUAL)
    _, state = run(factory, 2, state_of(factory))
    state = health.pass_over(state)
    assert int(state.step) == INITIAL_STEP + 3
    found, _ = run(factory, 1, state)
    for name, weights in layers_of(found[0][0], factory.pruning):
        assert np.sum(weights == 0) == round(share_after(GRADUAL, 4) * weights.size) > 0, name


def test_an_unsound_step_prunes_nothing():
    """It gives the state back to the last bit, though an update is due."""
    factory = factory_of(GRADUAL)
    poisoned = jax.tree.map(np.copy, first_parameters())
    poisoned["decoder"]["decoder_norm"]["scale"][3] = np.nan
    state = state_of(factory, poisoned)
    state = dataclasses.replace(
        state, step=jax.device_put(np.int32(INITIAL_STEP + 4), state.step.sharding)
    )
    found, _ = run(factory, 1, state)
    jax.tree.map(np.testing.assert_array_equal, found[0][0], poisoned)
    assert found[0][1]["unhealthy_steps"] == 1


def small(name, **sizes):
    overrides = [("--gin", f"{key}={value}") for key, value in (SIZES | sizes).items()]
    return gin_config.resolve(ModelConfig, [name], overrides=overrides).config


@pytest.mark.parametrize(
    ("name", "sizes", "kernels"),
    [
        ("models/t5_1_1/tiny.gin", {}, 7 + 11),
        ("models/gpt2/tiny.gin", {"END_TOKEN": 63}, 6),
        ("models/bert/base.gin", {}, 6),
        ("models/albert/base.gin", {}, 6),
        ("models/electra/small.gin", {}, 6),
        ("models/xlnet/base.gin", {}, 7),
    ],
)
def test_every_architecture_is_pruned(name, sizes, kernels):
    """The kernels of its layers, of layers that share weights their one copy; and nothing else."""
    factory = factory_of(AT_ONCE, 1, 1, model=small(name, **sizes))
    assert len(factory.pruning.kernels) == kernels
    shapes = factory.abstract.parameters
    rng = np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    pruned, share = jax.jit(factory.pruning.prune)(drawn, 1)
    for path, weights in layers_of(jax.device_get(pruned), factory.pruning):
        assert np.sum(weights == 0) == weights.size // 2, path
    assert share == 0.5
    rest = {n: z for n, z in zeros_of(pruned).items() if n not in factory.pruning.kernels}
    assert not any(np.any(zeros) for zeros in rest.values())


FROZEN = ParameterGroup(pattern="decoder/.*", frozen=True)
LATER = ParameterGroup(pattern="decoder/layers/.*", layers=(0, 0), from_step=3)


@pytest.mark.parametrize(
    ("pruning", "groups", "message"),
    [
        ({"weights": "nothing"}, (), "weights='nothing' of pruning matches no parameter.* such as"),
        ({"weights": ".*/scale"}, (), r"matches .*/scale, of the shape \(\d+,\) in a layer"),
        ({"pattern": "1:3", "sparsity": 2 / 3}, (), r"'1:3' does not divide the \d+ inputs of "),
        ({}, (FROZEN,), "decoder/layers/.*/kernel is to be pruned, and a parameter group keeps"),
        ({}, (LATER,), "decoder/layers/.*/kernel is to be pruned, and a parameter group keeps"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(pruning, groups, message):
    config = dataclasses.replace(AT_ONCE, **pruning)
    with pytest.raises(ValueError, match=message):
        _ = factory_of(config, groups=groups).pruning


def test_what_rests_may_be_locked():
    """It keeps its zeros by itself."""
    assert factory_of(LOCKED, groups=(FROZEN,)).pruning.kernels


def test_lora_beside_a_pruned_kernel_is_refused():
    """Merged it would fill the zeros; beside other kernels it may stand."""
    model = gin_config.resolve(
        ModelConfig,
        ["models/t5_1_1/tiny.gin"],
        overrides=[("--gin", "LoraConfig.rank=2"), ("--gin", "LoraConfig.targets=('query',)")],
    ).config
    with pytest.raises(ValueError, match="query/kernel has LoRA beside it"):
        _ = factory_of(LOCKED, model=model).pruning
    others = dataclasses.replace(LOCKED, weights=".*/mlp/.*/kernel")
    assert factory_of(others, model=model).pruning.kernels


def test_a_model_without_zeros_has_no_pattern_to_be_locked():
    """A zero here and there is none."""
    factory = factory_of(LOCKED)
    parameters = jax.tree.map(np.copy, first_parameters())
    parameters["decoder"]["layers"]["mlp"]["wo"]["kernel"][0, 0, 0] = 0
    with pytest.raises(ValueError, match="whose zeros are to be locked 0.0.% are 0: needed"):
        factory.pruning.check_start(placed(factory, parameters), 10)
