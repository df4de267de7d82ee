"""GPT-2's files of Hugging Face give Hugging Face's logits and text, whoever wrote them and when.

The reference is made by tests/references/make_gpt2_references.py; torch is not needed here.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.description import differences
from t5x_lite.checkpoints.formats.gpt2 import GPT2
from t5x_lite.config import resolve
from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.search import decode
from t5x_lite.errors import UserError
from t5x_lite.finetuning import additions, peft
from t5x_lite.finetuning.lora import merge
from t5x_lite.model import transformer
from t5x_lite.model.config import LoraConfig, ModelConfig

REFERENCE = pathlib.Path(__file__).parents[2] / "references" / "huggingface" / "gpt2"


@pytest.fixture(scope="module")
def stored():
    return dict(np.load(REFERENCE / "logits.npz"))


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, parameters, tokens):
    batch = {"decoder_input_tokens": tokens, "decoder_segment_ids": jnp.ones_like(tokens)}
    return transformer.logits(config, parameters, batch)


def assert_trees_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_logits_are_hugging_faces(stored):
    """1e-5 of the largest logit leaves room for the order of float32 sums and for nothing else."""
    config, parameters = huggingface.load(REFERENCE)
    assert transformer.num_parameters(config) == stored["num_parameters"]
    for index in range(3):
        expected = stored[f"{index}/logits"]
        found = logits_of(config, parameters, jnp.asarray(stored[f"{index}/tokens"]))
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@functools.partial(jax.jit, static_argnums=(0, 3))
def continued(config, parameters, batch, length):
    logits, cache = transformer.start(config, parameters, batch, max_decode_length=length)
    advance = functools.partial(transformer.advance, config, parameters)
    model = LanguageModel(advance, config.special.end, config.special.padding)
    search, examples = greedy(max_decode_length=length), Examples(jnp.arange(len(logits)))
    return decode(search, logits, cache, model, examples=examples).tokens[:, 0]


def test_greedy_text_is_hugging_faces(stored):
    """Token for token, from prompts of all lengths in one batch; two of the rows end early."""
    config, parameters = huggingface.load(REFERENCE)
    prompts = [stored[f"prompt/{i}"] for i in range(6)]
    expected = np.stack([stored[f"continuation/{i}"] for i in range(6)])
    width = max(map(len, prompts))
    batch = {
        "decoder_prefix_tokens": [np.pad(prompt, (0, width - len(prompt))) for prompt in prompts],
        "decoder_prefix_segment_ids": [np.arange(width) < len(prompt) for prompt in prompts],
    }
    batch = {name: jnp.asarray(np.stack(rows), jnp.int32) for name, rows in batch.items()}
    found = continued(config, parameters, batch, expected.shape[1])
    padding = config.special.padding
    np.testing.assert_array_equal(found, np.where(expected < 0, padding, expected))
    assert sorted((expected < 0).any(axis=1)) == [False] * 4 + [True] * 2


def test_a_bare_model_with_its_mask_reads_the_same(edit, tmp_path):
    """As OpenAI's files are: no head, no prefix, constants of the causal mask among the weights."""

    def bare(tensors):
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for layer in range(3):
            tensors[f"h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 40, 40), np.float32))
            tensors[f"h.{layer}.attn.masked_bias"] = np.float32([-1e4])

    folder = edit(REFERENCE, tmp_path, change=bare)
    assert_trees_equal(huggingface.load(folder), huggingface.load(REFERENCE))


def test_a_tensor_under_both_names_is_left_over(edit, tmp_path):
    """Which of the two is the model's nobody knows."""

    def twice(tensors):
        tensors["wpe.weight"] = tensors["transformer.wpe.weight"] + 1

    with pytest.raises(UserError, match=r"left over: wpe.weight"):
        huggingface.load(edit(REFERENCE, tmp_path, change=twice))


def test_a_head_is_a_copy_or_the_file_says_that_it_is_none(edit, tmp_path):
    """A copy needs no room of its own; another head is not dropped."""

    def with_head(change):
        def add(tensors):
            tensors["lm_head.weight"] = tensors["transformer.wte.weight"] + np.float32(change)

        return add

    same = edit(REFERENCE, tmp_path, change=with_head(0))
    assert_trees_equal(huggingface.load(same), huggingface.load(REFERENCE))
    with pytest.raises(UserError, match="not a copy: lm_head.weight differs from transformer.wte"):
        huggingface.load(edit(REFERENCE, tmp_path, change=with_head(1)))
    own = edit(REFERENCE, tmp_path, change=with_head(1), tie_word_embeddings=False)
    config, parameters = huggingface.load(own)
    assert not config.logits_via_embedding
    np.testing.assert_array_equal(
        parameters["decoder"]["logits_dense"]["kernel"],
        parameters["token_embedder"]["embedding"].T + 1,
    )


SIZES = {
    "small": ((768, 12, 12), 124_439_808),
    "medium": ((1024, 24, 16), 354_823_168),
    "large": ((1280, 36, 20), 774_030_080),
    "xl": ((1600, 48, 25), 1_557_611_200),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_configs_are_the_models_of_our_gin_files(name):
    """OpenAI's config.json leaves out what was the default: inner width, special ids, switches."""
    (n_embd, n_layer, n_head), count = SIZES[name]
    values = {"vocab_size": 50257, "n_positions": 1024, "n_ctx": 1024, "n_embd": n_embd}
    config = GPT2.read_config(values | {"n_layer": n_layer, "n_head": n_head}, ())
    assert transformer.num_parameters(config) == count
    assert not differences(config, resolve(ModelConfig, [f"models/gpt2/{name}.gin"]).config)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "GPT-2 here has False built in"),
        ({"add_cross_attention": True}, "GPT-2 here has False built in"),
        ({"activation_function": "gelu"}, "activation_function='gelu'; needed is one of gelu_new"),
        ({"n_head": 5}, "n_embd=28 and n_head=5; needed is a width that divides"),
        ({"n_layer": None}, "config.json lacks n_layer"),
        ({"n_inner": "4"}, "n_inner='4'; needed is a number from 1"),
        ({"eos_token_id": 61}, "eos_token_id=61; needed is an id from 0 to below vocab_size=61"),
        ({"bos_token_id": "a"}, "bos_token_id='a'; needed is an id"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon=0; needed is a number above 0"),
        ({"scale_attn_weights": "yes"}, "scale_attn_weights='yes'; needed is true or false"),
        ({"attn_pdrop": 1.5}, "attn_pdrop=1.5; needed is a number from 0 to below 1"),
    ],
)
def test_a_config_that_is_not_ours_to_run_is_an_error(fields, message, edit, tmp_path):
    """The shapes would fit, the numbers would not."""
    with pytest.raises(UserError, match=message):
        huggingface.load(edit(REFERENCE, tmp_path, **fields))


def test_choices_of_a_file_come_back_from_it(edit, tmp_path):
    """Those that change numbers and no shape."""
    chosen = edit(
        REFERENCE,
        tmp_path / "chosen",
        activation_function="relu",
        scale_attn_weights=False,
        layer_norm_epsilon=1e-3,
        bos_token_id=3,
    )
    config, parameters = huggingface.load(chosen)
    block = config.decoder.block
    assert block.mlp.activations == ("relu",)
    assert (block.attention.scale, block.norm.epsilon, config.special.start) == (False, 1e-3, 3)
    huggingface.save(tmp_path / "again", config, parameters)
    assert huggingface.read_config(tmp_path / "again") == config


def test_heads_that_do_not_fill_the_width_are_not_saved(tmp_path):
    """n_embd / n_head is the only width of a head that a file can have."""
    config = huggingface.read_config(REFERENCE)
    attention = dataclasses.replace(config.decoder.block.attention, head_dim=8)
    config = config.with_blocks(attention=attention)
    with pytest.raises(UserError, match="cannot express this model.*for GPT-2 a causal decoder"):
        huggingface.save(tmp_path / "out", config, transformer.abstract_parameters(config))
    assert not (tmp_path / "out").exists()


def test_lora_goes_into_the_kernels_and_not_to_peft(tmp_path):
    """Merged it is a GPT-2, with its biases. PEFT has one term for query, key and value together,
    which is not what is learned here.
    """
    config, parameters = huggingface.load(REFERENCE)
    config = config.with_blocks(lora=LoraConfig(rank=2, targets=("query", "wo")))
    rng = np.random.default_rng(0)
    shapes = transformer.abstract_parameters(config)
    added = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)
    parameters = additions.join(added, parameters)
    tokens = jnp.asarray(np.load(REFERENCE / "logits.npz")["1/tokens"])
    expected = logits_of(config, parameters, tokens)
    huggingface.save(tmp_path / "merged", *merge(config, parameters))
    found = logits_of(*huggingface.load(tmp_path / "merged"), tokens)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
    with pytest.raises(UserError, match="to PEFT's layout from T5, BERT.* given is GPT-2"):
        peft.save(tmp_path / "peft", config, parameters, base="gpt2")
