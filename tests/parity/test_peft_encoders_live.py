"""LoRA of encoders by themselves in PEFT and here, with the new head beside it, both ways.

`make parity` installs torch, transformers and peft.
"""

import dataclasses
import importlib.util
import pathlib

import jax
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
peft = pytest.importorskip("peft", reason=f"peft {REASON}")

_spec = importlib.util.spec_from_file_location(
    "encoders_live", pathlib.Path(__file__).with_name("test_encoders_live.py")
)
live = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(live)

CASES = [
    # Of the attention's, of all that a name ends with, of layers in common.
    ("Bert", "ForSequenceClassification", ["query", "value"]),
    ("Bert", "ForSequenceClassification", ["dense"]),
    ("Roberta", "ForSequenceClassification", ["query", "intermediate.dense"]),
    ("DistilBert", "ForSequenceClassification", ["q_lin", "lin2"]),
    ("Albert", "ForSequenceClassification", ["query", "ffn"]),
    ("Electra", "ForSequenceClassification", ["key", "value"]),
    ("Electra", "ForQuestionAnswering", ["query"]),
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join([*case[:2], *case[2]]))
def pretrained(request, tmp_path):
    """A model of transformers with a head, and the same without, as it is read here."""
    family, ending, targets = request.param
    model = live.make(family, ending, {"num_labels": 4} if "Sequence" in ending else {})
    model.save_pretrained(tmp_path / "hf")
    config, parameters = huggingface.load(tmp_path / "hf")
    return model, ending, targets, config, parameters


def inside(tuned):
    """The model with LoRA in it: PEFT's own call forgets types of tokens where spans are told."""
    return tuned.base_model.model


def without_head(config, parameters):
    """What was pre-trained, before there was a head."""
    plain = {name: each for name, each in parameters.items() if name != "heads"}
    return dataclasses.replace(config, heads=()), plain


def test_what_peft_wrote_tells_the_same_here(pretrained, tmp_path):
    """Beside the kernels and merged, read onto a model that has no head of its own."""
    model, ending, targets, config, parameters = pretrained
    kind = "QUESTION_ANS" if "Question" in ending else "SEQ_CLS"
    if targets == ["dense"]:  # the pooler has one too, which is no kernel of a layer
        layers = model.config.num_hidden_layers
        targets = [
            f"{layer}.{name}"
            for layer in range(layers)
            for name in ("attention.output.dense", "intermediate.dense", "output.dense")
        ]
    settings = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=targets, task_type=kind, init_lora_weights=False
    )
    torch.manual_seed(1)
    tuned = peft.get_peft_model(model, settings).eval()
    tuned.save_pretrained(tmp_path / "peft")
    bare = without_head(config, parameters)
    with_lora, all_parameters = ours.load(tmp_path / "peft", *bare)
    assert [head.kind for head in with_lora.heads] == [head.kind for head in config.heads]
    live.assert_same(inside(tuned), ending, with_lora, all_parameters)
    live.assert_same(inside(tuned), ending, *merge(with_lora, all_parameters))


def test_peft_reads_what_we_wrote(pretrained, tmp_path):
    """A head included, which it puts in the place of the model's own."""
    model, ending, _, config, parameters = pretrained
    config = config.with_blocks(lora=LoraConfig(rank=2, alpha=3, targets=("query", "wi", "wo")))
    rng = np.random.default_rng(0)
    shapes = transformer.abstract_parameters(config)
    random = jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)
    _, plain = without_head(config, parameters)
    parameters = additions.join(random, plain)
    ours.save(tmp_path / "ours", config, parameters, base=str(tmp_path / "hf"))
    tuned = peft.PeftModel.from_pretrained(model, tmp_path / "ours").eval()
    live.assert_same(inside(tuned), ending, config, parameters)
