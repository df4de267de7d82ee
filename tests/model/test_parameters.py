"""INV-7: how parameters begin, on the shapes of T5 base with a fixed seed."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite.model import transformer
from t5x_lite.model.attention import Attention
from t5x_lite.model.config import AttentionConfig, InitConfig, MLPConfig
from t5x_lite.model.head_config import HeadConfig
from t5x_lite.model.heads import TokensHead
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.mlp import MLP
from t5x_lite.model.network import Embedding
from t5x_lite.model.position_bias import RelativePositionBias

EMBED, MLP_DIM, HEADS, HEAD_DIM = 768, 3072, 12, 64
T5 = Initializer(InitConfig())


def assert_stddev(values, expected):
    """Mean 0 and the expected deviation, each to 3 standard errors for this many values."""
    values = np.asarray(values, np.float64).ravel()
    kurtosis = np.mean((values - values.mean()) ** 4) / values.var() ** 2
    of_stddev = expected * ((kurtosis - 1) / (4 * values.size)) ** 0.5
    assert abs(values.std() - expected) < 3 * of_stddev
    assert abs(values.mean()) < 3 * expected / values.size**0.5


@pytest.fixture(scope="module")
def attention():
    return Attention(
        AttentionConfig(num_heads=HEADS, head_dim=HEAD_DIM), EMBED, init=T5, key=jax.random.key(0)
    )


@pytest.mark.parametrize(
    ("projection", "stddev"),
    [
        ("query", (EMBED * HEAD_DIM) ** -0.5),
        ("key", EMBED**-0.5),
        ("value", EMBED**-0.5),
        ("out", (HEADS * HEAD_DIM) ** -0.5),
    ],
)
def test_attention_kernels(attention, projection, stddev):
    """The queries carry the 1/sqrt(head_dim) that attention itself leaves out."""
    assert_stddev(getattr(attention, projection).kernel[...], stddev)


@pytest.mark.parametrize(("kernel", "fan_in"), [("wi_0", EMBED), ("wi_1", EMBED), ("wo", MLP_DIM)])
def test_mlp_kernels(kernel, fan_in):
    """Truncated at two deviations of the uncut normal, and rescaled to the deviation asked for."""
    config = MLPConfig(mlp_dim=MLP_DIM, activations=("gelu", "linear"))
    values = getattr(MLP(config, EMBED, init=T5, key=jax.random.key(1)), kernel).kernel[...]
    assert_stddev(values, fan_in**-0.5)
    assert np.abs(values).max() <= 2.0 / 0.8796 * fan_in**-0.5


def test_the_embedding(tiny):
    """Unit normal, whatever the width; a tenth of the vocabulary is enough to see it."""
    config = dataclasses.replace(tiny(), vocab_size=3213, embed_dim=EMBED)
    table = Embedding(config, key=jax.random.key(2))
    assert_stddev(table.embedding[...], 1.0)


def test_the_head(tiny):
    """embed_dim ** -0.5, as an untied softmax begins; one that is tied has no kernel."""
    config = dataclasses.replace(tiny(family="t5_1_1"), vocab_size=3213, embed_dim=EMBED)
    head = TokensHead(HeadConfig(), config, key=jax.random.key(3))
    assert_stddev(head.logits_dense.kernel[...], EMBED**-0.5)
    assert not hasattr(TokensHead(HeadConfig(), tiny(), key=jax.random.key(3)), "logits_dense")


def test_the_position_table():
    """Uniform, fan average of 12 heads and 32 buckets: 384 values, so the error is wide."""
    table = RelativePositionBias(HEADS, 32, key=jax.random.key(4)).rel_embedding[...]
    assert_stddev(table, (2 / (HEADS + 32)) ** 0.5)
    assert np.abs(table).max() <= (6 / (HEADS + 32)) ** 0.5


def test_init_gives_what_the_abstract_tree_says(tiny, compiled):
    """Same paths, shapes and float32; norm scales are ones; no two layers begin alike."""
    config = tiny(family="t5_1_1")
    values = compiled(transformer.init_parameters, config)(jax.random.key(0))
    abstract = transformer.abstract_parameters(config)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), values) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), abstract
    )
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(values)} == {"float32"}
    for path, leaf in jax.tree_util.tree_leaves_with_path(values):
        if path[-1].key == "scale":
            np.testing.assert_array_equal(leaf, 1.0)
        elif path[1].key == "layers":
            assert (np.asarray(leaf[0]) != np.asarray(leaf[1])).all(), path
    assert_stddev(values["decoder"]["logits_dense"]["kernel"], 8**-0.5)
