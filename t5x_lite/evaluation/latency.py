"""How long models take for the same work, one beside the other.

What disturbs a machine lasts longer than one call, and one model after the other would suffer from
it alone. So they take turns: a round is a call of each, and each round begins with another one.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.evaluation.sizes_config import SizesConfig
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble

Call = Callable[[], object]


def in_turns(
    calls: Sequence[Call], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> Float[np.ndarray, "calls rounds"]:
    """Seconds of each call in each round; all are made once before, which compiles them."""
    for call in calls:
        call()
    seconds = np.zeros((len(calls), rounds))
    for number in range(rounds):
        for turn in range(len(calls)):
            place = (number + turn) % len(calls)
            start = clock()
            calls[place]()
            seconds[place, number] = clock() - start
    return seconds


def call_of(engine: Engine, config: SizesConfig, batch_size: int) -> Call:
    """One batch: what a model with a decoder writes to the inputs, without one its hidden states.

    Raises:
        UserError: it has learned fewer positions than it would need.
    """
    (model,) = engine.models.members
    rng = np.random.default_rng(config.seed)
    inputs = rng.integers(0, model.vocab_size, (batch_size, config.inputs_length), np.int32)
    rows = list(inputs)
    if model.decoder is None:
        return lambda: engine.encode(rows, batch_size=batch_size, mean=True)
    endless = _endless(engine)
    decoding = DecodingConfig(max_decode_length=config.targets_length)
    return lambda: endless.generate(rows, decoding, batch_size=batch_size)


def _endless(engine: Engine) -> Engine:
    """The same model, for which no token is the end, so that all write as many."""
    (model,) = engine.models.members
    special: Any = dataclasses.replace(model.special, end=model.vocab_size)
    models = Ensemble((dataclasses.replace(model, special=special),))
    return Engine(models, engine.parameters, engine.partitioner)
