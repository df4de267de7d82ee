"""LoRA in PEFT and here: the same directory gives the same logits, whoever wrote it.

`make parity` installs torch, transformers and peft.
"""

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.finetuning import additions
from t5x_lite.finetuning import peft as ours
from t5x_lite.finetuning.lora import merge
from t5x_lite.model import transformer
from t5x_lite.model.config import LoraConfig

pytestmark = [
    pytest.mark.parity,
    # peft and transformers use what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")
peft = pytest.importorskip("peft", reason=f"peft {REASON}")

SCRIPT = pathlib.Path(__file__).parents[1] / "references" / "make_huggingface_references.py"
_spec = importlib.util.spec_from_file_location("make_huggingface_references", SCRIPT)
references = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(references)

SIZES = {"d_model": 24, "num_heads": 5, "d_kv": 3, "d_ff": 40, "vocab_size": 96}
SIZES |= {"num_layers": 2, "num_decoder_layers": 3}
FAMILIES = {
    "v1_0": (
        {"family": "T5", "separate_head": False, "feed_forward_proj": "relu"},
        ["q", "v", "wi", "wo"],
    ),
    "v1_1": (
        {"family": "T5", "separate_head": True, "feed_forward_proj": "gated-gelu"},
        ["k", "o", "wi_0", "wi_1"],
    ),
}


@pytest.fixture(params=FAMILIES)
def pretrained(request, tmp_path):
    """A model of transformers, the modules to tune, and what we load of the model."""
    description, targets = FAMILIES[request.param]
    model = references.make_model(**description, **SIZES, seed=0)
    model.save_pretrained(tmp_path / "hf")
    return model, targets, *huggingface.load(tmp_path / "hf")


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, parameters, batch):
    """Theirs takes id 0 for padding, ours is told by segment ids."""
    segments = {
        "encoder_segment_ids": batch["encoder_input_tokens"] > 0,
        "decoder_segment_ids": batch["decoder_target_tokens"] > 0,
    }
    segments = jax.tree.map(lambda is_real: is_real.astype(jnp.int32), segments)
    return transformer.logits(config, parameters, batch | segments)


def assert_same_logits(model, config, parameters):
    """1e-5 of the largest logit is the order of float32 sums."""
    batch = references.make_inputs((4, 17, 11), config.vocab_size, seed=3)
    expected = references.logits_of(model, batch)
    found = np.asarray(logits_of(config, parameters, jax.tree.map(jnp.asarray, batch)))
    real = batch["decoder_target_tokens"] > 0
    error = np.abs(found - expected)[real].max() / np.abs(expected[real]).max()
    assert error <= 1e-5, f"{error:.1e} of the largest logit"
    return expected


@pytest.mark.parametrize("rank_stabilized", [False, True])
def test_what_peft_wrote_gives_its_logits_here(pretrained, rank_stabilized, tmp_path):
    """Beside the kernels and merged into them; LoRA changes them visibly."""
    model, targets, config, parameters = pretrained
    plain = assert_same_logits(model, config, parameters)
    settings = peft.LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=targets,
        use_rslora=rank_stabilized,
        task_type="SEQ_2_SEQ_LM",
        init_lora_weights=False,
    )
    torch.manual_seed(1)
    tuned = peft.get_peft_model(model, settings).eval()
    tuned.save_pretrained(tmp_path / "peft")
    with_lora, all_parameters = ours.load(tmp_path / "peft", config, parameters)
    expected = assert_same_logits(tuned, with_lora, all_parameters)
    assert np.abs(expected - plain).max() > 0.01 * np.abs(plain).max()
    assert_same_logits(tuned, *merge(with_lora, all_parameters))


def test_peft_reads_what_we_wrote(pretrained, tmp_path):
    """PeftModel.from_pretrained finds every tensor and answers the same."""
    model, targets, config, parameters = pretrained
    theirs = {"q": "query", "k": "key", "v": "value", "o": "out"}
    lora = LoraConfig(rank=2, alpha=3, targets=tuple(theirs.get(name, name) for name in targets))
    config = config.with_blocks(lora=lora)
    rng = np.random.default_rng(0)
    shapes = transformer.abstract_parameters(config)
    added = jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)
    parameters = additions.join(added, parameters)
    ours.save(tmp_path / "ours", config, parameters, base="hf")
    tuned = peft.PeftModel.from_pretrained(model, tmp_path / "ours").eval()
    assert_same_logits(tuned, config, parameters)
