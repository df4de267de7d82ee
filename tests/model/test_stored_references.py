"""Numbers that others computed: tiny Hugging Face T5 models and a T5X model, stored as NumPy.

Their parameter names are mapped here, apart from the importers of checkpoints/, so that an error
there cannot hide one here.
"""

import functools
import re

import numpy as np
import pytest

from t5x_lite.model import transformer
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    MLPConfig,
    ModelConfig,
    RelativeBiasConfig,
    StackConfig,
    Visibility,
)

pytestmark = pytest.mark.test_data

# AxLearn's names for a Hugging Face layer -> ours; an attention's names follow below it.
_AXLEARN_ENCODER = {
    "self_attention/norm": "pre_attention_layer_norm",
    "self_attention/attention": "attention",
    "feed_forward/norm": "pre_mlp_layer_norm",
    "feed_forward/linear1": "mlp/wi",
    "feed_forward/linear1_0": "mlp/wi_0",
    "feed_forward/linear1_1": "mlp/wi_1",
    "feed_forward/linear2": "mlp/wo",
}
_AXLEARN_DECODER = _AXLEARN_ENCODER | {
    "self_attention/norm": "pre_self_attention_layer_norm",
    "self_attention/attention": "self_attention",
    "cross_attention/norm": "pre_cross_attention_layer_norm",
    "cross_attention/attention": "encoder_decoder_attention",
}
_GATED_GELU = ("gelu", "linear")
_AXLEARN_PROJECTIONS = {"q": "query", "k": "key", "v": "value", "o": "out"}


@functools.cache
def arrays(path, case):
    """The arrays of one stored case, without the name of the case."""
    with np.load(path) as file:
        names = [name for name in file.files if name.startswith(f"{case}/")]
        return {name.removeprefix(f"{case}/"): file[name] for name in names}


def nested(flat):
    """A nested dict of a flat one with a/b/c names."""
    tree = {}
    for path, value in flat.items():
        folder = tree
        *folders, name = path.split("/")
        for part in folders:
            folder = folder.setdefault(part, {})
        folder[name] = value
    return tree


def stack_layers(flat):
    """Layers side by side -> one array each with the layers in front; names hold layers_{i}."""
    stacked, layers = {}, {}
    for path, value in flat.items():
        match = re.search(r"layers_(\d+)", path)
        if match:
            layers.setdefault(path.replace(match[0], "layers"), {})[int(match[1])] = value
        else:
            stacked[path] = value
    for path, values in layers.items():
        stacked[path] = np.stack([values[i] for i in sorted(values)])
    return stacked


def model(*, heads, head_dim, embed, mlp, vocab, activations, layers=2):
    """An encoder-decoder with an untied, unscaled head."""

    def stack(visibility, *, is_decoder):
        return StackConfig(
            num_layers=layers,
            visibility=visibility,
            block=BlockConfig(
                attention=AttentionConfig(num_heads=heads, head_dim=head_dim),
                mlp=MLPConfig(mlp_dim=mlp, activations=activations),
                cross_attention=is_decoder,
            ),
            positions=RelativeBiasConfig(bidirectional=not is_decoder),
        )

    return ModelConfig(
        vocab_size=vocab,
        embed_dim=embed,
        encoder=stack(Visibility.FULL, is_decoder=False),
        decoder=stack(Visibility.CAUSAL, is_decoder=True),
        logits_via_embedding=False,
        scale_logits=False,
    )


def from_axlearn(flat):
    """Parameters of AxLearn's T5 in our tree: its projections are [embed, heads, head_dim]."""
    found = {}
    for path, value in flat.items():
        if path == "decoder/lm_head/weight" or "relative_pos_emb" in path:
            value = value.T
        if "/attention/" in path:
            joined = value.reshape(value.shape[0], -1)
            value = joined.T if "o_proj" in path else joined
            # AxLearn divides by sqrt(head_dim) at run time and stored queries that make up for it.
            if "q_proj" in path:
                value = value * flat[path].shape[-1] ** -0.5
        found[axlearn_path(path)] = value
    return nested(stack_layers(found))


def axlearn_path(path):
    """Our name of a parameter of AxLearn's."""
    layer = re.match(r"(encoder|decoder)/transformer/layer(\d+)/(\w+/[a-z0-9_]+)/(.*)", path)
    if layer is None:
        return {
            "shared_token_emb/weight": "token_embedder/embedding",
            "encoder/relative_pos_emb/emb/weight": "encoder/relpos_bias/rel_embedding",
            "decoder/relative_pos_emb/emb/weight": "decoder/relpos_bias/rel_embedding",
            "decoder/lm_head/weight": "decoder/logits_dense/kernel",
            "encoder/output/norm/scale": "encoder/encoder_norm/scale",
            "decoder/output_norm/scale": "decoder/decoder_norm/scale",
        }[path]
    side, number, part, rest = layer.groups()
    ours = (_AXLEARN_ENCODER if side == "encoder" else _AXLEARN_DECODER)[part]
    projection = re.fullmatch(r"(?:i_proj/)?([qkvo])_proj/weight", rest)
    leaf = f"{_AXLEARN_PROJECTIONS[projection[1]]}/kernel" if projection else rest
    return f"{side}/layers_{number}/{ours}/{leaf.replace('weight', 'kernel')}"


def parameters_in(case):
    return {k.removeprefix("params/"): case[k] for k in case if k.startswith("params/")}


@pytest.mark.parametrize(
    ("name", "activations", "mlp"),
    [("v1", ("relu",), 48), ("v1-1", ("gelu", "linear"), 32), ("ul2", ("silu", "linear"), 32)],
)
def test_logits_and_loss_equal_those_of_hugging_face(
    test_data_dir, compiled, with_segments, name, activations, mlp
):
    """Padded rows of two lengths, two layers; all three stored models have a head of their own.

    1e-5 of the largest logit covers the order of float32 sums.
    """
    path = test_data_dir / "references" / "axlearn.common.t5_test.npz"
    case = arrays(path, f"test_against_t5_encoder_decoder_model_t5-{name}")
    config = model(heads=3, head_dim=4, embed=12, mlp=mlp, vocab=128, activations=activations)
    batch = {
        "encoder_input_tokens": case["inputs/source_ids"],
        "decoder_input_tokens": case["inputs/target_ids"],
    }
    apply = compiled(transformer.logits, config)
    parameters = from_axlearn(parameters_in(case))
    logits = np.asarray(apply(parameters, with_segments(batch)), np.float64)
    labels = case["inputs/target_labels"]
    expected = case["outputs/ref_logits"]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    log_z = np.log(np.exp(logits).sum(axis=-1))
    of_label = np.take_along_axis(logits, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    loss = (log_z - of_label)[labels >= 0].mean()
    np.testing.assert_allclose(loss, case["outputs/ref_loss"], rtol=1e-6)


def test_the_encoder_equals_that_of_hugging_face(
    test_data_dir, compiled, with_segments, parameters_of
):
    """An encoder alone, v1.1, real positions: its padding is seen by nobody but itself."""
    path = test_data_dir / "references" / "axlearn.common.t5_test.npz"
    case = arrays(path, "test_against_t5_encoder")
    config = model(heads=3, head_dim=4, embed=12, mlp=32, vocab=128, activations=_GATED_GELU)
    encoder = {f"encoder/{name}": value for name, value in parameters_in(case).items()}
    encoder["shared_token_emb/weight"] = encoder.pop("encoder/emb/token_emb/weight")
    parameters = parameters_of(config) | from_axlearn(encoder)
    tokens = case["inputs/input_ids"]
    encode = compiled(transformer.encode, config)
    hidden = encode(parameters, with_segments({"encoder_input_tokens": tokens}))
    expected = case["outputs/last_hidden_state"]
    np.testing.assert_allclose(
        np.asarray(hidden)[tokens > 0], expected[tokens > 0], atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize("is_packed", [False, True])
def test_logits_equal_those_of_t5x(test_data_dir, compiled, with_segments, is_packed):
    """Four layers, gated; packed rows hold up to four examples in places of their own."""
    path = test_data_dir / "references" / "axlearn.common.encoder_decoder_test.npz"
    case = arrays(path, f"test_against_t5x_{is_packed}")
    config = model(
        heads=4, head_dim=4, embed=16, mlp=64, layers=4, vocab=48, activations=_GATED_GELU
    )
    batch = with_segments(
        {
            "encoder_input_tokens": case["source_ids"],
            "decoder_input_tokens": case["target_ids"],
            "decoder_target_tokens": np.maximum(case["target_labels"], 0),
        }
    )
    if is_packed:
        batch |= {
            "encoder_segment_ids": case["source_segment_ids"],
            "encoder_positions": case["source_positions"],
            "decoder_segment_ids": case["target_segment_ids"],
            "decoder_positions": case["target_positions"],
        }
    apply = compiled(transformer.logits, config)
    logits = np.asarray(apply(nested(stack_layers(parameters_in(case))), batch))
    real, expected = case["padding_mask"], case["outputs"]
    assert real.sum() == 15, "the stored case has 15 real positions"
    np.testing.assert_allclose(logits[real], expected[real], atol=1e-5 * np.abs(expected).max())
