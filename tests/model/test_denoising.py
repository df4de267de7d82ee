"""Laws of a decoder that sees all positions, and of targets that are spoiled for it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.errors import UserError
from t5x_lite.features.denoising_config import Denoising, Noise
from t5x_lite.features.outputs import TOKENS, Wanted
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.denoising_config import (
    DenoisingLossConfig,
    LengthLossConfig,
    decoder_passes,
)
from t5x_lite.losses.table import make_loss
from t5x_lite.model import denoising, flops, transformer
from t5x_lite.model.choices import Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import HeadConfig, HeadKind, ModelConfig, Visibility
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

VOCAB, ROWS, LENGTH = 32, 8, 12
TERMS = (DenoisingLossConfig(z_loss=1e-4), LengthLossConfig())
WANTED = Wanted((TOKENS, "length"), denoising=Denoising(2, Noise.UNIFORM))
SIZES = {
    "VOCAB_SIZE": VOCAB,
    "EMBED_DIM": 32,
    "MLP_DIM": 64,
    "NUM_HEADS": 8,
    "HEAD_DIM": 4,
    "NUM_ENCODER_LAYERS": 2,
    "NUM_DECODER_LAYERS": 2,
    "MAX_TARGET_LENGTH": LENGTH,
    "DROPOUT_RATE": 0.0,
}
BERT = ("models/bert.gin", "models/encoder_denoiser.gin")
T5 = ("models/t5_1_0.gin", "models/architectures/denoiser.gin")
FAMILIES = pytest.mark.parametrize("files", [BERT, T5], ids=["bert", "t5"])


@functools.cache
def denoiser(files=T5, **fields):
    """A tiny one, by the gin files."""
    sizes = SIZES | ({"MAX_LENGTH": LENGTH} if files is BERT else {})
    macros = [("--gin", f"{name}={value}") for name, value in sizes.items()]
    ids = "padding start end unknown mask".split()
    macros += [("--gin", f"SpecialTokens.{name}={at}") for at, name in enumerate(ids)]
    return dataclasses.replace(
        gin_config.resolve(ModelConfig, list(files), overrides=macros).config, **fields
    )


def batch(rows=ROWS, seed=0):
    """Two examples a row and padding."""
    rng = np.random.default_rng(seed)
    found = {}
    for stack, lengths in (("encoder", (5, 4, 3)), ("decoder", (4, 6, 2))):
        segments = np.repeat([[1] * lengths[0] + [2] * lengths[1] + [0] * lengths[2]], rows, 0)
        positions = [*range(lengths[0]), *range(lengths[1]), *[0] * lengths[2]]
        tokens = np.where(segments > 0, rng.integers(5, VOCAB, segments.shape), 0)
        found |= {
            f"{stack}_segment_ids": segments,
            f"{stack}_positions": np.repeat([positions], rows, 0),
            f"{stack}_{'input' if stack == 'encoder' else 'target'}_tokens": tokens,
        }
    return {name: jnp.asarray(each, jnp.int32) for name, each in found.items()}


BATCH = batch()
TRUE, REAL = (np.asarray(BATCH[f"decoder_{n}"]) for n in ("target_tokens", "segment_ids"))


# What runs once need not be optimized.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.partial(jit, static_argnames=("config", "wanted"))
def apply(config, parameters, batch=BATCH, key=None, *, wanted=WANTED):
    return transformer.apply(config, parameters, batch, wanted=wanted, dropout_key=key)


def scores(config, parameters, tokens):
    """Of a plain pass that reads these tokens."""
    own = BATCH | {"decoder_input_tokens": jnp.asarray(tokens)}
    found = apply(config, parameters, own, wanted=Wanted((TOKENS,)))
    return np.asarray(found.heads[TOKENS].all())


def loss(config, parameters, batch, terms=TERMS):
    loss = make_loss(terms)
    key = jax.random.key(7)
    outputs = transformer.apply(config, parameters, batch, wanted=loss.wanted, dropout_key=key)
    return loss(outputs, None, batch, training=True)[0]


@functools.cache
def _step(config, terms):
    return jit(jax.value_and_grad(lambda own, batch: loss(config, own, batch, terms)))


def gradients(config, parameters, terms=TERMS):
    value, found = _step(config, terms)(parameters, BATCH)
    return float(value), jax.tree.map(np.asarray, found)


def assert_close(found, expected, tolerance):
    """Two trees, to a share of the longest leaf."""
    largest = max(np.linalg.norm(leaf) for leaf in jax.tree.leaves(expected))

    def check(path, one, other):
        error = np.linalg.norm(np.asarray(one) - np.asarray(other))
        assert error <= tolerance * largest, f"{jax.tree_util.keystr(path)} {error}"

    jax.tree_util.tree_map_with_path(check, found, expected)


@FAMILIES
def test_a_decoder_sees_all_of_its_target_and_of_no_other(files, parameters_of):
    """A later token of the same example moves the scores of an earlier one, one of another none."""
    config = denoiser(files)
    parameters = parameters_of(config)
    before = scores(config, parameters, TRUE)
    other = TRUE.copy()
    other[:, 3] = 7 + (TRUE[:, 3] == 7)  # the last token of the first example
    after = scores(config, parameters, other)
    moved = np.abs(after - before).max(axis=(0, 2)) > 1e-6
    assert moved.tolist() == [True] * 4 + [False] * 8


def test_the_first_step_reads_a_share_of_each_target(parameters_of):
    """Evenly from 0 to 1, one for each example; padding stays, and what is drawn is any token."""
    config = denoiser()
    many = batch(rows=1_000)
    true, segments = many["decoder_target_tokens"], np.asarray(many["decoder_segment_ids"])
    read = np.asarray(denoising.spoiled(config, Noise.MASK, many, jax.random.key(0)))
    is_masked = read == config.special.mask
    assert np.all(is_masked | (read == np.asarray(true)))
    assert not is_masked[segments == 0].any()
    of_first, of_second = is_masked[:, :4].sum(axis=1), is_masked[:, 4:10].sum(axis=1)
    # The number of n places that are chosen by an even share is even over 0 ... n.
    for counts, size in ((of_first, 4), (of_second, 6)):
        shares = np.bincount(counts, minlength=size + 1) / 1_000
        assert np.abs(shares - 1 / (size + 1)).max() < 3.5 * np.sqrt(0.25 / 1_000 / (size + 1)) * 2
    assert abs(np.corrcoef(of_first, of_second)[0, 1]) < 0.1
    uniform = np.asarray(denoising.spoiled(config, Noise.UNIFORM, many, jax.random.key(0)))
    drawn = uniform[is_masked]  # the same places
    counts = np.bincount(drawn, minlength=VOCAB)
    expected = len(drawn) / VOCAB
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)
    np.testing.assert_array_equal(uniform[~is_masked], np.asarray(true)[~is_masked])


def test_a_step_reads_what_the_one_before_it_drew(parameters_of):
    """The scores of both steps are those of plain passes; at a temperature of next to 0 the second
    reads the likeliest tokens of the first.
    """
    config = denoiser()
    parameters = parameters_of(config)
    found = apply(config, parameters, key=jax.random.key(3))
    first, second = (np.asarray(each.all()) for each in found.unrolled)
    np.testing.assert_allclose(first, scores(config, parameters, found.read), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(first, found.heads[TOKENS].all())
    certain = dict(parameters)
    certain["token_embedder"] = {"embedding": 1e3 * parameters["token_embedder"]["embedding"]}
    found = apply(config, certain, key=jax.random.key(3))
    first, second = (np.asarray(each.all()) for each in found.unrolled)
    drawn = np.where(REAL > 0, first.argmax(axis=-1), TRUE)
    np.testing.assert_allclose(second, scores(config, certain, drawn), rtol=1e-4, atol=1e-2)


def test_draws_are_a_function_of_the_key(parameters_of):
    """Another key draws otherwise; without one the same is drawn each time."""
    config = denoiser()
    parameters = parameters_of(config)
    reads = [np.asarray(apply(config, parameters, key=key).read) for key in [None, None]]
    reads += [np.asarray(apply(config, parameters, key=jax.random.key(n)).read) for n in (1, 1, 2)]
    np.testing.assert_array_equal(reads[0], reads[1])
    np.testing.assert_array_equal(reads[2], reads[3])
    assert (reads[2] != reads[4]).any()


def test_no_gradient_goes_through_what_is_drawn(parameters_of):
    """The gradient of the second step alone is that of a plain pass on what it read."""
    config = denoiser()
    parameters = parameters_of(config)
    targets = jnp.asarray(TRUE)

    def cost(scores):
        log_probs = jax.nn.log_softmax(scores)
        return -jnp.sum(jnp.take_along_axis(log_probs, targets[..., None], -1)[..., 0] * (REAL > 0))

    def unrolled(own):
        found = transformer.apply(config, own, BATCH, wanted=WANTED, dropout_key=jax.random.key(3))
        return cost(found.unrolled[1].all()), found

    key = jax.random.fold_in(
        transformer.Dropout(0.0, True, jax.random.key(3)).fold("denoising").key, 1
    )
    (_, found), gradient = jit(jax.value_and_grad(unrolled, has_aux=True))(parameters)
    read = jnp.where(REAL > 0, transformer.draws.by_scores(found.unrolled[0], key), targets)

    def plain(own):
        given = BATCH | {"decoder_input_tokens": read}
        return cost(transformer.logits(config, own, given))

    assert_close(gradient, jit(jax.grad(plain))(parameters), 1e-5)


@FAMILIES
def test_the_length_is_told_by_the_encoder_alone(files, parameters_of):
    """Whatever the decoder reads, which need not be there."""
    config = denoiser(files)
    parameters = parameters_of(config)
    alone = {name: each for name, each in BATCH.items() if name.startswith("encoder")}
    found = apply(config, parameters, alone, wanted=Wanted(("length",)))
    told = found.heads["length"].all()
    assert told.shape == (ROWS, LENGTH, LENGTH)
    np.testing.assert_array_equal(told, apply(config, parameters).heads["length"].all())
    assert "length" in parameters["heads"] and "tokens" not in parameters["heads"]


@pytest.mark.slow
def test_forms_of_a_program_change_nothing(parameters_of):
    """Loss and gradients: layers unrolled, logits in chunks, rematerialized."""
    config = denoiser()
    parameters = parameters_of(config)
    value, expected = gradients(config, parameters)
    for compute in (
        ComputeConfig(scan_unroll=2, remat=Remat.FULL),
        ComputeConfig(logits_bytes=4 * VOCAB * 5),
    ):
        other, found = gradients(dataclasses.replace(config, compute=compute), parameters)
        assert other == pytest.approx(value, rel=1e-5)
        assert_close(found, expected, 2e-5)


@pytest.mark.parametrize(
    "num_partitions", [1, 4, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 8))]
)
def test_any_mesh_computes_the_same(num_partitions, parameters_of):
    """INV-22, with what is drawn: loss and every gradient of 8 devices are those of one."""
    config = denoiser()
    parameters = parameters_of(config)
    value, expected = gradients(config, parameters)
    partitioner = make_partitioner(PartitioningConfig(num_partitions=num_partitions))
    shardings = partitioner.shardings(
        transformer.parameter_axes(config), transformer.abstract_parameters(config)
    )

    def spread(own, batch):
        with partitioner.activations():
            return loss(config, own, batch)

    step = jit(
        jax.value_and_grad(spread),
        in_shardings=(shardings, partitioner.batch_sharding),
        out_shardings=(partitioner.sharding(()), shardings),
    )
    found, gradient = step(parameters, BATCH)
    assert float(found) == pytest.approx(value, rel=1e-5)
    assert_close(jax.device_get(gradient), expected, 1e-5)


def test_what_cannot_be_is_refused():
    """One error each."""
    config = denoiser()
    causal = dataclasses.replace(config.decoder, visibility=Visibility.CAUSAL)
    with pytest.raises(UserError, match="a head of the length is for a decoder that sees all"):
        dataclasses.replace(config, decoder=causal)
    writer = dataclasses.replace(config, decoder=causal, heads=(HeadConfig(),))
    parameters = transformer.abstract_parameters(writer)
    with pytest.raises(UserError, match="denoising asked of a model that writes token by token"):
        transformer.apply(writer, parameters, BATCH, wanted=Wanted(denoising=WANTED.denoising))
    nameless = dataclasses.replace(config, special=dataclasses.replace(config.special, mask=None))
    masked = Wanted(denoising=Denoising(1, Noise.MASK))
    with pytest.raises(UserError, match="noise='mask' of a model without one"):
        transformer.apply(nameless, parameters, BATCH, wanted=masked)
    with pytest.raises(UserError, match="with a decoder"):
        dataclasses.replace(config, heads=(HeadConfig(), HeadConfig(kind=HeadKind.CLASSES)))


def test_a_step_of_denoising_costs_a_pass_of_the_decoder():
    """The encoder reads once; what is no loss of denoisers reads targets once."""
    config = denoiser()
    shapes = {f"{stack}_input_tokens": (ROWS, LENGTH) for stack in ("encoder", "decoder")}
    costs = [flops.training_flops(config, shapes, passes=passes) for passes in (1, 2, 3)]
    encoder = flops.TRAINING_FACTOR * flops.forward_flops(config, ROWS, LENGTH, 0)
    assert costs[1] - costs[0] == costs[2] - costs[1] == costs[0] - encoder > encoder
    assert [decoder_passes(terms) for terms in (TERMS, (LossConfig(),))] == [2, 1]
