"""A tiny model of every kind, and its functions compiled once for all tests that use it."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t5x_lite.model import transformer
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    InitConfig,
    InitScheme,
    LayerSharing,
    LearnedPositionsConfig,
    MLPConfig,
    ModelConfig,
    NormConfig,
    NormKind,
    NormPlace,
    RelativeBiasConfig,
    Sharing,
    StackConfig,
    Visibility,
)

VOCAB = 30
ARCHITECTURES = ("encoder_decoder", "shared", "half_depth", "lm", "prefix_lm")
FAMILIES = {
    "t5_1_0": {},
    "t5_1_1": {
        "activations": ("gelu", "linear"),
        "logits_via_embedding": False,
        "scale_logits": False,
    },
    "umt5": {
        "activations": ("gelu", "linear"),
        "per_layer": True,
        "logits_via_embedding": False,
        "scale_logits": False,
    },
    "gpt2": {
        "activations": ("gelu",),
        "norm": NormConfig(kind=NormKind.LAYER, epsilon=1e-5),
        "bias": True,
        "scale": True,
        # As long as an example of the tests: positions have to begin anew in packed rows.
        "positions": LearnedPositionsConfig(max_length=12),
        "scale_logits": False,
        "dropout_shared_along_length": False,
        "init": InitConfig(scheme=InitScheme.NORMAL),
    },
    # Shorter than an example of the tests.
    "local": {"window": 3},
    "alternating": {"window": 3, "window_every": 2},
    "post_norm": {
        "norm": NormConfig(kind=NormKind.LAYER, place=NormPlace.POST),
        "layer_sharing": LayerSharing.ATTENTION,
    },
    "shared_layers": {"layer_sharing": LayerSharing.ALL},
}


def _tiny(architecture="encoder_decoder", family="t5_1_0", **fields):
    """Two layers (four to begin with at half depth), 8 wide, two heads of 4."""
    fields = FAMILIES[family] | fields
    per_layer = fields.pop("per_layer", False)
    bidirectional = fields.pop("bidirectional", architecture == "prefix_lm")
    positions, bias = fields.pop("positions", None), fields.pop("bias", False)
    has_encoder = architecture not in ("lm", "prefix_lm")
    block = BlockConfig(
        attention=AttentionConfig(
            num_heads=2, head_dim=4, bias=bias, scale=fields.pop("scale", False)
        ),
        mlp=MLPConfig(mlp_dim=12, activations=fields.pop("activations", ("relu",)), bias=bias),
        norm=fields.pop("norm", NormConfig()),
    )
    divisor = 2 if architecture == "half_depth" else 1
    encoder = StackConfig(
        num_layers=2 * divisor,
        layers_divisor=divisor,
        visibility=Visibility.FULL,
        block=block,
        positions=positions or RelativeBiasConfig(bidirectional=True, per_layer=per_layer),
        window=fields.pop("window", None),
        window_every=fields.pop("window_every", 1),
        layer_sharing=fields.pop("layer_sharing", LayerSharing.NONE),
    )
    decoder = dataclasses.replace(
        encoder,
        visibility=Visibility.PREFIX if architecture == "prefix_lm" else Visibility.CAUSAL,
        block=dataclasses.replace(block, cross_attention=has_encoder),
        positions=positions or RelativeBiasConfig(bidirectional=bidirectional, per_layer=per_layer),
    )
    return ModelConfig(
        vocab_size=VOCAB,
        embed_dim=8,
        encoder=encoder if has_encoder else None,
        decoder=decoder,
        sharing=Sharing.ENCODER_DECODER if architecture == "shared" else Sharing.NONE,
        **fields,
    )


# Compiling is what these tests spend their time on; code that runs once need not be optimized.
_COMPILER_OPTIONS = {"xla_backend_optimization_level": 0}


@functools.cache
def _compiled(function, config, **static):
    return jax.jit(
        functools.partial(function, config, **static), compiler_options=_COMPILER_OPTIONS
    )


@functools.cache
def _parameters(config):
    """Random parameters of the sizes that initialization gives, norm scales around 1.

    Drawn by NumPy: compiling the initialization of every config would take longer than the tests.
    """
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        noise = rng.standard_normal(leaf.shape, np.float32)
        if name == "scale":
            return 1 + 0.1 * noise
        return noise * (leaf.shape[-2] ** -0.5 if name == "kernel" else 0.5)

    return jax.tree_util.tree_map_with_path(draw, transformer.abstract_parameters(config))


@pytest.fixture(scope="session")
def tiny():
    """(architecture, family, **fields) -> a tiny ModelConfig."""
    return _tiny


@pytest.fixture(scope="session")
def parameters_of():
    """config -> parameters, the same for the same config."""
    return _parameters


@pytest.fixture(scope="session")
def compiled():
    """(function of transformer, config, **static) -> the compiled function of all but these."""
    return _compiled


@pytest.fixture(scope="session")
def logits_of():
    """(config, batch) -> deterministic logits as a NumPy array."""

    def logits(config, batch, parameters=None):
        parameters = _parameters(config) if parameters is None else parameters
        return np.asarray(_compiled(transformer.logits, config)(parameters, batch))

    return logits


@pytest.fixture(params=ARCHITECTURES)
def architecture(request):
    """Each of the five architectures of Raffel et al. (2020), table 2."""
    return request.param


def _examples(config, inputs_lengths=(5, 2, 3), targets_lengths=(3, 4, 1), seed=0):
    """Random (inputs, targets) with end tokens, as lists of ids."""
    rng = np.random.default_rng(seed)
    return [
        ([*rng.integers(2, VOCAB, i - 1), 1], [*rng.integers(2, VOCAB, t - 1), 1])
        for i, t in zip(inputs_lengths, targets_lengths, strict=True)
    ]


def _rows(sequences, length):
    return np.stack([np.pad(np.asarray(s, np.int32), (0, length - len(s))) for s in sequences])


def _with_segments(batch):
    """One example a row: an encoder's ids and targets are above 0 where they are real; without
    targets all of a decoder's row is, whose start token is 0.
    """
    found = dict(batch)
    if "encoder_input_tokens" in batch:
        found["encoder_segment_ids"] = np.int32(batch["encoder_input_tokens"] > 0)
    if "decoder_target_tokens" in batch:
        found["decoder_segment_ids"] = np.int32(batch["decoder_target_tokens"] > 0)
    elif "decoder_input_tokens" in batch:
        found["decoder_segment_ids"] = np.ones_like(batch["decoder_input_tokens"])
    return found


def _unpacked(config, examples, inputs_length=6, targets_length=5):
    """One example a row, as the data makes it for the config's architecture."""
    if config.encoder is not None:
        targets = _rows([t for _, t in examples], targets_length)
        batch = {
            "encoder_input_tokens": _rows([i for i, _ in examples], inputs_length),
            "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
            "decoder_target_tokens": targets,
        }
        return _with_segments(batch)
    length = inputs_length + targets_length
    targets = _rows([i + t for i, t in examples], length)
    batch = {
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": targets,
        "decoder_causal_attention": _rows([[1] * (len(i) + 1) for i, _ in examples], length),
    }
    return _with_segments(batch)


def _packed(config, examples, inputs_length=12, targets_length=10):
    """All examples in one row."""

    def row(parts, length):
        return _rows([np.concatenate(parts)], length)

    def segments(parts, length):
        return row([np.full(len(part), i + 1) for i, part in enumerate(parts)], length)

    def positions(parts, length):
        return row([np.arange(len(part)) for part in parts], length)

    inputs, targets = [i for i, _ in examples], [t for _, t in examples]
    batch = {}
    if config.encoder is not None:
        batch |= {
            "encoder_input_tokens": row(inputs, inputs_length),
            "encoder_segment_ids": segments(inputs, inputs_length),
            "encoder_positions": positions(inputs, inputs_length),
        }
    else:
        targets = [i + t for i, t in examples]
        targets_length += inputs_length
        prefixes = [np.arange(len(t)) <= len(i) for i, t in zip(inputs, targets, strict=True)]
        batch["decoder_causal_attention"] = row(prefixes, targets_length)
    return batch | {
        "decoder_input_tokens": row([[0, *t[:-1]] for t in targets], targets_length),
        "decoder_target_tokens": row(targets, targets_length),
        "decoder_segment_ids": segments(targets, targets_length),
        "decoder_positions": positions(targets, targets_length),
    }


@pytest.fixture(scope="session")
def examples_of():
    """config -> three random examples of different lengths."""
    return _examples


@pytest.fixture(scope="session")
def with_segments():
    """A batch of one example a row -> the batch with its segment ids."""
    return _with_segments


@pytest.fixture(scope="session")
def unpacked():
    """(config, examples) -> a batch, one example a row."""
    return _unpacked


@pytest.fixture(scope="session")
def packed():
    """(config, examples) -> a batch, all examples in one row."""
    return _packed
