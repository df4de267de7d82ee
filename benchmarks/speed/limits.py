"""The least time that a machine could take: what has to be multiplied, or has to be read.

Counted are matrix products, and for each token that is decoded the weights and the keys and values
behind it, once for all rows of a batch. Beams of a row share the keys and values of its prompt.
"""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.speed.settings import Settings
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.flops import TRAINING_FACTOR, forward_flops

_FLOAT32 = 4


def seconds(
    command: str, settings: Settings, machine: Mapping[str, Any], weight_bytes: float
) -> float | None:
    """None for what no product and no weight limits.

    Args:
        machine: what `balance.machine` found.
        weight_bytes: of each number of a weight.
    """
    count = _LIMITS.get(command)
    return count(settings, machine, weight_bytes) if count else None


def _train(settings: Settings, machine: Mapping[str, Any], weight_bytes: float) -> float:
    return TRAINING_FACTOR * _score(settings, machine, weight_bytes)


def _score(settings: Settings, machine: Mapping[str, Any], weight_bytes: float) -> float:
    return forward_flops(settings.model, settings.batch, *settings.lengths) / _flops(machine)


def _encode(settings: Settings, machine: Mapping[str, Any], weight_bytes: float) -> float:
    model = settings.model
    keys_and_values = 2 * model.stacks["decoder"].depth * model.embed_dim * _joined_kv(model)
    positions = settings.batch * settings.inputs
    return _prompt(settings, machine) - 2 * positions * keys_and_values / _flops(machine)


def _prompt(settings: Settings, machine: Mapping[str, Any]) -> float:
    """Seconds of all that is computed before the first token is read: the encoder, and the keys and
    values of its states for the decoder; of a language model its stack over the prompt, and the
    head behind the last token of it.
    """
    model, rows, length = settings.model, settings.batch, settings.inputs
    if settings.family.has_encoder:
        return forward_flops(model, rows, length, 0) / _flops(machine)
    unasked = 2 * rows * (length - 1) * _head_weights(model)
    return (forward_flops(model, rows, 0, length) - unasked) / _flops(machine)


def _greedy(settings: Settings, machine: Mapping[str, Any], weight_bytes: float) -> float:
    return decoding_seconds(settings, machine, weight_bytes)


def decoding_seconds(
    settings: Settings,
    machine: Mapping[str, Any],
    weight_bytes: float,
    *,
    cache_bytes: float = _FLOAT32,
    beams: int = 1,
) -> float:
    """Of all targets, the prompt's part included.

    Args:
        cache_bytes: of each number of keys and values.
    """
    model, rows = settings.model, settings.batch * beams
    weights = _decoder_weights(model)
    size = weights * weight_bytes + _cached_numbers(settings, beams) * cache_bytes
    reading = size / (machine["read_gb_per_second"] * 1e9)
    multiplying = 2 * rows * weights / _flops(machine)
    token = max(reading, multiplying)
    # What a language model reads last of its prompt gives its first token.
    tokens = settings.targets if settings.family.has_encoder else settings.targets - 1
    return _prompt(settings, machine) + tokens * token


def _beam(settings: Settings, machine: Mapping[str, Any], weight_bytes: float) -> float:
    return decoding_seconds(settings, machine, weight_bytes, beams=settings.beams)


def _decoder_weights(model: ModelConfig) -> int:
    """Of one token: keys and values of the encoder's states are computed once for all, and a table
    of tokens that is the head as well is read once.
    """
    decoder = model.stacks["decoder"]
    mlp_config, across = decoder.block.mlp, 2 if decoder.block.cross_attention else 0
    attention = (4 + across) * model.embed_dim * _joined_kv(model)
    mlp = (len(mlp_config.activations) + 1) * model.embed_dim * mlp_config.mlp_dim
    return decoder.depth * (attention + mlp) + _head_weights(model)


def _head_weights(model: ModelConfig) -> int:
    """Of a kernel of its own, or of the table of tokens."""
    return model.embed_dim * model.vocab_size


def _cached_numbers(settings: Settings, beams: int) -> int:
    """Keys and values that a token reads, in the mean over all tokens."""
    model = settings.model
    positions = settings.batch * (settings.inputs + beams * settings.targets // 2)
    return 2 * model.stacks["decoder"].depth * positions * _joined_kv(model)


def _joined_kv(model: ModelConfig) -> int:
    attention = model.stacks["decoder"].block.attention
    return attention.num_heads * attention.head_dim


def _flops(machine: Mapping[str, Any]) -> float:
    return machine["peak_gflops"] * 1e9


_LIMITS: Mapping[str, Callable[[Settings, Mapping[str, Any], float], float]] = {
    "train": _train,
    "greedy": _greedy,
    "beam": _beam,
    "score": _score,
    "encode": _encode,
}
