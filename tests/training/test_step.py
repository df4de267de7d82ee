"""The training step by its laws: parts add up to the whole, what is frozen stays as it is."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig, LossNormalization
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ParameterGroup, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability.config import HealthConfig
from t5x_lite.testing import tiny_model
from t5x_lite.training import metrics as metrics_lib
from t5x_lite.training import microbatches
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import clip, make_gradients, make_train_step

VOCAB, ROWS, LENGTH = 32, 32, 8
MODEL = tiny_model(VOCAB)
# Half as much to compile, where one stack is enough.
SMALL = tiny_model(VOCAB, Layout.PREFIX_LM)
# Half of a microbatch's logits on each of 8 devices at a time.
IN_CHUNKS = dataclasses.replace(
    SMALL, compute=ComputeConfig(logits_bytes=4 * ROWS * LENGTH * VOCAB // 8 // 4 // 2)
)
LOSS = LossConfig(z_loss=0.01, label_smoothing=0.1)
SGD_LIKE = AdamWConfig(epsilon=1.0, weight_decay=0.0)


@functools.cache
def factory_of(num_partitions=2, model=MODEL, optimizer=SGD_LIKE, groups=()):
    """States on a mesh of all 8 devices."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=num_partitions))
    return StateFactory(model, optimizer, ScheduleConfig(), partitioner, groups)


def packed_batch(seed=0):
    """Rows of different lengths, each of two segments: means of parts differ from the whole's."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, LENGTH + 1, (ROWS, 1))
    positions = np.arange(LENGTH)
    segments = np.where(positions < 2, 1, 2) * (positions < lengths)
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    features = {
        name: np.where(segments > 0, rng.integers(2, VOCAB, (ROWS, LENGTH)), 0) for name in names
    }
    features |= {"encoder_segment_ids": segments, "decoder_segment_ids": segments}
    features["decoder_causal_attention"] = positions < np.full_like(lengths, 2)
    return {name: value.astype(np.int32) for name, value in features.items()}


@functools.cache
def first_parameters(model):
    """On the host, made once for all meshes and optimizers."""
    return jax.device_get(factory_of(model=model).initialize(0).parameters)


def first_state(factory):
    """The same parameters wherever they are placed."""
    rate_does_not_matter = dataclasses.replace(factory.model, dropout_rate=0.0)
    return factory.from_parameters(first_parameters(rate_does_not_matter))


def gradients_on(factory, loss, count):
    """Gradients and metrics of one batch, in `count` microbatches."""
    function = make_gradients(factory, (loss,), seed=0, num_microbatches=count)
    state = first_state(factory)
    batch = factory.partitioner.global_batch(packed_batch())
    return jax.jit(function)(state, factory.frozen, batch)[:2]


def assert_leaves_close(found, expected, tolerance):
    """Each leaf to `tolerance` of its norm."""

    def check(path, one, other):
        error = np.linalg.norm(np.asarray(one) - np.asarray(other))
        assert error <= tolerance * np.linalg.norm(other), f"{jax.tree_util.keystr(path)} {error}"

    jax.tree_util.tree_map_with_path(check, found, expected)


def assert_same_bits(found, expected):
    """Equal also in the sign of zeros and in NaNs."""

    def check(path, one, other):
        same = np.asarray(one).tobytes() == np.asarray(other).tobytes()
        assert same, jax.tree_util.keystr(path)

    jax.tree_util.tree_map_with_path(check, found, expected)


@functools.cache
def whole(loss, model=MODEL):
    """What one pass over the whole batch gives."""
    return gradients_on(factory_of(model=model), loss, 1)


@pytest.mark.parametrize(
    ("model", "num_partitions", "count", "normalizing_factor"),
    [
        (MODEL, 8, 4, LossNormalization.NUM_REAL_TARGET_TOKENS),
        (IN_CHUNKS, 2, 2, LossNormalization.NUM_TOTAL_TARGET_TOKENS),
        (SMALL, 2, 4, LossNormalization.AVERAGE_PER_SEQUENCE),
        (SMALL, 2, 4, None),
    ],
)
def test_microbatches_give_the_gradient_of_the_whole(
    model, num_partitions, count, normalizing_factor
):
    """INV-22, whatever normalizes the loss; 1e-5 of a leaf's norm for the order of sums."""
    loss = dataclasses.replace(LOSS, normalizing_factor=normalizing_factor)
    expected, expected_sums = whole(loss, model)
    found, sums = gradients_on(factory_of(num_partitions, model), loss, count)
    assert_leaves_close(found, expected, 1e-5)
    assert sums.keys() == expected_sums.keys()
    for name in sums:
        np.testing.assert_allclose(sums[name], expected_sums[name], rtol=1e-5, err_msg=name)


def test_microbatches_of_gpt2_give_the_gradient_of_the_whole(gpt2_of):
    """Biases and learned positions: their gradients are sums over all rows. That of a key's bias,
    which softmax does not see, is the rounding of 0.
    """
    model = gpt2_of(VOCAB_SIZE=VOCAB, MAX_LENGTH=LENGTH)
    expected, _ = whole(LOSS, model)
    found, _ = gradients_on(factory_of(2, model), LOSS, 4)
    for gradients in (found, expected):
        bias = gradients["decoder"]["layers"]["self_attention"]["key"].pop("bias")
        assert np.abs(bias).max() < 1e-6
    assert_leaves_close(found, expected, 1e-5)


def test_rows_of_a_microbatch_do_not_travel():
    """Each device splits its own rows, and a row's place in its microbatch is that of any mesh."""
    placed = {}
    for num_partitions in (1, 2):
        partitioner = factory_of(num_partitions).partitioner
        split = jax.jit(functools.partial(microbatches.split, count=4, partitioner=partitioner))
        batch = partitioner.global_batch({"rows": np.arange(ROWS, dtype=np.int32)[:, None]})
        compiled = split.lower(batch).compile().as_text()
        assert not any(
            collective in compiled
            for collective in ("all-to-all", "collective-permute", "all-gather", "all-reduce")
        )
        placed[num_partitions] = np.asarray(split(batch)["rows"])
    np.testing.assert_array_equal(placed[1], placed[2])
    assert sorted(placed[1].ravel()) == list(range(ROWS))


def test_a_number_of_microbatches_that_does_not_fit_names_those_that_do():
    """32 rows on data=4 are 8 a device; 6 rows do not fit the mesh, in whatever parts."""
    with pytest.raises(ValueError, match=r"NUM_MICROBATCHES=3 .* 1, 2, 4, 8 parts"):
        microbatches.check(32, 3, factory_of().partitioner)
    with pytest.raises(ValueError, match=r"next sizes that do are 4 and 8: --gin.BATCH_SIZE"):
        microbatches.check(6, 1, factory_of().partitioner)


def test_noise_differs_between_microbatches_but_not_between_meshes():
    """Of equal rows the second microbatch's loss is another; a resumed run may change its mesh."""
    model = dataclasses.replace(SMALL, dropout_rate=0.5)
    batch = {name: np.repeat(value[:1], ROWS, axis=0) for name, value in packed_batch().items()}
    weights = (batch["decoder_target_tokens"] > 0).astype(np.float32)
    first_half = weights * (np.arange(ROWS) % 2 == 0)[:, None]
    losses = {}
    for num_partitions in (1, 2):
        factory = factory_of(num_partitions, model)
        function = jax.jit(make_gradients(factory, (LOSS,), seed=0, num_microbatches=2))
        for rows, counted in (("all", weights), ("first", first_half)):
            placed = factory.partitioner.global_batch(batch | {"decoder_loss_weights": counted})
            sums = function(first_state(factory), factory.frozen, placed).metrics
            losses[num_partitions, rows] = float(sums["loss_sum"])
    for rows in ("all", "first"):
        np.testing.assert_allclose(losses[1, rows], losses[2, rows], rtol=1e-5)
    assert abs(losses[2, "all"] / losses[2, "first"] - 2.0) > 1e-3


def one_step(factory, **settings):
    """The state before a step, after it, and its metrics."""
    before = first_state(factory)
    kept = jax.device_get(before)
    step = make_train_step(factory, (LOSS,), seed=0, **settings)
    after, metrics = step(before, factory.partitioner.global_batch(packed_batch()))
    return kept, after, metrics


def test_clipping_shortens_long_gradients_only():
    """Adam's first moment after a step is (1 - beta_1) times the gradient that it was given."""
    factory = factory_of(model=SMALL)
    _, free, metrics = one_step(factory)
    norm = float(metrics[f"{metrics_lib.PER_STEP}weight_gradient_norm"])
    np.testing.assert_allclose(norm, norm_of(whole(LOSS, SMALL)[0]), rtol=1e-5)

    def given(state):
        slots = flat(state.optimizer_state["param_states"])
        return [slot / 0.1 for path, slot in slots.items() if path.endswith("mu")]

    _, clipped, metrics = one_step(factory, clip_gradient_norm=norm / 4)
    np.testing.assert_allclose(norm_of(given(clipped)), norm / 4, rtol=1e-5)
    # Of another program, which may add up in another order: the last bit is the processor's.
    found = float(metrics[f"{metrics_lib.PER_STEP}weight_gradient_norm"])
    np.testing.assert_allclose(found, norm, rtol=1e-6)
    _, untouched, _ = one_step(factory, clip_gradient_norm=norm * 1.01)
    np.testing.assert_allclose(norm_of(given(untouched)), norm_of(given(free)), rtol=1e-6)
    short = free.parameters
    assert_same_bits(clip(short, jnp.float32(norm), norm * 1.01), short)


def flat(tree):
    """Path -> leaf on the host."""
    leaves = jax.tree_util.tree_flatten_with_path(jax.device_get(tree))[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def norm_of(tree):
    """Of all leaves together."""
    return np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(tree)))


ENCODER = ParameterGroup(pattern="encoder/.*", frozen=True)
FIRST_LAYER = ParameterGroup(pattern="decoder/layers/.*", layers=(0, 0), frozen=True)


@pytest.mark.parametrize(
    "optimizer", [AdafactorConfig(weight_decay=0.1), AdamWConfig()], ids=["adafactor", "adamw"]
)
def test_what_is_frozen_keeps_every_bit_and_has_no_slots(optimizer):
    """INV-20: a stack as a whole, and one layer of another, whose slots stay with its stack's."""
    factory = factory_of(optimizer=optimizer, groups=(ENCODER, FIRST_LAYER))
    before, after, _ = one_step(factory)
    old, new = flat(before.parameters), flat(after.parameters)
    frozen = {path for path in old if path.startswith("encoder/")}
    stacked = {path for path in old if path.startswith("decoder/layers/")}
    assert frozen
    assert stacked
    for path in old:
        if path in frozen:
            assert_same_bits(new[path], old[path])
        elif path in stacked:
            assert_same_bits(new[path][0], old[path][0])
            assert np.any(new[path][1] != old[path][1]), path
        else:
            assert np.any(new[path] != old[path]), path
    slots = {path.rpartition("/")[0] for path in flat(after.optimizer_state["param_states"])}
    assert slots == old.keys() - frozen
    assert jax.tree.structure(after) == jax.tree.structure(factory.abstract)


def test_frozen_parameters_cost_no_gradient():
    """With all but the decoder's last norm frozen most of the backward pass is gone."""
    rest = ParameterGroup(pattern="(?!decoder/decoder_norm/).*", frozen=True)
    batch = factory_of().partitioner.global_batch(packed_batch())

    def flops(factory):
        function = jax.jit(make_gradients(factory, (LOSS,), seed=0))
        return function.lower(factory.abstract, factory.frozen, batch).cost_analysis()["flops"]

    assert flops(factory_of(groups=(rest,))) < 0.6 * flops(factory_of())


def test_an_unsound_step_changes_nothing_and_is_counted():
    """A gradient that is not finite; all further steps wait for the host."""
    factory = factory_of(model=SMALL)
    step = make_train_step(factory, (LOSS,), seed=0, health=HealthConfig())
    state = first_state(factory)
    poisoned = jax.tree.map(lambda leaf: leaf, state.parameters)
    scale = poisoned["decoder"]["decoder_norm"]["scale"]
    poisoned["decoder"]["decoder_norm"]["scale"] = scale.at[3].set(jnp.nan)
    state = jax.device_put(dataclasses.replace(state, parameters=poisoned), factory.shardings)
    before = jax.device_get(state)
    batch = factory.partitioner.global_batch(packed_batch())
    for _ in range(2):
        state, metrics = step(state, batch)
        assert_same_bits(
            dataclasses.replace(state, health={}), dataclasses.replace(before, health={})
        )
        assert int(state.health["halted_at"]) == 1
        counted = {name for name, value in metrics.items() if np.any(value != 0)}
        assert counted == {"unhealthy_steps"}
    scalars = metrics_lib.summarize(metrics_lib.add([metrics]))
    assert all(np.isfinite(value) for value in scalars.values())


def test_sizes_of_parameters_gradients_and_updates_are_those_of_each_layer():
    """T5X's tags. A frozen parameter has a size but no gradient, and others keep theirs."""
    frozen = ParameterGroup(pattern="token_embedder/.*", frozen=True)
    factory = factory_of(model=SMALL, groups=(frozen,))
    before, after, metrics = one_step(factory, log_weight_metrics=True)
    scalars = metrics_lib.summarize(metrics_lib.add([metrics]))

    def rms(values):
        return np.sqrt(np.mean(np.square(values)))

    def assert_is(tag, expected, tolerance=1e-5):
        np.testing.assert_allclose(scalars[tag], expected, rtol=tolerance, err_msg=tag)

    old, new = flat(before.parameters), flat(after.parameters)
    gradients = flat(whole(LOSS, SMALL)[0])
    path = "decoder/layers/mlp/wi/kernel"
    for layer in (0, 1):
        name = f"decoder/layers_{layer}/mlp/wi/kernel"
        weights = new[path][layer]
        assert_is(f"weight_rms/{name}", rms(weights))
        assert_is(f"weight_max/{name}", np.abs(weights).max())
        # The difference of two roundings.
        assert_is(f"weight_update_rms/{name}", rms(weights - old[path][layer]), 1e-2)
        assert_is(f"weight_gradient_rms/{name}", rms(gradients[path][layer]))
    assert_is("weight_rms/token_embedder/embedding", rms(new["token_embedder/embedding"]))
    assert "weight_gradient_rms/token_embedder/embedding" not in scalars
    assert_is("weight_norm", norm_of(new))
