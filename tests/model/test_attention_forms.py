"""Every form of attention is dense attention: outputs, all gradients, and what it keeps."""

import dataclasses
import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import topologies
from jax.experimental.pallas import tpu as pltpu
from jax.extend.core import jaxprs_in_params

from t5x_lite.errors import UserError
from t5x_lite.model import masks, maxima, transformer
from t5x_lite.model.attend import choice
from t5x_lite.model.choices import AttentionForm, Remat, Visibility
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import RelativeBiasConfig
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.position_bias import PositionBias
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

BATCH, HEADS, HEAD_DIM, BUCKETS = 2, 3, 4, 8
SELF = ("full", "causal", "prefix")


def mask_of(kind, q_len, kv_len, rng, window=None):
    """Rows with two examples and padding; in the decoder's side of a cross-attention, too."""

    def segments(length):
        cuts = np.sort(rng.integers(1, length + 1, (BATCH, 2)), axis=1)
        index = np.arange(length)[None]
        found = np.where(index < cuts[:, :1], 1, np.where(index < cuts[:, 1:], 2, 0))
        return jnp.asarray(found, jnp.int32)

    q_segments, kv_segments = segments(q_len), segments(kv_len)
    if kind == "cross":
        # What this query is of has no keys: dense attention gives it the mean of all values.
        q_segments, kv_segments = q_segments.at[1, -1].set(0), kv_segments.at[1].set(1)
    in_prefix = jnp.asarray(np.arange(kv_len)[None] < rng.integers(0, kv_len, (BATCH, 1)))
    return AttentionMask(
        visibility=Visibility.FULL if kind == "cross" else Visibility(kind),
        window=window,
        q_positions=masks.row_positions(q_len),
        kv_positions=masks.row_positions(kv_len),
        kv_in_prefix=in_prefix if kind == "prefix" else None,
        q_segments=q_segments,
        kv_segments=kv_segments if kind == "cross" else q_segments,
    )


def arrays_of(q_len, kv_len, rng, dtype=jnp.float32):
    """Queries, keys, values and a table; what the output is multiplied with, for its gradient."""

    def draw(*shape):
        return jnp.asarray(rng.standard_normal(shape, np.float32))

    heads = [draw(BATCH, length, HEADS, HEAD_DIM) for length in (q_len, kv_len, kv_len, q_len)]
    queries, keys, values, cotangent = (x.astype(dtype) for x in heads)
    return (queries, keys, values, draw(HEADS, BUCKETS)), cotangent


def attend(arrays, mask, compute, *, with_table, dropout=NO_DROPOUT, scale=None):
    *heads, table = arrays
    bias = None
    if with_table:
        config = RelativeBiasConfig(num_buckets=BUCKETS, max_distance=9, bidirectional=True)
        bias = choice.prepared(PositionBias(table, config), mask, compute)
    return choice.attend(
        *heads, mask, position_bias=bias, scale=scale, dropout=dropout, compute=compute
    )


def output_and_gradients(arrays, cotangent, mask, compute, **fields):
    def run(arrays, cotangent):
        output, backward = jax.vjp(lambda a: attend(a, mask, compute, **fields), arrays)
        return output, backward(cotangent)

    return jax.jit(run)(arrays, cotangent)


def compute_of(form, block=512):
    return ComputeConfig(attention=AttentionForm(form), attention_block=block)


def assert_same(found, expected, tolerance=2e-6):
    """Every array to `tolerance` of its largest entry: float32 sums in another order."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1))


@pytest.mark.parametrize(
    ("kind", "window"),
    [(kind, window) for kind in SELF for window in (None, 3)] + [("cross", None), ("causal", 1)],
)
@pytest.mark.parametrize(("length", "block"), [(12, 4), (13, 4), (13, 5), (7, 16), (6, 1)])
def test_blockwise_is_dense(kind, window, length, block):
    """Outputs and gradients of queries, keys, values and the bias table, in packed rows with
    padding, whether or not the block divides the length, in windows; in cross-attention also of
    queries that see nothing at all.
    """
    rng = np.random.default_rng(length * block)
    q_len = length - 3 if kind == "cross" else length
    mask = mask_of(kind, q_len, length, rng, window)
    arrays, cotangent = arrays_of(q_len, length, rng)
    fields = {"with_table": kind != "cross", "scale": 0.5}
    expected = output_and_gradients(arrays, cotangent, mask, compute_of("dense"), **fields)
    found = output_and_gradients(arrays, cotangent, mask, compute_of("blockwise", block), **fields)
    assert_same(found, expected)


@pytest.mark.parametrize("kind", ["causal", "cross"])
def test_shared_noise_drops_the_same(kind):
    """Dropout that is shared along the queries gives dense attention's numbers."""
    rng = np.random.default_rng(1)
    mask = mask_of(kind, 9, 9, rng)
    arrays, cotangent = arrays_of(9, 9, rng)
    fields = {"with_table": True, "dropout": Dropout(0.4, key=jax.random.key(1))}
    expected = output_and_gradients(arrays, cotangent, mask, compute_of("dense"), **fields)
    found = output_and_gradients(arrays, cotangent, mask, compute_of("blockwise", 4), **fields)
    assert_same(found, expected)
    plain = attend(arrays, mask, compute_of("blockwise", 4), with_table=True)
    assert np.abs(plain - found[0]).max() > 0.1


def test_noise_of_each_query_is_that_of_its_rate():
    """Unshared dropout: a weight is dropped or grows, queries differ, and outputs and gradients are
    those of dense attention with this noise.
    """
    rng = np.random.default_rng(2)
    rate, length = 0.25, 32
    mask = AttentionMask(
        visibility=Visibility.FULL,
        q_positions=masks.row_positions(length),
        kv_positions=masks.row_positions(length),
    )
    eye = jnp.broadcast_to(jnp.eye(length)[None, :, None], (BATCH, length, HEADS, length))
    zeros = jnp.zeros_like(eye)
    dropout = Dropout(rate, shared_along_length=False, key=jax.random.key(3))
    given = {"mask": mask, "compute": compute_of("blockwise", 8), "with_table": False}
    weights = np.asarray(attend((zeros, zeros, eye, None), **given, dropout=dropout)) * length
    kept = weights > 0
    np.testing.assert_allclose(weights[kept], 1 / (1 - rate), rtol=1e-6)
    # 6,144 draws: four standard deviations.
    assert abs(kept.mean() - (1 - rate)) < 4 * (rate * (1 - rate) / kept.size) ** 0.5
    assert (kept[:, :8] != kept[:, 8:16]).any() and (kept[:, 0] != kept[:, 1]).any()
    arrays, cotangent = arrays_of(length, length, rng)
    noise = jnp.asarray(kept).transpose(0, 2, 1, 3) / (1 - rate)

    def dense(queries, keys, values, table):
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", queries, keys))
        return jnp.einsum("bhqk,bkhd->bqhd", weights * noise, values)

    expected, backward = jax.vjp(dense, *arrays)
    found = output_and_gradients(arrays, cotangent, dropout=dropout, **given)
    assert_same(found, (expected, (backward(cotangent),)))


def test_bfloat16_differs_from_dense_as_bfloat16_does():
    """Products are of bfloat16, sums of float32: within a few of its 8 bits of the float32 form."""
    rng = np.random.default_rng(3)
    mask = mask_of("causal", 12, 12, rng)
    arrays, cotangent = arrays_of(12, 12, rng, jnp.bfloat16)
    narrow = functools.partial(output_and_gradients, arrays, cotangent, mask, with_table=True)
    found, dense = narrow(compute_of("blockwise", 4)), narrow(compute_of("dense"))
    assert found[0].dtype == jnp.bfloat16
    assert [g.dtype for g in found[1][0]] == [g.dtype for g in dense[1][0]]
    assert_same(found, dense, tolerance=2e-2)


def shapes(jaxpr):
    """Of all results in a program, those of loops and calls too."""
    for equation in jaxpr.eqns:
        yield from (out.aval.shape for out in equation.outvars)
        for inner in jaxprs_in_params(equation.params):
            yield from shapes(inner)


def loss_program(config, parameters, batch):
    def loss(parameters):
        key = jax.random.key(0)
        return jnp.sum(transformer.logits(config, parameters, batch, dropout_key=key))

    return jax.make_jaxpr(jax.value_and_grad(loss))(parameters).jaxpr


@pytest.mark.parametrize("remat", Remat)
def test_no_array_has_all_queries_and_keys(architecture, remat, tiny, parameters_of):
    """What it is for: in the gradient of every architecture, where dense attention has such. Not
    even of one head, where masks and bias of all layers could be made once.
    """
    length = 256
    tokens = jnp.ones((1, length), jnp.int32)
    batch = {
        name: tokens
        for side in ("encoder", "decoder")
        for name in (f"{side}_input_tokens", f"{side}_segment_ids")
    } | {"decoder_causal_attention": tokens}
    config = tiny(architecture, dropout_rate=0.1)
    largest = {}
    for form in ("dense", "blockwise"):
        variant = computed(config, form, block=16, remat=remat)
        program = loss_program(variant, parameters_of(config), batch)
        largest[form] = max(math.prod(shape) for shape in shapes(program))
    assert largest["dense"] >= 2 * length * length
    assert largest["blockwise"] < length * length


def computed(config, form, block=4, **fields):
    compute = ComputeConfig(attention=AttentionForm(form), attention_block=block, **fields)
    return dataclasses.replace(config, compute=compute)


@pytest.mark.parametrize("family", ["t5_1_0", "umt5", "gpt2", "local"])
def test_a_model_computes_the_same(
    architecture, family, tiny, parameters_of, examples_of, packed, compiled
):
    """Logits of packed rows, tables of each layer and models without one included."""
    config = tiny(architecture, family)
    if family == "gpt2" and config.encoder is not None:
        pytest.skip("positions are learned in language models")
    if family == "gpt2":
        examples = examples_of(config, inputs_lengths=(2, 1), targets_lengths=(2, 1))
        batch = packed(config, examples, inputs_length=4, targets_length=6)
    else:
        batch = packed(config, examples_of(config))
    parameters, real = parameters_of(config), batch["decoder_segment_ids"] > 0
    dense, blockwise = (
        np.asarray(compiled(transformer.logits, computed(config, form))(parameters, batch))[real]
        for form in ("dense", "blockwise")
    )
    assert_same(blockwise, dense)


def test_it_is_recomputed_in_remat(tiny, parameters_of, examples_of, packed, compiled):
    """A custom gradient within jax.checkpoint within a loop over layers."""
    config = tiny(dropout_rate=0.2)
    batch, parameters = packed(config, examples_of(config)), parameters_of(config)

    def loss(config, parameters, batch):
        return jnp.sum(
            transformer.logits(config, parameters, batch, dropout_key=jax.random.key(1)) ** 2
        )

    gradient = jax.grad(loss, argnums=1)
    kept, again = (
        compiled(gradient, computed(config, "blockwise", **fields))(parameters, batch)
        for fields in ({}, {"remat": Remat.FULL, "scan_unroll": 2})
    )
    assert_same(again, kept, tolerance=1e-5)


def test_autopsies_see_the_largest_logit(
    architecture, tiny, parameters_of, examples_of, packed, compiled
):
    """Every place is reported, with dense attention's value; a NaN is one."""
    config = tiny(architecture)
    batch, parameters = packed(config, examples_of(config)), parameters_of(config)

    def places(form, parameters):
        run = compiled(transformer.apply_with_maxima, computed(config, form))
        return maxima.in_order(jax.device_get(run(parameters, batch)[1]))

    dense, blockwise = places("dense", parameters), places("blockwise", parameters)
    assert [name for name, _ in blockwise] == [name for name, _ in dense]
    np.testing.assert_allclose([v for _, v in blockwise], [v for _, v in dense], rtol=1e-5)
    broken = jax.tree.map(np.array, parameters)
    broken["decoder"]["layers"]["self_attention"]["key"]["kernel"][1, 0, 0] = np.nan
    bad = [name for name, value in places("blockwise", broken) if not np.isfinite(value)]
    # The shared architecture's encoder reads the same weights, and reads them first.
    stack = "encoder" if architecture == "shared" else "decoder"
    assert bad[0] == f"{stack}/layers/1/self_attention/logits"


@pytest.mark.parametrize(
    ("attention", "q_len", "kv_len", "expected"),
    [
        ("auto", 1024, 1024, "dense"),
        ("auto", 2048, 512, "dense"),
        ("auto", 1024, 1025, "blockwise"),
        ("dense", 8192, 8192, "dense"),
        ("blockwise", 8, 8, "blockwise"),
    ],
)
def test_which_form_is_taken(attention, q_len, kv_len, expected):
    """By the number of logits, unless it is said."""
    assert choice.form_of(compute_of(attention), q_len, kv_len) is AttentionForm(expected)


def test_a_block_of_nothing_is_refused():
    """The bound is named."""
    with pytest.raises(UserError, match="attention_block=0: needed is at least 1"):
        ComputeConfig(attention_block=0)


@pytest.fixture
def interpreted_kernels(monkeypatch):
    """Pallas kernels run here as a TPU would run them, and are taken as for one."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *given, tpu, default: tpu(*given))
    with pltpu.force_tpu_interpret_mode():
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "length", "window"),
    [(kind, 150, None) for kind in (*SELF, "cross")] + [("full", 600, 100), ("causal", 600, 100)],
)
def test_the_kernels_are_dense(kind, length, window, interpreted_kernels):
    """As blockwise: packed rows, a length that blocks of 128 do not divide, queries that see
    nothing; gradients of the bias table across diagonals of blocks. In a window the grid leaves out
    blocks on both sides.
    """
    rng = np.random.default_rng(0)
    q_len, kv_len = (100 if kind == "cross" else length, length)
    mask = mask_of(kind, q_len, kv_len, rng, window)
    arrays, cotangent = arrays_of(q_len, kv_len, rng)
    fields = {"with_table": kind != "cross", "scale": 0.5}
    expected = output_and_gradients(arrays, cotangent, mask, compute_of("dense"), **fields)
    found = output_and_gradients(arrays, cotangent, mask, compute_of("pallas", 128), **fields)
    assert_same(found, expected, tolerance=4e-6)


@pytest.mark.parametrize("kind", ["causal", "cross"])
def test_without_a_tpu_pallas_is_blockwise(kind):
    """The portable form, in blocks that a TPU would have."""
    rng = np.random.default_rng(1)
    mask = mask_of(kind, 9, 9, rng)
    arrays, cotangent = arrays_of(9, 9, rng)
    expected = output_and_gradients(
        arrays, cotangent, mask, compute_of("dense"), with_table=kind != "cross"
    )
    found = output_and_gradients(
        arrays, cotangent, mask, compute_of("pallas", 128), with_table=kind != "cross"
    )
    assert_same(found, expected)


@pytest.mark.tpu_compiler
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("kind", [*SELF, "cross"])
def test_the_tpu_compiler_takes_the_kernels(kind, dtype, monkeypatch):
    """Forward and both backward passes, for a mesh of v5e chips; float32 in a window as well."""
    pytest.importorskip("libtpu")
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "1")
    monkeypatch.setenv("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2), topology.devices)
    q_len, kv_len = (600, 300) if kind == "cross" else (600, 600)

    def loss(heads, table, q_segments, kv_segments):
        with partitioner.activations():
            mask = AttentionMask(
                visibility=Visibility.FULL if kind == "cross" else Visibility(kind),
                q_positions=masks.row_positions(q_len),
                kv_positions=masks.row_positions(kv_len),
                window=100 if kind != "cross" and dtype == jnp.float32 else None,
                kv_in_prefix=kv_segments == 1 if kind == "prefix" else None,
                q_segments=q_segments,
                kv_segments=kv_segments,
            )
            compute, with_table = compute_of("pallas", 256), kind != "cross"
            mixed = attend((*heads, table), mask, compute, with_table=with_table)
        return jnp.sum(mixed.astype(jnp.float32) ** 2)

    def given(shape, dtype, axes):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=partitioner.sharding(axes))

    axes = ("batch", None, "heads", None)
    heads = tuple(given((4, n, 4, 64), dtype, axes) for n in (q_len, kv_len, kv_len))
    table = given((4, BUCKETS), jnp.float32, ("heads", None))
    segments = [given((4, n), jnp.int32, ("batch", None)) for n in (q_len, kv_len)]
    program = jax.jit(jax.grad(loss, (0, 1))).lower(heads, table, *segments).compile()
    assert program.as_text().count('custom_call_target="tpu_custom_call"') == 3


@pytest.mark.parametrize(
    ("block", "dropout", "message"),
    [
        (200, NO_DROPOUT, "attention_block=200 with attention='pallas': needed is a multiple of"),
        (
            128,
            Dropout(0.1, shared_along_length=False, key=jax.random.key(0)),
            "--gin.ComputeConfig.attention='blockwise'",
        ),
    ],
)
def test_what_the_kernels_cannot_do_is_refused(block, dropout, message):
    """Each with what to choose."""
    rng = np.random.default_rng(0)
    arrays, _ = arrays_of(9, 9, rng)
    mask = mask_of("full", 9, 9, rng)
    with pytest.raises(UserError, match=re.escape(message)):
        attend(arrays, mask, compute_of("pallas", block), with_table=True, dropout=dropout)
