"""The same weights in transformers and here give the same logits and the same text, live.

Models and inputs come from tests/references/make_huggingface_references.py, which knows where
transformers 5 is not the model its config describes. `make parity` installs torch and transformers.
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
from t5x_lite.decoding.rules import ANYTHING, Rules
from t5x_lite.decoding.search import decode
from t5x_lite.model import transformer
from t5x_lite.text.special_ids import model_vocab_size
from t5x_lite.text.tokenizer import named_tokenizer

pytestmark = [
    pytest.mark.parity,
    # transformers uses what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

SCRIPT = pathlib.Path(__file__).parents[1] / "references" / "make_huggingface_references.py"
_spec = importlib.util.spec_from_file_location("make_huggingface_references", SCRIPT)
references = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(references)

V1_0 = {"family": "T5", "separate_head": False, "feed_forward_proj": "relu"}
V1_1 = {"family": "T5", "separate_head": True, "feed_forward_proj": "gated-gelu"}
MT5 = V1_1 | {"family": "MT5"}
UMT5 = V1_1 | {"family": "UMT5"}
UL2 = V1_1 | {"feed_forward_proj": "gated-silu"}
NARROW = {"d_model": 24, "num_heads": 5, "d_kv": 3, "d_ff": 40}
WIDE = {"d_model": 48, "num_heads": 2, "d_kv": 32, "d_ff": 64}
FAMILIES = {"v1_0": V1_0, "v1_1": V1_1, "mt5": MT5, "umt5": UMT5, "ul2": UL2}
SIZES = {
    "narrow-1+1": NARROW | {"num_layers": 1, "num_decoder_layers": 1},
    "narrow-2+4": NARROW | {"num_layers": 2, "num_decoder_layers": 4},
    "wide-4+1": WIDE | {"num_layers": 4, "num_decoder_layers": 1},
}
SHAPES = ((1, 1, 1), (4, 17, 11), (1, 300, 7), (2, 9, 200))

SMALL = {"vocab_size": 32128, "d_model": 512, "d_kv": 64}
TRUE_SIZES = {
    "t5-small": (
        60_506_624,
        V1_0 | SMALL | {"num_layers": 6, "num_decoder_layers": 6, "num_heads": 8, "d_ff": 2048},
    ),
    "t5-v1_1-small": (
        76_961_152,
        V1_1 | SMALL | {"num_layers": 8, "num_decoder_layers": 8, "num_heads": 6, "d_ff": 1024},
    ),
}


@pytest.fixture
def same_model(tmp_path):
    """A model of transformers, and what we load of the directory it saves."""

    def make(**description):
        model = references.make_model(**description, seed=0)
        model.save_pretrained(tmp_path)
        return model, *huggingface.load(tmp_path)

    return make


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, parameters, batch):
    """Theirs takes id 0 for padding, ours is told by segment ids."""
    segments = {
        "encoder_segment_ids": batch["encoder_input_tokens"] > 0,
        "decoder_segment_ids": batch["decoder_target_tokens"] > 0,
    }
    segments = jax.tree.map(lambda is_real: is_real.astype(jnp.int32), segments)
    return transformer.logits(config, parameters, batch | segments)


def assert_same_logits(model, config, parameters, shape):
    batch = references.make_inputs(shape, config.vocab_size, seed=sum(shape))
    expected = references.logits_of(model, batch)
    found = np.asarray(logits_of(config, parameters, jax.tree.map(jnp.asarray, batch)))
    real = batch["decoder_target_tokens"] > 0
    error = np.abs(found - expected)[real].max() / np.abs(expected[real]).max()
    assert error <= 1e-5, f"{error:.1e} of the largest logit"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_agree(family, size, same_model):
    """1e-5 of the largest logit is the order of float32 sums; padding is on either side."""
    model, config, parameters = same_model(**FAMILIES[family], **SIZES[size], vocab_size=96)
    assert transformer.num_parameters(config) == model.num_parameters()
    for shape in SHAPES:
        assert_same_logits(model, config, parameters, shape)


@pytest.mark.parametrize("name", TRUE_SIZES)
def test_logits_agree_at_true_size(name, same_model):
    """Errors that grow with width and depth stay below the bound where models are used."""
    count, description = TRUE_SIZES[name]
    model, config, parameters = same_model(**description)
    assert transformer.num_parameters(config) == model.num_parameters() == count
    for shape in ((2, 64, 16), (1, 200, 40)):
        assert_same_logits(model, config, parameters, shape)


@functools.partial(jax.jit, static_argnums=(0, 3, 4))
def decoded(config, parameters, inputs, length, rules):
    segments = (inputs > 0).astype(jnp.int32)
    batch = {"encoder_input_tokens": inputs, "encoder_segment_ids": segments}
    logits, cache = transformer.start(config, parameters, batch, max_decode_length=length)
    advance = functools.partial(transformer.advance, config, parameters)
    model = LanguageModel(advance, config.special.end, config.special.padding)
    search, examples = (
        greedy(max_decode_length=length, rules=rules),
        Examples(jnp.arange(len(logits))),
    )
    return decode(search, logits, cache, model, examples=examples).tokens[:, 0]


@pytest.mark.parametrize(
    ("rules", "theirs"),
    [
        (ANYTHING, {}),
        (Rules(min_decode_length=9), {"min_new_tokens": 8}),
        (Rules(no_repeat_ngram=3), {"no_repeat_ngram_size": 3}),
    ],
    ids=["anything", "min_decode_length", "no_repeat_ngram"],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_text_agrees(family, rules, theirs, same_model):
    """Token for token with `generate`, from padded inputs, rows ending at different steps. Their
    minimum leaves the end token out. Their runs have the start token as well, which is padding, so
    rows that write it are left out of these.
    """
    length = 24
    model, config, parameters = same_model(**FAMILIES[family], **SIZES["narrow-2+4"], vocab_size=12)
    inputs = references.make_inputs((16, 10, 1), config.vocab_size, seed=5)["encoder_input_tokens"]
    tokens = torch.from_numpy(inputs).long()
    with torch.no_grad():
        expected = model.generate(
            tokens,
            attention_mask=(tokens > 0).long(),
            max_new_tokens=length,
            do_sample=False,
            **theirs,
            use_cache=False,  # theirs has as many layers as the encoder, which may be too few
        ).numpy()[:, 1:]  # without the start token
    expected = np.pad(expected, ((0, 0), (0, length - expected.shape[1])))
    found = decoded(config, parameters, jnp.asarray(inputs), length, rules)
    if rules.no_repeat_ngram:
        ended = np.cumsum(found == 1, axis=1) > 0
        is_plain = ((found != 0) | ended).all(axis=1)
        assert is_plain.sum() >= 4
        found, expected = np.asarray(found)[is_plain], expected[is_plain]
    np.testing.assert_array_equal(found, expected)
    lengths = (expected > 0).sum(axis=1)
    assert len(set(lengths)) > 1, "all rows end together, so nothing is seen of a row's end"


@pytest.mark.test_data
def test_transformers_reads_model_and_tokenizer_from_one_directory(
    same_model, test_data_dir, tmp_path
):
    """What a user hands on: text in, ids and logits as here."""
    tokenizer = named_tokenizer(test_data_dir / "vocab" / "t5_sentencepiece.model")
    _, config, parameters = same_model(
        **V1_1, **SIZES["narrow-1+1"], vocab_size=model_vocab_size(32_000)
    )
    ours = tmp_path / "ours"
    huggingface.save(ours, config, parameters, tokenizer)
    theirs = transformers.AutoTokenizer.from_pretrained(ours)
    for text in ("translate English to German: That is good.", "<extra_id_0> naïve\n  ☃"):
        assert theirs(text)["input_ids"] == [*tokenizer.encode(text), tokenizer.special.end]
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(ours)
    assert_same_logits(model.eval(), config, parameters, (2, 9, 7))


@pytest.mark.parametrize("family", ["v1_0", "v1_1"])
def test_transformers_reads_what_we_save(family, same_model, tmp_path):
    """The way back: from_pretrained finds every tensor and answers the same."""
    _, config, parameters = same_model(**FAMILIES[family], **SIZES["narrow-2+4"], vocab_size=96)
    ours = tmp_path / "ours"
    huggingface.save(ours, config, parameters)
    model, report = transformers.T5ForConditionalGeneration.from_pretrained(
        ours, output_loading_info=True
    )
    assert not any(report.values()), report
    assert_same_logits(model.eval(), config, parameters, (4, 17, 11))
