"""A pruned model in transformers: the zeros are where they are here, and the logits are ours.

`make parity` installs torch and transformers.
"""

import functools

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.compression.kernels import choose
from t5x_lite.compression.pruning import Pruning
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.model import transformer
from t5x_lite.optim.groups import assign
from t5x_lite.testing import tiny_model

pytestmark = [
    pytest.mark.parity,
    # transformers uses what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
torch = pytest.importorskip("torch", reason=f"torch {REASON}")
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

MODEL = tiny_model(96)


def pruned_parameters():
    """Half of each layer's weights are 0."""
    axes, shapes = transformer.parameter_axes(MODEL), transformer.abstract_parameters(MODEL)
    groups = assign((), axes, shapes, weight_decay=0.0)
    config = PruningConfig(method=PruningMethod.ONE_SHOT, sparsity=0.5)
    pruning = Pruning(config, choose(config, axes, shapes, groups))
    dense = jax.jit(functools.partial(transformer.init_parameters, MODEL))(jax.random.key(0))
    return jax.device_get(jax.jit(pruning.prune)(dense, 1)[0])


def test_zeros_are_in_place_and_logits_are_the_same(tmp_path):
    parameters = pruned_parameters()
    huggingface.save(tmp_path, MODEL, parameters)
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    zeros = sum(np.count_nonzero(each == 0) for n, each in state.items() if "layer" in n)
    kernels = [leaf for name, leaf in leaves(parameters).items() if name.endswith("kernel")]
    assert zeros == sum(np.count_nonzero(leaf == 0) for leaf in kernels) > 0
    for layer in range(2):
        ours = parameters["encoder"]["layers"]["mlp"]["wo"]["kernel"][layer]
        wo = state[f"encoder.block.{layer}.layer.1.DenseReluDense.wo.weight"]
        np.testing.assert_array_equal(wo.T, ours)
        assert np.count_nonzero(ours == 0) == ours.size // 2

    tokens = np.random.default_rng(0).integers(2, 96, (2, 8))
    shifted = np.pad(tokens, ((0, 0), (1, 0)))[:, :-1]
    batch = {"encoder_input_tokens": tokens, "decoder_input_tokens": shifted}
    batch |= dict.fromkeys(("encoder_segment_ids", "decoder_segment_ids"), np.ones_like(tokens))
    batch = {name: value.astype(np.int32) for name, value in batch.items()}
    found = jax.jit(functools.partial(transformer.logits, MODEL))(parameters, batch)
    with torch.no_grad():
        expected = theirs(
            input_ids=torch.tensor(tokens), decoder_input_ids=torch.tensor(shifted)
        ).logits.numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
