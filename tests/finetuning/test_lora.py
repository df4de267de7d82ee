"""LoRA (Hu et al. 2021): it starts as nothing, merges into its kernels, and travels as PEFT's."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface
from t5x_lite.finetuning import additions, peft
from t5x_lite.finetuning.lora import merge
from t5x_lite.model.config import LoraConfig, ModelConfig
from t5x_lite.optim.config import AdamWConfig


def assert_same(found, expected):
    """Two trees, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        # Self-attention of 24 layers and cross-attention of 12, (768 + 768) * rank each.
        (("query",), 36 * 1536 * 4),
        (("query", "value"), 72 * 1536 * 4),
        (("wi", "wo"), 48 * (768 + 3072) * 4),
    ],
)
def test_only_two_thin_matrices_beside_the_targets_are_added_and_trained(
    targets, expected, trains_of
):
    """One include; nothing else has optimizer slots."""
    overrides = ("LORA_RANK=4", f"LORA_TARGETS={targets}")
    names, parameters = trains_of(["models/t5_1_0/base.gin"], "lora", *overrides)
    assert sum(parameters[name].size for name in names) == expected
    kernels = {name.split("/lora/")[0].rsplit("/", 1)[1] for name in names}
    assert kernels == set(targets)


def test_the_include_says_how_it_is_trained(job_of):
    """The numbers of the macros, and an optimizer that moves what is zero."""
    job = job_of(["models/t5_1_1/tiny.gin"], "lora", "LORA_ALPHA=32", "LORA_TARGETS=('wi_0',)")
    expected = LoraConfig(rank=8, alpha=32, targets=("wi_0",))
    assert job.model.encoder.block.lora == job.model.decoder.block.lora == expected
    assert job.optimizer == AdamWConfig(weight_decay=0.0)


@pytest.mark.parametrize(("method", "beside"), [("lora", "/lora/"), ("adapters", "/adapter/")])
def test_heads_of_an_encoder_train_beside_what_is_added(method, beside, trains_of):
    """They are new, and so may the pooler be; of the encoder nothing else but norms' gains."""
    heads = "HEADS=(@classes/HeadConfig(),)"
    names, parameters = trains_of(["models/bert/base.gin"], method, heads)
    above = {name for name in parameters if name.startswith(("heads/", "pooler/"))}
    assert above <= {*names} and any(name.startswith("heads/classes/") for name in above)
    for name in {*names} - above:
        assert beside in name or (method == "adapters" and name.endswith("/scale"))


def test_what_a_layer_does_not_have_cannot_be_a_target():
    """With the nearest name, or what this feed-forward sub-layer has."""
    for targets, message in (("('q',)", "'q' is no kernel"), ("('wi_0',)", "it has query, key")):
        overrides = [("--gin", f"LoraConfig.targets={targets}")]
        with pytest.raises(gin_config.ConfigError) as error:
            gin_config.resolve(ModelConfig, ["models/t5_1_0/tiny.gin"], overrides=overrides)
        assert message in str(error.value)


@pytest.fixture
def exported(model_of, parameters_of, tmp_path):
    """A model with LoRA, its parameters, and the directory that PEFT would read."""
    model = model_of(lora=LoraConfig(rank=2, alpha=3, targets=("query", "wo")))
    parameters = parameters_of(model)
    peft.save(tmp_path, model, parameters, base="google/none")
    return model, parameters, tmp_path


def test_export_and_import_are_the_identity(exported):
    """Bit for bit, under PEFT's names and shapes, beside the pre-trained parameters as given."""
    model, parameters, folder = exported
    tensors = safetensors.numpy.load_file(folder / "adapter_model.safetensors")
    query = "base_model.model.decoder.block.1.layer.1.EncDecAttention.q.lora_A.weight"
    ours = parameters["decoder"]["layers"]["encoder_decoder_attention"]["query"]["lora"]
    np.testing.assert_array_equal(tensors[query], ours["a"][1].T)
    out = "base_model.model.encoder.block.0.layer.1.DenseReluDense.wo.lora_B.weight"
    assert tensors[out].shape == (32, 2)
    assert len(tensors) == 2 * (2 * 2 + 2 * 3)
    plain = additions.without(parameters, additions.names(model))
    found_model, found = peft.load(folder, model.plain, plain)
    assert found_model == model
    assert_same(found, parameters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type='IA3'; needed is 'LORA'"),
        ({"use_dora": True}, "use_dora=True, which LoRA here does not know"),
        ({"rank_pattern": {"q": 3}}, "merge_and_unload"),
        ({"r": "5"}, "r='5', lora_alpha=3, lora_dropout=0.0; needed are a rank from 1 on"),
        ({"lora_alpha": None}, "lora_alpha=None"),
        ({"r": 5}, r"shape: .*needed \(5, 32\), found \(2, 32\)"),
    ],
)
def test_what_cannot_be_said_here_is_refused(change, message, exported):
    """Each with what was given and what is needed."""
    model, parameters, folder = exported
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    plain = additions.without(parameters, additions.names(model))
    with pytest.raises(ValueError, match=message):
        peft.load(folder, model.plain, plain)


def test_rank_stabilized_lora_is_read_as_another_alpha(exported):
    """alpha / sqrt(rank) there is alpha * sqrt(rank) / rank here."""
    model, parameters, folder = exported
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_rslora": True}))
    plain = additions.without(parameters, additions.names(model))
    found, _ = peft.load(folder, model.plain, plain)
    assert found.decoder.block.lora.alpha == pytest.approx(3 * 2**0.5)


def test_a_file_without_some_layers_is_refused(exported):
    """A hole would otherwise train or answer as if nothing had been learned there."""
    model, parameters, folder = exported
    file = folder / "adapter_model.safetensors"
    tensors = safetensors.numpy.load_file(file)
    safetensors.numpy.save_file(dict(list(tensors.items())[1:]), file)
    with pytest.raises(ValueError, match="missing: base_model.model"):
        peft.load(folder, *merge(model, parameters))


def test_unmerged_lora_is_no_hugging_face_model(exported, tmp_path):
    """The error names both ways out."""
    model, parameters, _ = exported
    with pytest.raises(ValueError, match="lora.merge.*peft.save"):
        huggingface.save(tmp_path, model, parameters)
    huggingface.save(tmp_path / "merged", *merge(model, parameters))
    with pytest.raises(ValueError, match="no LoRA to save"):
        peft.save(tmp_path, *merge(model, parameters), base="google/none")
