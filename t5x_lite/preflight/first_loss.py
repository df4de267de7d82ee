"""The loss of fresh parameters on a real batch, by a shallow, narrow proxy of the model.

Parameters that were never trained know nothing, so the loss per token is about ln(vocabulary),
whatever the size of the model; if it is not, logits have a wrong scale or the batch holds nothing.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from t5x_lite.errors import UserError
from t5x_lite.features.layouts import predicted_stack
from t5x_lite.features.outputs import TOKENS
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model import transformer
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import ModelConfig, StackConfig
from t5x_lite.preflight.findings import Kind, Outcome
from t5x_lite.training.config import TrainConfig

_WIDTH, _LAYERS, _HEADS = 64, 2, 2
_ROWS, _MAX_LENGTH, _MAX_LOGITS = 8, 512, 1 << 26
_MAX_FACTOR = 2.0
# It runs once, and to optimize it takes longer than to run it.
_QUICKLY = {"xla_backend_optimization_level": "0"}


def check(job: TrainConfig) -> Iterator[Outcome]:
    """Refuses a loss that is not what ignorance costs, and batches without a target. Of a job that
    does not learn tokens there is nothing to say.
    """
    if not any(isinstance(term, LossConfig) for term in job.loss):
        return
    batch = _first_batch(job)
    stack = predicted_stack(batch)
    targets = batch[f"{stack}_segment_ids"] > 0
    counted = batch.get(f"{stack}_loss_weights", targets) > 0
    if not counted.any():
        raise UserError(
            f"no token of the first {_ROWS} rows counts for the loss: are the targets empty, or "
            "cut off by TASK_FEATURE_LENGTHS? Look at them: t5x_lite inspect "
            f"{job.dataset.mixture_or_task_name}"
        )
    model = proxy(job.model)
    loss, expected = _loss(model, _small(batch, model.vocab_size)), math.log(model.vocab_size)
    sentence = f"{loss:.2f} a token of fresh parameters, by chance ln(vocabulary) = {expected:.2f}"
    if not expected / _MAX_FACTOR <= loss <= expected * _MAX_FACTOR:
        raise UserError(
            f"{sentence}, more than {_MAX_FACTOR:g} times off: the logits have a wrong scale. T5 "
            "v1.0 sets both logits_via_embedding and scale_logits, v1.1 neither; this model has "
            f"{model.logits_via_embedding} and {model.scale_logits}: "
            f"--gin.ModelConfig.scale_logits={not model.scale_logits}"
        )
    filled = 100 * float(np.mean(targets))
    yield (
        Kind.OK,
        f"{sentence}\n"
        f"(the model was reduced to {_LAYERS} layers of width {_WIDTH} for this trial)\n"
        f"{filled:.0f} % of the target positions of {_ROWS} rows are filled, "
        f"{100 * float(np.mean(counted)):.0f} % count",
    )


def proxy(model: ModelConfig) -> ModelConfig:
    """The same choices, shallow and narrow, without dropout."""
    narrow = dataclasses.replace(model, embed_dim=_WIDTH, dropout_rate=0.0, compute=ComputeConfig())
    return narrow.with_stacks(lambda _, stack: _stack(stack))


def _stack(stack: StackConfig) -> StackConfig:
    attention = dataclasses.replace(
        stack.block.attention, num_heads=_HEADS, head_dim=_WIDTH // _HEADS
    )
    mlp = dataclasses.replace(stack.block.mlp, mlp_dim=2 * _WIDTH)
    block = dataclasses.replace(stack.block, attention=attention, mlp=mlp)
    return dataclasses.replace(stack, num_layers=_LAYERS * stack.layers_divisor, block=block)


def _first_batch(job: TrainConfig) -> Mapping[str, Any]:
    from t5x_lite.data import pipeline

    dataset = dataclasses.replace(
        job.dataset, batch_size=_ROWS, batch_ramp=None, num_data_shards=1, shuffle=False
    )
    return next(pipeline.make_batches(dataset, job.model.features))


def _small(batch: Mapping[str, Any], vocab_size: int) -> dict[str, np.ndarray]:
    """A corner of the batch, small enough for any vocabulary; every target in it counts."""
    length = min(_MAX_LENGTH, batch[f"{predicted_stack(batch)}_target_tokens"].shape[1])
    rows = max(1, min(_ROWS, _MAX_LOGITS // (length * vocab_size)))
    return {
        name: feature[:rows, :_MAX_LENGTH]
        for name, feature in batch.items()
        if not name.endswith("_loss_weights")
    }


def _loss(model: ModelConfig, batch: Mapping[str, np.ndarray]) -> float:
    def sums(key: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        outputs = transformer.apply(model, transformer.init_parameters(model, key), batch)
        return compute_loss(outputs.heads[TOKENS], batch, LossConfig(), training=False)[1]

    found = jax.jit(sums, compiler_options=_QUICKLY)(jax.random.key(0), dict(batch))
    return float(found["cross_entropy_sum"]) / max(float(found["weight_sum"]), 1.0)
