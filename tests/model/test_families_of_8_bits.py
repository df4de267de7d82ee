"""Products of 8 bits in every family of models: all ranges are seen, integers give the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.compression import ranges
from t5x_lite.config import resolve
from t5x_lite.features.outputs import Wanted
from t5x_lite.model import transformer
from t5x_lite.model.config import QuantizationConfig
from t5x_lite.training.config import TrainConfig

MACROS = {
    "MODEL_DIR": "run",
    "MIXTURE_OR_TASK_NAME": "t",
    "TASK_FEATURE_LENGTHS": "{'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS": "10",
    "VOCAB_SIZE": "64",
    "EMBED_DIM": "32",
    "MLP_DIM": "64",
    "NUM_HEADS": "4",
}
ENCODER = {"NUM_ENCODER_LAYERS": "2", "MAX_LENGTH": "16", "DECAY_STEPS": "100000"}
DECODER = {"NUM_DECODER_LAYERS": "2", "MAX_LENGTH": "16"}
FAMILIES = {
    "bert": ENCODER,
    "roberta": ENCODER,
    "albert": ENCODER | {"TOKEN_DIM": "16"},
    "xlnet": {"NUM_ENCODER_LAYERS": "2", "DECAY_STEPS": "100000"},
    "gpt3": DECODER,
}


def model_of(family, macros):
    recipe = "encoder_pretrain" if "DECAY_STEPS" in macros else "pretrain"
    files = (f"models/{family}.gin", f"recipes/{recipe}.gin", "compression/int8_training.gin")
    overrides = [(f"--gin.{name}", f"{name}={value}") for name, value in (MACROS | macros).items()]
    return resolve(TrainConfig, files, overrides=overrides).config.model


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kernel_is_seen_and_integers_give_the_same(family):
    """Kernels of distances, of token vectors and of the pooler among them."""
    model = model_of(family, FAMILIES[family])
    assert model.quantization == QuantizationConfig()
    rng = np.random.default_rng(0)
    tokens = jnp.asarray(rng.integers(5, 60, (4, 8)), jnp.int32)
    ones = jnp.ones_like(tokens)
    batch = {
        f"{stack}_{name}": value
        for stack in ("encoder", "decoder")
        for name, value in (("input_tokens", tokens), ("segment_ids", ones))
    }
    name = "pooled" if model.pooler else model.top_name
    wanted = Wanted((), (name,))
    parameters = transformer.init_parameters(model, jax.random.key(0))

    def look(parameters):
        return transformer.apply_with_ranges(model, parameters, batch, wanted=wanted)[1]

    known = ranges.moved(parameters, jax.jit(look)(parameters), 0.0)
    ranges.check_known(known)

    def hidden(model, parameters):
        return transformer.apply(model, parameters, batch, wanted=wanted).hidden[name]

    run = jax.jit(hidden, static_argnums=0)
    felt = run(model, known)
    np.testing.assert_allclose(run(*transformer.quantize(model, known)), felt, atol=1e-5)
    plain = run(dataclasses.replace(model, quantization=None), ranges.without(known))
    assert 0 < float(jnp.max(jnp.abs(felt - plain))) < 0.2 * float(jnp.std(plain))
