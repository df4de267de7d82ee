"""Fifty steps of every architecture and version, on batches that anybody can make again.

`python tests/references/first_round/losses.py FILE` writes the losses of the code that it finds.
losses.json holds those of commit 8dbb05f, before heads, terms, positions and norms became rows of
choices. Even steps read packed rows, odd ones rows of one example; dropout is on.
"""

import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

from t5x_lite import config as gin_config
from t5x_lite.losses.config import LossConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

ARCHITECTURES = ("encoder_decoder", "half_depth", "shared", "lm", "prefix_lm")
VERSIONS = ("t5_1_0", "t5_1_1")
NUM_STEPS = 50
_ROWS, _LENGTH, _VOCAB = 8, 24, 128
_SIZES = {
    "VOCAB_SIZE": _VOCAB,
    "EMBED_DIM": 16,
    "MLP_DIM": 32,
    "NUM_HEADS": 2,
    "HEAD_DIM": 8,
    "NUM_DECODER_LAYERS": 2,
}


def model(version: str, architecture: str) -> ModelConfig:
    """A tiny model of the gin files that users name."""
    files = [f"models/{version}.gin", f"models/architectures/{architecture}.gin"]
    sizes = dict(_SIZES)
    if architecture not in ("lm", "prefix_lm"):
        sizes["NUM_ENCODER_LAYERS"] = 2
    flags = [(f"--gin.{name}", f"{name}={value}") for name, value in sizes.items()]
    return gin_config.resolve(ModelConfig, files, overrides=flags).config


def batch(step: int, config: ModelConfig, *, with_segments: bool = True) -> dict[str, np.ndarray]:
    """The batch of a step, as SeqIO's converters make them; before features were a table, rows of
    one example had no segment ids.
    """
    rng = np.random.default_rng(step)
    lengths = (5, 9, 6) if step % 2 == 0 else (17,)
    found: dict[str, np.ndarray] = {}
    stacks = ("decoder",) if config.encoder is None else ("encoder", "decoder")
    for stack in stacks:
        tokens = np.zeros((_ROWS, _LENGTH), np.int32)
        segments, positions, inputs = (np.zeros_like(tokens) for _ in range(3))
        prefix = np.zeros_like(tokens)
        for row in range(_ROWS):
            at = 0
            for number, longest in enumerate(lengths, start=1):
                length = int(rng.integers(3, longest + 1))
                place = slice(at, at + length)
                own = rng.integers(3, _VOCAB, length)
                own[-1] = 1
                tokens[row, place], segments[row, place] = own, number
                positions[row, place] = np.arange(length)
                inputs[row, place] = np.concatenate([[0], own[:-1]])
                prefix[row, place] = np.arange(length) < length // 2
                at += length
        if stack == "encoder":
            found["encoder_input_tokens"] = tokens
        else:
            found["decoder_input_tokens"], found["decoder_target_tokens"] = inputs, tokens
            found["decoder_loss_weights"] = (segments > 0).astype(np.int32)
            if config.decoder.visibility.value == "prefix":
                found["decoder_causal_attention"] = prefix
                shown = np.pad(prefix, ((0, 0), (1, 0)))[:, :-1] * (positions > 0)
                found["decoder_loss_weights"] *= 1 - shown
        if with_segments or step % 2 == 0:
            found[f"{stack}_segment_ids"], found[f"{stack}_positions"] = segments, positions
    return found


def losses(config: ModelConfig, *, num_steps: int = NUM_STEPS, with_segments: bool = True) -> list:
    """The loss of each step, float32 made Python's numbers."""
    partitioner = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    schedule = ScheduleConfig(base_learning_rate=0.01)
    factory = StateFactory(config, AdafactorConfig(), schedule, partitioner)
    step = make_train_step(factory, (LossConfig(label_smoothing=0.1),), seed=0)
    state, found = factory.initialize(0), []
    for number in range(num_steps):
        features = batch(number, config, with_segments=with_segments)
        state, metrics = step(state, jax.tree.map(jnp.asarray, features))
        found.append(metrics["loss"])
    return [float(loss) for loss in found]


if __name__ == "__main__":
    file, *flags = sys.argv[1:]
    found = {
        f"{version}/{architecture}": losses(
            model(version, architecture), with_segments="--without_segments" not in flags
        )
        for version in VERSIONS
        for architecture in ARCHITECTURES
    }
    pathlib.Path(file).write_text(json.dumps(found, indent=1) + "\n")
