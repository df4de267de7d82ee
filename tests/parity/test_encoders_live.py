"""The same encoder in transformers and here tells the same, live: hidden states, what the pooler
makes of them, and every head, with padding and types of tokens.

`make parity` installs torch and transformers.
"""

import functools
import json

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface
from t5x_lite.features.outputs import POOLED, Wanted
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

pytestmark = [
    pytest.mark.parity,
    # transformers uses what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

VOCAB = 97
STANDARD = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 19,
    # Large ones, so that nothing is hidden by small numbers.
    "initializer_range": 0.3,
}
SIZES = {
    "Bert": STANDARD,
    "Roberta": STANDARD | {"type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "DistilBert": {
        "vocab_size": VOCAB,
        "dim": 24,
        "n_layers": 3,
        "n_heads": 3,
        "hidden_dim": 37,
        "max_position_embeddings": 19,
        "initializer_range": 0.3,
    },
    "Albert": STANDARD | {"embedding_size": 11},
    "Electra": STANDARD | {"embedding_size": 11},
    "XLNet": {
        "vocab_size": VOCAB,
        "d_model": 24,
        "n_layer": 3,
        "n_head": 3,
        "d_inner": 37,
        "initializer_range": 0.3,
    },
}
# What the attributes of theirs are called here.
LOGITS = {
    "ForPreTraining": {"prediction_logits": "tokens", "seq_relationship_logits": "sentence"},
    "ForMaskedLM": {"logits": "tokens"},
    "ForNextSentencePrediction": {"logits": "sentence"},
    "ForSequenceClassification": {"logits": "classes"},
    "ForQuestionAnswering": {"start_logits": "span", "end_logits": "span"},
    "LMHeadModel": {"logits": "tokens"},
    "ForQuestionAnsweringSimple": {"start_logits": "span", "end_logits": "span"},
    "Model": {},
}
OF_MOST = [
    "ForPreTraining",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForQuestionAnswering",
    "Model",
]
CASES = [
    (family, ending, {})
    for family, endings in {
        "Bert": [*OF_MOST, "ForNextSentencePrediction"],
        "Roberta": ["Model", "ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering"],
        "DistilBert": ["Model", "ForMaskedLM", "ForSequenceClassification", "ForQuestionAnswering"],
        "Albert": OF_MOST,
        "Electra": OF_MOST,
        "XLNet": [
            "Model",
            "LMHeadModel",
            "ForSequenceClassification",
            "ForQuestionAnsweringSimple",
        ],
    }.items()
    for ending in endings
] + [
    ("Bert", "ForSequenceClassification", {"num_labels": 1}),
    ("Electra", "ForSequenceClassification", {"num_labels": 5}),
    ("Roberta", "ForSequenceClassification", {"num_labels": 1}),
    ("Bert", "ForMaskedLM", {"hidden_act": "gelu_new"}),
    ("Albert", "ForPreTraining", {"num_hidden_groups": 3, "hidden_act": "gelu"}),
    ("Albert", "Model", {"embedding_size": 24}),
    ("Electra", "ForMaskedLM", {"embedding_size": 24}),
    ("XLNet", "ForSequenceClassification", {"num_labels": 1}),
    ("XLNet", "LMHeadModel", {"clamp_len": 4, "ff_activation": "relu"}),
]


def make(family, ending, fields):
    """A model of theirs with random numbers everywhere, biases and norms included."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**SIZES[family] | fields)
    model = getattr(transformers, f"{family}{ending}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def batch(model, *, left=False):
    """Odd lengths, padding, and types where the model has them."""
    rng = np.random.default_rng(0)
    mask = np.int64(np.arange(13)[None] < np.array([[13], [5], [1]]))
    mask = mask[:, ::-1].copy() if left else mask
    padding = model.config.pad_token_id
    tokens = np.where(mask, rng.integers(5, VOCAB, mask.shape), padding)
    # Where types only differ there may be any.
    count = 3 if model.config.model_type == "xlnet" else getattr(model.config, "type_vocab_size", 0)
    types = np.where(mask, rng.integers(0, max(count, 1), mask.shape), 0)
    return tokens, mask, types


def theirs(model, tokens, mask, types):
    given = {"input_ids": tokens, "attention_mask": mask}
    if types.any():
        given["token_type_ids"] = types
    given = {name: torch.tensor(each) for name, each in given.items()}
    with torch.no_grad():
        return model(**given, output_hidden_states=True)


def ours(config, parameters, tokens, mask, types):
    hidden = ("encoder", *((POOLED,) if config.pooler else ()))
    wanted = Wanted(tuple(head.kind.value for head in config.heads), hidden)
    features = {
        "encoder_input_tokens": tokens,
        "encoder_segment_ids": mask,
        "encoder_token_types": types,
    }
    run = jax.jit(functools.partial(transformer.apply, config, wanted=wanted))
    found = run(parameters, {name: each.astype(np.int32) for name, each in features.items()})
    heads = {name: np.asarray(each.all()) for name, each in found.heads.items()}
    return heads | {name: np.asarray(each) for name, each in found.hidden.items()}


def assert_close(got, expected, name):
    """1e-5 of the largest."""
    expected = expected.detach().numpy()
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=1e-5 * np.abs(expected).max(), err_msg=name
    )


def assert_same(model, ending, config, parameters, *, left=False):
    tokens, mask, types = batch(model, left=left)
    expected = theirs(model, tokens, mask, types)
    found = ours(config, parameters, tokens, mask, types)
    real = mask > 0
    assert_close(found["encoder"][real], expected.hidden_states[-1][real], "hidden")
    if POOLED in found and getattr(expected, "pooler_output", None) is not None:
        assert_close(found[POOLED][:, 0], expected.pooler_output, "pooled")
    names = dict(LOGITS[ending])
    if "sop_logits" in expected:
        names["sop_logits"] = names.pop("seq_relationship_logits")
    if "logits" in expected and "prediction_logits" in names:  # a discriminator
        names = {"logits": "replaced"}
    if "classes" in names.values() and model.config.num_labels == 1:
        names = {"logits": "regression"}
    assert {*names.values()} == {head.kind.value for head in config.heads}
    for theirs_name, name in names.items():
        logits, told = getattr(expected, theirs_name), found[name]
        if name == "span":
            told = told[..., ["start_logits", "end_logits"].index(theirs_name)][real]
            logits = logits[real]
        elif name in ("tokens", "replaced"):
            told, logits = told[real].squeeze(), logits[real].squeeze()
        else:
            told = told[np.arange(len(told)), mask.argmax(axis=1)]
        assert_close(told, logits, name)


@pytest.mark.parametrize(("family", "ending", "fields"), CASES, ids=str)
def test_what_is_told_is_the_same_both_ways(family, ending, fields, tmp_path):
    """What they save we load, what we save they load, and both tell the same; nothing is lost.

    Of an example at its last token they ask where the row ends, so its padding is on the left.
    """
    model = make(family, ending, fields)
    left = family == "XLNet" and ending == "ForSequenceClassification"
    model.save_pretrained(tmp_path / "theirs")
    config, parameters = huggingface.load(tmp_path / "theirs")
    assert_same(model, ending, config, parameters, left=left)
    huggingface.save(tmp_path / "ours", config, parameters)
    again, reread = huggingface.load(tmp_path / "ours")
    assert again == config
    jax.tree.map(np.testing.assert_array_equal, reread, parameters)
    written = json.loads((tmp_path / "ours" / "config.json").read_text())
    family_written = written["architectures"][0].removesuffix(ending)
    back, report = getattr(transformers, written["architectures"][0]).from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    assert all("pooler" in key for key in report["missing_keys"]), report
    if family_written == family:
        assert_same(back.eval(), ending, config, parameters, left=left)


def test_positions_that_are_distances_count_from_any_side(tmp_path):
    """What stands in front of an example moves nothing: padding on the left, too."""
    model = make("XLNet", "LMHeadModel", {})
    model.save_pretrained(tmp_path)
    assert_same(model, "LMHeadModel", *huggingface.load(tmp_path), left=True)


@pytest.mark.parametrize("memory", [0, 4])
def test_two_streams_and_a_memory_are_theirs(memory, tmp_path):
    """Their perm_mask is our order, and their mems are our rank 0."""
    model = make("XLNet", "LMHeadModel", {"mem_len": memory or None})
    model.save_pretrained(tmp_path)
    config, parameters = huggingface.load(tmp_path)
    rng = np.random.default_rng(1)
    length, rows = 9, 3
    order = np.stack([1 + np.maximum(rng.permutation(length) - 4, 0) for _ in range(rows)])
    predicted = np.int64(order > 2)  # of rank 1 there are several, of rank 2 one, which are shown
    tokens = rng.integers(6, VOCAB, (rows, memory + length))
    types = np.pad(rng.integers(0, 2, (rows, length)), ((0, 0), (memory, 0)))

    def tensor(array):
        return torch.tensor(np.asarray(array, np.float32))

    hidden = order[:, None, :] > order[:, :, None]
    own = np.eye(length, dtype=bool) & (predicted[:, :, None] > 0)
    given = {
        "input_ids": torch.tensor(tokens[:, memory:]),
        "token_type_ids": torch.tensor(types[:, memory:]),
        "perm_mask": tensor(hidden | own),
        "target_mapping": tensor(np.broadcast_to(np.eye(length), (rows, length, length))),
    }
    with torch.no_grad():
        if memory:
            before = torch.tensor(tokens[:, :memory])
            given["mems"] = model(before, token_type_ids=0 * before, use_mems=True).mems
        expected = model(**given).logits
    features = {
        "encoder_input_tokens": tokens,
        "encoder_token_types": types,
        "encoder_segment_ids": np.ones_like(tokens),
        "encoder_order": np.pad(order, ((0, 0), (memory, 0))),
        "encoder_loss_weights": np.pad(predicted, ((0, 0), (memory, 0))),
    }
    features = {name: each.astype(np.int32) for name, each in features.items()}
    run = jax.jit(functools.partial(transformer.logits, config))
    found = run(parameters, features)[:, memory:]
    where = predicted > 0
    assert_close(found[where], expected[torch.tensor(where)], "predicted")


LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}


@pytest.mark.parametrize(
    ("size", "fields"),
    [
        ("bert/base", {}),
        ("bert/large", LARGE),
        ("roberta/base", {}),
        ("roberta/large", LARGE),
        ("distilbert/base", {}),
        ("albert/base", {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}),
        ("albert/large", LARGE | {"embedding_size": 128}),
        (
            "albert/xlarge",
            {"hidden_size": 2048, "num_attention_heads": 16}
            | {"num_hidden_layers": 24, "intermediate_size": 8192},
        ),
        ("albert/xxlarge", {}),
        ("electra/small", {}),
        (
            "electra/base",
            {"embedding_size": 768, "hidden_size": 768, "intermediate_size": 3072}
            | {"num_attention_heads": 12},
        ),
        ("electra/large", LARGE | {"embedding_size": 1024}),
        ("xlnet/base", {"d_model": 768, "n_layer": 12, "n_head": 12, "d_inner": 3072}),
        ("xlnet/large", {}),
    ],
    ids=str,
)
def test_published_sizes_have_as_many_parameters_as_theirs(size, fields):
    """On the meta device, without heads, with the pooler that a bare model has."""
    names = {"bert": "Bert", "roberta": "Roberta", "distilbert": "DistilBert"}
    names |= {"albert": "Albert", "electra": "Electra", "xlnet": "XLNet"}
    family = names[size.partition("/")[0]]
    if family == "Roberta":
        fields = fields | {
            "vocab_size": 50265,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
        }
    with torch.device("meta"):
        model = getattr(transformers, f"{family}Model")(
            getattr(transformers, f"{family}Config")(**fields)
        )
    flags = ["HEADS=()", f"POOLER={family in ('Bert', 'Roberta', 'Albert')}"]
    overrides = [("--gin", flag) for flag in flags]
    ours = gin_config.resolve(ModelConfig, [f"models/{size}.gin"], overrides=overrides).config
    assert transformer.num_parameters(ours) == model.num_parameters()
