"""Layers that are dense and banded in turn, through one loop (Brown et al. 2020, section 2.1)."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.pallas import tpu as pltpu

from t5x_lite.errors import UserError
from t5x_lite.model import masks, transformer
from t5x_lite.model.attend import choice
from t5x_lite.model.choices import AttentionForm, Remat, Visibility
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.dropout import NO_DROPOUT
from t5x_lite.model.masks import AttentionMask

LENGTH, WINDOW = 9, 3


def assert_same(found, expected, tolerance=2e-6):
    """Every array to `tolerance` of its largest entry: float32 sums in another order."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1))


def computed(config, form="auto", **fields):
    compute = ComputeConfig(attention=AttentionForm(form), attention_block=4, **fields)
    return dataclasses.replace(config, compute=compute)


def with_stack(config, **fields):
    return dataclasses.replace(config, decoder=dataclasses.replace(config.decoder, **fields))


def batch_of(length=LENGTH):
    tokens = np.arange(2, 2 + length, dtype=np.int32)[None]
    return {"decoder_input_tokens": tokens, "decoder_segment_ids": np.ones_like(tokens)}


def loss(config, parameters, batch):
    return jnp.sum(transformer.logits(config, parameters, batch) ** 2)


def heads_of(length):
    """Queries, keys, values, and what the output is multiplied with for its gradient."""
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.standard_normal((1, length, 2, 4), np.float32)) for _ in range(4)]


def attention(form, window, is_local, queries, keys, values, cotangent, *, block):
    """What attention of one layer gives, and its gradients."""
    positions = masks.row_positions(queries.shape[1])
    mask = AttentionMask(
        visibility=Visibility.CAUSAL,
        window=window,
        is_local=is_local,
        q_positions=positions,
        kv_positions=positions,
    )
    compute = ComputeConfig(attention=AttentionForm(form), attention_block=block)

    def attend(*heads):
        return choice.attend(
            *heads, mask, position_bias=None, scale=0.5, dropout=NO_DROPOUT, compute=compute
        )

    output, backward = jax.vjp(attend, queries, keys, values)
    return output, backward(cotangent)


LOSS_AND_GRADIENT = jax.value_and_grad(loss, argnums=1)


@pytest.mark.parametrize("form", ["dense", "blockwise"])
def test_the_first_layer_is_dense_and_the_second_banded(form, tiny, parameters_of, compiled):
    """Which position reaches which output where only one of the two layers mixes positions, against
    masks written out; with both, every earlier one.
    """
    config = computed(tiny("lm", "alternating"), form)
    batch = batch_of()
    rows = {name: np.repeat(value, LENGTH + 1, axis=0) for name, value in batch.items()}
    np.fill_diagonal(rows["decoder_input_tokens"], 20)
    key, query = np.indices((LENGTH, LENGTH))
    causal, band = key <= query, query - key < WINDOW
    for mixing, expected in ((0, causal), (1, causal & band), (None, causal)):
        parameters = jax.tree.map(np.array, parameters_of(config))
        if mixing is not None:
            out = parameters["decoder"]["layers"]["self_attention"]["out"]["kernel"]
            out[1 - mixing] = 0
        logits = np.asarray(compiled(transformer.logits, config)(parameters, rows))
        reached = np.abs(logits[:-1] - logits[-1:]).max(axis=-1) > 0
        np.testing.assert_array_equal(reached, expected, err_msg=f"layer {mixing}")


@pytest.mark.parametrize("form", ["dense", "blockwise"])
def test_a_band_as_long_as_the_row_is_dense_to_the_last_bit(form):
    """What attention gives of both kinds of layer, and its gradients; not of a shorter band."""

    def run(window):
        attended = jax.jit(functools.partial(attention, form, window, block=4))
        return [attended(jnp.asarray(is_local), *heads_of(LENGTH)) for is_local in (True, False)]

    jax.tree.map(np.testing.assert_array_equal, *run(LENGTH))
    banded, dense = run(WINDOW)
    assert np.abs(banded[0] - dense[0]).max() > 1e-2


def test_without_a_window_it_is_the_plain_model(tiny, parameters_of, logits_of):
    """Or with one as long as the row, up to the rounding of another program."""
    config, plain = tiny("lm", "alternating"), tiny("lm")
    parameters = parameters_of(plain)
    expected = logits_of(plain, batch_of(), parameters)
    np.testing.assert_array_equal(
        logits_of(with_stack(config, window=None), batch_of(), parameters), expected
    )
    assert_same(logits_of(with_stack(config, window=LENGTH), batch_of(), parameters), expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"form": "blockwise"},
        {"form": "pallas", "attention_block": 128},
        {"scan_unroll": 2},
        {"remat": Remat.FULL},
        {"form": "blockwise", "remat": Remat.MINIMAL},
    ],
    ids=str,
)
def test_however_it_is_computed_the_numbers_are_the_same(
    fields, tiny, parameters_of, examples_of, packed, compiled
):
    """Loss and gradients of packed rows with padding: other forms of attention, layers unrolled,
    what the backward pass computes again.
    """
    config = tiny("lm", "alternating")
    parameters, batch = parameters_of(config), packed(config, examples_of(config))
    fields = {"attention_block": 4} | fields
    fields["attention"] = AttentionForm(fields.pop("form", "auto"))
    other = dataclasses.replace(config, compute=ComputeConfig(**fields))
    expected, found = (
        compiled(LOSS_AND_GRADIENT, each)(parameters, batch) for each in (config, other)
    )
    assert_same(found, expected, tolerance=1e-5)


def test_one_program_serves_layers_of_both_kinds(tiny, parameters_of):
    """Twice as many layers make it no longer."""

    def size(layers):
        config = computed(with_stack(tiny("lm", "alternating"), num_layers=layers), "blockwise")
        run = jax.jit(lambda p, b: transformer.logits(config, p, b))
        shapes = transformer.abstract_parameters(config)
        return len(run.lower(shapes, batch_of()).as_text().splitlines())

    assert size(8) == size(4)


@pytest.mark.slow
@pytest.mark.parametrize("is_local", [True, False])
def test_the_kernels_are_dense_attention(is_local, monkeypatch):
    """As a TPU would run them: one of two programs, outputs and gradients."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *given, tpu, default: tpu(*given))
    given = (jnp.asarray(is_local), *heads_of(300))
    with pltpu.force_tpu_interpret_mode():
        kernels = attention("pallas", 100, *given, block=128)
    assert_same(kernels, attention("dense", 100, *given, block=128), tolerance=4e-6)


def test_a_window_in_no_layer_is_refused(tiny):
    with pytest.raises(
        UserError, match="window_every=3 with 2 layers: window=3 would hold in none"
    ):
        with_stack(tiny("lm", "alternating"), window_every=3)
