"""Laws of adapters and LoRA that hold in each of the five architectures and for GPT-2."""

import jax
import numpy as np

from t5x_lite.checkpoints.inspect import in_words
from t5x_lite.features.outputs import Scores
from t5x_lite.finetuning import additions
from t5x_lite.finetuning.lora import merge
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model.config import LoraConfig
from t5x_lite.optim.config import AdafactorConfig, ParameterGroup, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

LORA = LoraConfig(rank=2, alpha=3, targets=("query", "value", "wo"))
LOSS = LossConfig(z_loss=0.0)
GROUPS = (
    ParameterGroup(pattern=".*/adapter/.*|.*/lora/.*|prompt/.*"),
    ParameterGroup(pattern=".*", frozen=True),
)


def named(tree):
    """Leaves by their paths."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def silenced(parameters, *parts):
    """The parameters with zeros in the leaves whose path ends so."""

    def scaled(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf * np.float32(not name.endswith(parts))

    return jax.tree_util.tree_map_with_path(scaled, parameters)


def test_what_adds_nothing_changes_no_bit_and_lora_merges(
    architecture, model_of, parameters_of, logits_of, batch
):
    """Adapters whose output and LoRA whose B is zero leave the plain logits to the last bit; LoRA
    put into its kernels gives the same logits to the rounding of float32 sums.
    """
    model = model_of(architecture, adapter_dim=16, lora=LORA)
    parameters, plain = parameters_of(model), parameters_of(model.plain)
    expected = logits_of(model.plain, plain, batch)
    silent = silenced(parameters, "adapter/wo/kernel", "lora/b")
    np.testing.assert_array_equal(logits_of(model, silent, batch), expected)
    adapters_alone = logits_of(model, silenced(parameters, "lora/b"), batch)
    lora_alone = logits_of(model, silenced(parameters, "adapter/wo/kernel"), batch)
    for found in (adapters_alone, lora_alone):
        assert np.abs(found - expected).max() > 0.1

    merged_model, merged = merge(model_of(architecture, lora=LORA), without_adapters(parameters))
    assert merged_model == model.plain
    found = logits_of(merged_model, jax.device_get(merged), batch)
    np.testing.assert_allclose(lora_alone, found, rtol=0, atol=1e-5 * np.abs(found).max())


def without_adapters(parameters):
    """The tree without their leaves."""
    return additions.without(parameters, {name for name in named(parameters) if "adapter" in name})


def factory_of(model):
    """On 8 devices as data=4 x model=2, training what is added alone."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    return StateFactory(model, AdafactorConfig(), ScheduleConfig(), partitioner, GROUPS)


def test_what_is_added_is_all_that_has_optimizer_slots(architecture, model_of):
    """Found by its paths in each architecture, and divided over the mesh by the standard rules."""
    factory = factory_of(model_of(architecture, prompt_length=4, adapter_dim=16, lora=LORA))
    slots = named(factory.abstract.optimizer_state["param_states"])
    added = set(additions.names(factory.model))
    assert {name.rsplit("/", 1)[0] for name in slots} == added
    wi = factory.abstract.parameters["decoder"]["layers"]["adapter"]["wi"]["kernel"]
    assert wi.sharding.shard_shape(wi.shape)[2] == 8


def test_inspect_says_what_was_added(model_of):
    """In the words of the macros."""
    model = model_of(prompt_length=4, adapter_dim=16, lora=LORA)
    expected = ", adapters of 16, LoRA of rank 2 (query, value, wo), a prompt of 4: "
    assert expected in in_words(model)
    assert ", ad" not in in_words(model.plain)


def test_what_is_added_trains_and_all_else_keeps_every_bit(
    model_of, parameters_of, logits_of, batch
):
    """INV-20: adapters, LoRA and a prompt at once, on a mesh: the loss is that of one device, every
    addition moves, nothing else does.
    """
    model = model_of(prompt_length=4, adapter_dim=16, lora=LORA)
    factory, before = factory_of(model), parameters_of(model)
    step = make_train_step(factory, (LOSS,), seed=0)
    room = {"pad_width": ((0, 0), (4, 0)), "constant_values": 1}
    batch = batch | {
        name: np.pad(batch[name], **room)
        for name in ("encoder_input_tokens", "encoder_segment_ids")
    }
    state, metrics = step(factory.from_parameters(before), factory.partitioner.global_batch(batch))

    scores = Scores(jax.numpy.asarray(logits_of(model, before, batch)))
    expected, _ = compute_loss(scores, jax.tree.map(jax.numpy.asarray, batch), LOSS, training=True)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)

    after = named(jax.device_get(state.parameters))
    changed = {
        name for name, leaf in named(before).items() if leaf.tobytes() != after[name].tobytes()
    }
    assert changed == set(additions.names(model))
