"""Hidden-state optimisation: a text is read in chunks, and the keys and values that a frozen model
remembers of it take a step down the loss of each chunk (Yoshida and Gimpel 2021).

Of each chunk the loss is counted first; then its gradient moves what is remembered of the chunks
before it, by Adam with moments of each state; then the chunk's own states are computed behind
these. So no token is predicted by states that saw it, and what is given is a probability of the
text.

A window is full after so many positions. Then the older half leaves; what stays moves to the front
with its moments, and its tokens are read again, since where a token stands is part of its states.
So a state is what reading gives plus an offset, which begins at zero and is what is optimised.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.inference.ensemble import Ensemble, Networks, Parameters
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig

# Where positions stand in keys and values, from behind.
_POSITIONS = -2
# A tree of the keys and values of every layer of every member.
States = Any
# The log-probability of each target of a batch.
LogProbs = Callable[[Parameters, Mapping[str, Array]], Array]


class Chunk(NamedTuple):
    """Tokens that are read, those to be predicted behind them, and which of these count."""

    inputs: Int[Array, "*chunks batch chunk"]
    targets: Int[Array, "*chunks batch chunk"]
    counted: Float[Array, "*chunks batch chunk"]


class Memory(NamedTuple):
    """What goes from chunk to chunk, of all rows alike: the tokens at the first `filled` positions,
    their states as they were read, and of each its offset, Adam's two moments of this and how many
    steps it took.
    """

    filled: Int[Array, ""]
    tokens: Int[Array, "batch window"]
    read: States
    offsets: States
    first: States
    second: States
    steps: Int[Array, "window"]


def scorer(models: Ensemble, config: HiddenStatesConfig | None) -> LogProbs:
    """`Ensemble.log_probs`, or the same with optimised states.

    Raises:
        UserError: as `window_of`.
    """
    if config is None:
        return models.log_probs
    window_of(models, config)
    return functools.partial(log_probs, models, config)


def window_of(models: Ensemble, config: HiddenStatesConfig) -> int:
    """Positions that all members have.

    Raises:
        UserError: a member cannot be read so; see `HiddenStatesConfig.window_of`.
    """
    return min(config.window_of(member) for member in models.members)


def log_probs(
    models: Ensemble, config: HiddenStatesConfig, parameters: Parameters, batch: Mapping[str, Array]
) -> Float[Array, "batch length"]:
    """Of each of decoder_target_tokens, given all before it in its row; as `Ensemble.log_probs`,
    with states that are optimised on the way. Rows do not know each other.
    """
    chunks = _chunks(config, batch)
    networks = models.differentiable(parameters)
    memory = empty(models, networks, chunks.inputs.shape[1], window_of(models, config))

    def step(memory: Memory, chunk: Chunk) -> tuple[Memory, Float[Array, "batch chunk"]]:
        return advance(models, networks, config, memory, chunk)

    _, found = jax.lax.scan(step, memory, chunks)
    rows = found.swapaxes(0, 1).reshape(found.shape[1], -1)
    return rows[:, : batch["decoder_target_tokens"].shape[1]]


def _chunks(config: HiddenStatesConfig, batch: Mapping[str, Array]) -> Chunk:
    """All that there are, one after the other; what fills up the last counts for nothing."""
    names = ("decoder_input_tokens", "decoder_target_tokens", "decoder_segment_ids")
    inputs, targets, segments = (_cut(batch[name], config.chunk) for name in names)
    return Chunk(inputs, targets, (segments > 0).astype(jnp.float32))


def _cut(rows: Int[Array, "batch length"], size: int) -> Int[Array, "chunks batch size"]:
    more = -rows.shape[1] % size
    longer = jnp.pad(rows, ((0, 0), (0, more)))
    return longer.reshape(rows.shape[0], longer.shape[1] // size, size).swapaxes(0, 1)


def empty(models: Ensemble, networks: Networks, rows: int, window: int) -> Memory:
    """Of nothing."""
    read = models.empty(networks, rows, window)
    zeros = jax.tree.map(lambda part: jnp.zeros_like(part, jnp.float32), read)
    tokens = jnp.zeros((rows, window), jnp.int32)
    return Memory(jnp.int32(0), tokens, read, zeros, zeros, zeros, jnp.zeros(window, jnp.int32))


def advance(
    models: Ensemble, networks: Networks, config: HiddenStatesConfig, memory: Memory, chunk: Chunk
) -> tuple[Memory, Float[Array, "batch chunk"]]:
    """The log-probability of each target of a chunk; then the memory with a step of its states and
    with the chunk.
    """
    is_full = memory.filled + config.chunk > memory.tokens.shape[1]
    memory = jax.lax.cond(
        is_full, lambda own: shifted(models, networks, config, own), lambda own: own, memory
    )

    def loss(offsets: States) -> tuple[Float[Array, ""], Float[Array, "batch chunk"]]:
        states = _sum(memory.read, offsets)
        logits, _ = models.read(networks, chunk.inputs, states, memory.filled)
        found = _log_probs_of(logits, chunk.targets)
        return -jnp.sum(found * chunk.counted), found

    gradients, found = jax.grad(loss, has_aux=True)(memory.offsets)
    memory = stepped(config, memory, gradients)
    return with_tokens(models, networks, memory, chunk.inputs), found


def _log_probs_of(
    logits: Float[Array, "batch chunk vocab"], targets: Int[Array, "batch chunk"]
) -> Float[Array, "batch chunk"]:
    every = jax.nn.log_softmax(logits, axis=-1)
    return jnp.take_along_axis(every, targets[..., None], axis=-1)[..., 0]


def stepped(config: HiddenStatesConfig, memory: Memory, gradients: States) -> Memory:
    """A step of Adam (Kingma and Ba 2015) of each state that there is; of each, its number."""
    is_there = jnp.arange(memory.steps.shape[0]) < memory.filled
    steps = memory.steps + is_there
    decays = (config.beta1, config.beta2)
    # Where nothing is there moments are zero, and are divided by something.
    rests = [_along(1 - decay ** jnp.maximum(steps, 1)) for decay in decays]

    def averaged(decay: float, old: States, new: States) -> States:
        return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)

    def moved(offset: Array, first: Array, second: Array) -> Array:
        scale = jnp.sqrt(second / rests[1]) + config.epsilon
        return offset - config.step_size * (first / rests[0]) / scale

    first = averaged(config.beta1, memory.first, gradients)
    second = averaged(config.beta2, memory.second, jax.tree.map(jnp.square, gradients))
    offsets = jax.tree.map(moved, memory.offsets, first, second)
    return memory._replace(offsets=offsets, first=first, second=second, steps=steps)


def _along(values: Float[Array, "window"]) -> Float[Array, "1 1 1 window 1"]:
    """A number for each position, as it meets the parts of states."""
    return values[None, None, None, :, None]


def with_tokens(
    models: Ensemble, networks: Networks, memory: Memory, tokens: Int[Array, "batch chunk"]
) -> Memory:
    """With more tokens, whose states are computed behind those that there are; they have not been
    optimised yet.
    """
    size, at = tokens.shape[1], memory.filled
    _, seen = models.read(networks, tokens, _sum(memory.read, memory.offsets), at)

    def put(old: Array, new: Array) -> Array:
        own = jax.lax.dynamic_slice_in_dim(new, at, size, axis=new.ndim + _POSITIONS)
        return jax.lax.dynamic_update_slice_in_dim(old, own, at, axis=old.ndim + _POSITIONS)

    longer = jax.lax.dynamic_update_slice_in_dim(memory.tokens, tokens, at, axis=1)
    return memory._replace(
        filled=at + size, tokens=longer, read=jax.tree.map(put, memory.read, seen)
    )


def shifted(
    models: Ensemble, networks: Networks, config: HiddenStatesConfig, memory: Memory
) -> Memory:
    """The memory of the newer half: offsets, moments and numbers of steps move with their tokens,
    which are read again where they stand now.
    """
    kept = config.kept(memory.tokens.shape[1])

    def move(part: Array, axis: int) -> Array:
        """To the front; behind there is nothing."""
        stays = jax.lax.dynamic_slice_in_dim(part, memory.filled - kept, kept, axis)
        widths = [(0, 0)] * part.ndim
        widths[axis] = (0, part.shape[axis] - kept)
        return jnp.pad(stays, widths)

    def move_states(states: States) -> States:
        return jax.tree.map(lambda part: move(part, part.ndim + _POSITIONS), states)

    moved = memory._replace(
        filled=jnp.int32(0),
        tokens=move(memory.tokens, 1),
        read=jax.tree.map(jnp.zeros_like, memory.read),
        offsets=move_states(memory.offsets),
        first=move_states(memory.first),
        second=move_states(memory.second),
        steps=move(memory.steps, 0),
    )
    again = _cut(moved.tokens[:, :kept], config.chunk)

    def read(own: Memory, tokens: Int[Array, "batch chunk"]) -> tuple[Memory, None]:
        return with_tokens(models, networks, own, tokens), None

    return jax.lax.scan(read, moved, again)[0]


def _sum(read: States, offsets: States) -> States:
    """States in their dtype, in which small steps would be lost."""
    return jax.tree.map(lambda a, b: (a.astype(b.dtype) + b).astype(a.dtype), read, offsets)
