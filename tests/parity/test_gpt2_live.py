"""The same GPT-2 in transformers and here gives the same logits and the same text, live.

`make parity` installs torch and transformers.
"""

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.search import decode
from t5x_lite.model import transformer
from t5x_lite.text.tokenizer import load_tokenizer

pytestmark = [
    pytest.mark.parity,
    # transformers uses what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

SCRIPT = pathlib.Path(__file__).parents[1] / "references" / "make_gpt2_references.py"
_spec = importlib.util.spec_from_file_location("make_gpt2_references", SCRIPT)
references = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(references)

SPECIAL = {"bos_token_id": 90, "eos_token_id": 90}
SIZES = {
    "odd": references.ODD,
    "one layer of one head": {"n_embd": 9, "n_head": 1, "n_layer": 1, "n_positions": 300},
    "4 n_embd inside": {"n_embd": 48, "n_head": 3, "n_layer": 5, "n_positions": 64},
    "relu, unscaled": {
        **{"n_embd": 24, "n_head": 6, "n_layer": 2, "n_positions": 33, "n_inner": 7},
        **{"activation_function": "relu", "scale_attn_weights": False},
        "layer_norm_epsilon": 1e-2,
    },
}
SIZES = {name: {"vocab_size": 91} | SPECIAL | size for name, size in SIZES.items()}
SMALL = {"n_embd": 768, "n_head": 12, "n_layer": 12}


@pytest.fixture
def same_model(tmp_path):
    """A model of transformers, and what we load of the directory it saves."""

    def make(**description):
        model = references.make_model(**description, seed=0)
        model.save_pretrained(tmp_path / "theirs")
        return model, *huggingface.load(tmp_path / "theirs")

    return make


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, parameters, tokens):
    batch = {"decoder_input_tokens": tokens, "decoder_segment_ids": jnp.ones_like(tokens)}
    return transformer.logits(config, parameters, batch)


def assert_same_logits(model, config, parameters, shape):
    tokens = references.make_inputs(shape, config.vocab_size, seed=sum(shape))
    expected = references.logits_of(model, tokens)
    found = np.asarray(logits_of(config, parameters, jnp.asarray(tokens)))
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error <= 1e-5, f"{error:.1e} of the largest logit"


@pytest.mark.parametrize("size", SIZES)
def test_logits_agree(size, same_model):
    """1e-5 of the largest logit is the order of float32 sums; the last shape uses all positions."""
    model, config, parameters = same_model(**SIZES[size])
    assert transformer.num_parameters(config) == model.num_parameters()
    for shape in ((1, 1), (5, 17), (2, model.config.n_positions)):
        assert_same_logits(model, config, parameters, shape)


def test_logits_agree_at_true_size(same_model):
    """Errors that grow with width and depth stay below the bound where models are used."""
    model, config, parameters = same_model(**SMALL)
    assert transformer.num_parameters(config) == model.num_parameters() == 124_439_808
    assert_same_logits(model, config, parameters, (2, 100))


@functools.partial(jax.jit, static_argnums=(0, 3))
def continued(config, parameters, batch, length):
    logits, cache = transformer.start(config, parameters, batch, max_decode_length=length)
    advance = functools.partial(transformer.advance, config, parameters)
    model = LanguageModel(advance, config.special.end, config.special.padding)
    search, examples = greedy(max_decode_length=length), Examples(jnp.arange(len(logits)))
    return decode(search, logits, cache, model, examples=examples).tokens[:, 0]


def test_greedy_text_agrees(same_model):
    """Token for token with `generate`, rows of many lengths in one batch."""
    model, config, parameters = same_model(**SIZES["odd"])
    lengths = np.arange(1, 17)
    tokens = references.make_inputs((16, 16), config.vocab_size, seed=5)
    batch = {
        "decoder_prefix_tokens": jnp.asarray(tokens),
        "decoder_prefix_segment_ids": jnp.asarray(np.arange(16) < lengths[:, None], jnp.int32),
    }
    found = continued(config, parameters, batch, 24)
    for row, length in enumerate(lengths):
        expected = references.continuation_of(model, tokens[row, :length], 24)
        np.testing.assert_array_equal(
            found[row], np.where(expected < 0, config.special.padding, expected)
        )


@pytest.mark.parametrize("size", SIZES)
def test_transformers_reads_what_we_save(size, same_model, tmp_path):
    """The way back: from_pretrained finds every tensor and answers the same."""
    _, config, parameters = same_model(**SIZES[size])
    huggingface.save(tmp_path / "ours", config, parameters)
    model, report = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(report.values()), report
    assert_same_logits(model.eval(), config, parameters, (4, 17))


def test_a_model_saved_without_its_head_reads_the_same(same_model, tmp_path):
    """Its tensors have no transformer. in front, as OpenAI's have not."""
    model, config, parameters = same_model(**SIZES["odd"])
    model.transformer.save_pretrained(tmp_path / "bare")
    bare = huggingface.load(tmp_path / "bare")
    assert bare[0] == config
    jax.tree.map(np.testing.assert_array_equal, bare[1], parameters)


def test_a_head_of_its_own_travels_both_ways(tmp_path):
    model = references.make_model(**SIZES["odd"], tie_word_embeddings=False, seed=1)
    model.save_pretrained(tmp_path / "theirs")
    config, parameters = huggingface.load(tmp_path / "theirs")
    assert not config.logits_via_embedding
    assert_same_logits(model, config, parameters, (4, 17))
    huggingface.save(tmp_path / "ours", config, parameters)
    again = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours").eval()
    assert_same_logits(again, config, parameters, (4, 17))


@pytest.mark.test_data
def test_transformers_reads_model_and_tokenizer_from_one_directory(
    same_model, test_data_dir, tmp_path
):
    """What a user hands on: text in, ids and logits as here."""
    tokenizer = load_tokenizer(test_data_dir / "vocab" / "gpt2")
    size = {"n_embd": 12, "n_head": 3, "n_layer": 2, "n_positions": 64}
    _, config, parameters = same_model(**size)
    huggingface.save(tmp_path / "ours", config, parameters, tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    for text in ("I'll  go\n\n there", "naïve 🙂 ☃", " 123  "):
        assert theirs(text)["input_ids"] == tokenizer.encode(text)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert_same_logits(model.eval(), config, parameters, (2, 9))
