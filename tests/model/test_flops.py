"""What a model costs, against the paper's table and against XLA's own count (INV-2)."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from t5x_lite import config as gin_config
from t5x_lite.features.outputs import TOKENS
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model import flops, transformer
from t5x_lite.model.config import ModelConfig, RecurrenceConfig

ROWS = 2


def base(architecture: str, family: str = "t5_1_0", overrides=()) -> ModelConfig:
    """A published base model without loops, of layers or of logits: XLA counts a body once."""
    files = [f"models/{family}/base.gin", f"models/architectures/{architecture}.gin"]
    model = gin_config.resolve(ModelConfig, gin_files=files, overrides=overrides).config
    assert isinstance(model, ModelConfig)
    unrolled = dataclasses.replace(
        model.compute, scan_unroll=model.decoder.depth, logits_bytes=2**40
    )
    return dataclasses.replace(model, compute=unrolled)


@pytest.mark.parametrize(
    ("architecture", "window", "every"),
    [("lm", 128, 1), ("encoder_decoder", 65, 1), ("lm", 128, 2), ("lm", 128, 5)],
)
def test_in_a_window_cost_grows_with_the_length(architecture, window, every):
    """Not with its square, but for cross-attention and layers that are dense; a window as long as
    the row saves nothing.
    """
    whole = base(architecture)
    flags = (f"StackConfig.window={window}", f"StackConfig.window_every={every}")
    local = base(architecture, overrides=[("--gin", flag) for flag in flags])

    def cost(model, length):
        return flops.forward_flops(model, 1, 128 if model.encoder is not None else 0, length)

    assert cost(local, 64) == cost(whole, 64)
    costs = [cost(local, length) for length in (1024, 2048, 3072)]
    assert (costs[2] - costs[1] == costs[1] - costs[0]) == (every == 1)
    pairs = 2048 * (2048 - 128 if window == 128 else 2048 - 65)
    assert cost(whole, 2048) - costs[1] == whole.decoder.depth // every * 4 * 768 * pairs


@pytest.mark.parametrize("memories", [0, 3])
def test_windows_that_are_read_one_by_one_cost_what_each_costs(memories):
    """A text of one window without memories is the plain model's; with some there are, for each
    window, the network's kernels and what every layer's queries see and mix.
    """
    plain = base("lm")
    recurrence = RecurrenceConfig(window=128, num_memories=memories, mlp_dim=64)
    model = dataclasses.replace(plain, recurrence=recurrence)
    one = flops.forward_flops(model, 1, 0, 128)
    assert flops.forward_flops(model, 2, 0, 5 * 128) == 10 * one
    kernels = 64 * 768 * (1 + 2 * memories) if memories else 0
    seen = 12 * 2 * 128 * memories * 768
    assert one == flops.forward_flops(plain, 1, 0, 128) + 2 * (kernels + seen)


def lengths_of(model: ModelConfig, inputs: int, targets: int) -> tuple[int, int]:
    """A language model reads inputs and targets as one sequence."""
    return (inputs, targets) if model.encoder is not None else (0, inputs + targets)


@pytest.mark.parametrize(
    ("architecture", "targets", "expected"),
    [("lm", 512, 1.023), ("lm", 114, 1.068), ("half_depth", 512, 0.549), ("half_depth", 114, 0.520)]
    + [(architecture, 512, 1.0) for architecture in ("encoder_decoder", "shared")],
)
def test_architectures_cost_what_the_paper_says(architecture, targets, expected):
    """Table 2 of Raffel et al. (2020), forward, with logits at every position, to 1e-3."""
    costs = [
        flops.forward_flops(model, 1, *lengths_of(model, 512, targets))
        for model in (base(architecture), base("encoder_decoder"))
    ]
    assert costs[0] / costs[1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("architecture", "family"), [("encoder_decoder", "t5_1_1"), ("lm", "t5_1_0")]
)
def test_the_formula_is_xlas_count(architecture, family):
    """Within 2 %, forward and backward: norms, softmax and loss are what it leaves out."""
    model = base(architecture, family)
    encoded, length = lengths_of(model, 512, 114)
    batch = {
        name: jax.ShapeDtypeStruct((ROWS, size), jnp.int32)
        for name, size in {
            "encoder_input_tokens": encoded,
            "encoder_segment_ids": encoded,
            "decoder_input_tokens": length,
            "decoder_target_tokens": length,
            "decoder_segment_ids": length,
        }.items()
        if size
    }

    def loss(parameters, batch):
        scores = transformer.apply(model, parameters, batch).heads[TOKENS]
        return compute_loss(scores, batch, LossConfig(), training=True)[0]

    step = jax.jit(jax.value_and_grad(loss)).lower(transformer.abstract_parameters(model), batch)
    formula = flops.training_flops(model, {name: each.shape for name, each in batch.items()})
    assert step.cost_analysis()["flops"] == pytest.approx(formula, rel=0.02)
