"""Adapters (Raffel et al. 2020, section 3.5.1): how many weights, where they start, what moves."""

import functools

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface
from t5x_lite.finetuning import additions
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

BASE = "models/t5_1_0/base.gin"
NORMS_AT_BASE = 47_616


@pytest.mark.parametrize(
    ("adapter_dim", "kernels"),
    [(32, 1_179_648), (128, 4_718_592), (512, 18_874_368), (2048, 75_497_472)],
)
def test_base_gets_exactly_the_papers_number_of_weights(adapter_dim, kernels):
    """24 layers of two kernels, and a norm's gains in each: 18,432."""
    override = ("--gin", f"BlockConfig.adapter_dim={adapter_dim}")
    model = gin_config.resolve(ModelConfig, [BASE], overrides=[override]).config
    added = transformer.num_parameters(model) - transformer.num_parameters(model.plain)
    assert added == kernels + 18_432
    assert all("/adapter/" in name for name in additions.names(model))


@pytest.mark.parametrize(
    ("trained", "norms"), [(None, NORMS_AT_BASE), ("'.*/adapter/.*'", 0)], ids=["paper", "released"]
)
def test_one_include_chooses_what_is_trained(trained, norms, trains_of):
    """The adapters and all layer norms as in the paper, or the adapters alone."""
    overrides = ["ADAPTER_DIM=32"] + ([f"TRAINED={trained}"] if trained else [])
    found, parameters = trains_of([BASE], "adapters", *overrides)
    assert sum(parameters[name].size for name in found) == 1_179_648 + 18_432 + norms
    assert all("/adapter/" in name or name.endswith("/scale") for name in found)


@pytest.mark.slow
def test_an_adapted_model_starts_as_the_pretrained_one(model_of, logits_of, batch):
    """What was there begins as without adapters, and their first outputs hardly move a logit."""
    model = model_of("prefix_lm", adapter_dim=16)
    parameters = jax.jit(functools.partial(transformer.init_parameters, model))(jax.random.key(0))
    plain = functools.partial(transformer.init_parameters, model.plain)(jax.random.key(0))
    kept = additions.without(parameters, additions.names(model))
    jax.tree.map(np.testing.assert_array_equal, kept, plain)
    expected = logits_of(model.plain, kept, batch)
    moved = np.abs(logits_of(model, parameters, batch) - expected).max()
    assert 0 < moved < 0.1 * np.abs(expected).max()


def test_stacks_that_share_weights_share_adapters(model_of):
    """So an adapter in one of them only is refused."""
    shared = model_of("shared", adapter_dim=16)
    assert {name.split("/")[0] for name in additions.names(shared)} == {"decoder"}
    with pytest.raises(ValueError, match="same depth, attention, mlp, norm, adapter"):
        type(shared)(**(vars(shared) | {"encoder": shared.plain.encoder}))
    with pytest.raises(ValueError, match="adapter_dim=0: needed is at least 1"):
        model_of(adapter_dim=0)


def test_hugging_face_has_no_adapters(model_of, parameters_of, tmp_path):
    """T5's directories cannot say it; one clear error instead of half a model."""
    model = model_of(adapter_dim=16)
    with pytest.raises(ValueError, match="no place for what fine-tuning added.*adapter_dim=16"):
        huggingface.save(tmp_path, model, parameters_of(model))


def test_adapter_widths_are_split_over_the_mesh(trains_of):
    """As the feed-forward width they stand for: by `model` in both rules tables."""
    for mesh in ("standard", "fully_sharded"):
        files = ["models/t5_1_0/tiny.gin", f"meshes/{mesh}.gin"]
        _, parameters = trains_of(files, "adapters", "ADAPTER_DIM=32", "NUM_PARTITIONS=2")
        kernel = parameters["encoder/layers/adapter/wi/kernel"]
        assert kernel.sharding.shard_shape(kernel.shape)[2] == 16
